//! Announcements of a container's addresses: a start does not wait for them.

use std::sync::Arc;
use std::time::Duration;

use super::attachment::Attachment;
use super::{blocking, sandbox};
use crate::engine::Engine;

/// Announces the addresses of a container that has just joined networks as often as they say, for as long as it is in
/// them.
pub fn begin<'a>(engine: &Arc<Engine>, container: &str, places: impl IntoIterator<Item = &'a Attachment>) {
    for place in places {
        if place.announcements > 0 {
            drop(tokio::spawn(repeat(Arc::clone(engine), container.to_owned(), place.clone())));
        }
    }
}

async fn repeat(engine: Arc<Engine>, id: String, place: Attachment) {
    let gap = Duration::from_millis(place.announcement_gap_ms.into());
    for number in 0..place.announcements {
        if number > 0 {
            // The gap is what was asked for; nothing is waited for.
            tokio::time::sleep(gap).await;
        }
        let is_there = engine.containers.get(&id).is_some_and(|container| {
            let view = container.view();
            view.state.networking.sandbox && view.state.networking.attachments.values().any(|other| *other == place)
        });
        if !is_there {
            return;
        }
        let (own, id, place) = (Arc::clone(&engine), id.clone(), place.clone());
        let announced = blocking(move || {
            let kernel = own.networks.kernel()?;
            Ok(kernel.announce(&sandbox::of(&own, &id), &place.plan(&id)?)?)
        });
        if let Err(error) = announced.await {
            // A container that has just ended, or an interface that is down: nobody is there to hear of.
            return tracing::debug!(error = error.message(), "announce a container's addresses");
        }
    }
}

//! Transfers with a containerd that is not ours: it stores what we fetch, and reads out what we send.

use std::sync::Arc;

use corten_containerd_api::ApiError;
use corten_images::registry::{ForDomain, Registry, RegistryError};
use corten_images::{Extent, Platform, PullRequest, PushRequest, Sink};
use corten_proto::containerd::types::transfer;
use corten_types::error::chain;
use tokio::sync::mpsc;

use super::registry::Transfer;

/// What may be told and not yet be shown: more than an image has layers, each with all its steps.
const TOLD_MAX: usize = 8192;

pub(super) async fn pull(
    transfer: &Transfer<'_>,
    platform: Platform,
    progress: impl FnMut(transfer::Progress),
) -> Result<(), ApiError> {
    let request = PullRequest::new(transfer.reference.clone(), platform, transfer.owner);
    let registry = registry(transfer)?;
    let (sink, told) = sink();
    let pulled = corten_images::pull(transfer.containerd.client(), &request, &registry, &sink);
    let pulled = showing(told, progress, pulled).await;
    pulled.map(drop).map_err(|error| {
        ApiError::new(error.kind(), chain(&error)).answered(error.registry().and_then(RegistryError::answer))
    })
}

pub(super) async fn push(
    transfer: &Transfer<'_>,
    platform: Option<Platform>,
    progress: impl FnMut(transfer::Progress),
) -> Result<(), ApiError> {
    let extent = platform.map_or(Extent::WholeOrOne, Extent::One);
    let request = PushRequest { extent, ..PushRequest::new(transfer.reference.clone(), transfer.owner) };
    let registry = registry(transfer)?;
    let (sink, told) = sink();
    let pushed = corten_images::push(transfer.containerd.client(), &request, &registry, &sink);
    let pushed = showing(told, progress, pushed).await;
    pushed.map(drop).map_err(|error| {
        ApiError::new(error.kind(), chain(&error)).answered(error.registry().and_then(RegistryError::answer))
    })
}

fn registry(transfer: &Transfer<'_>) -> Result<Registry, ApiError> {
    let domain = transfer.reference.domain();
    let credentials = ForDomain::new(domain, transfer.credentials.for_registry_of(domain));
    let registry = Registry::new(transfer.settings.clone(), Arc::new(credentials));
    let registry = registry.map(|registry| registry.sharing(&transfer.containerd.transfers));
    registry.map_err(|error| ApiError::new(error.kind(), chain(&error)))
}

fn sink() -> (Sink, mpsc::Receiver<transfer::Progress>) {
    let (sender, receiver) = mpsc::channel(TOLD_MAX);
    let sink: Sink = Arc::new(move |progress: corten_images::Progress| {
        // What does not fit is lost: no transfer waits for what it looks like.
        let _ = sender.try_send(progress.into());
    });
    (sink, receiver)
}

/// Does `work`, and hands on what is told of it meanwhile.
async fn showing<T>(
    mut told: mpsc::Receiver<transfer::Progress>,
    mut show: impl FnMut(transfer::Progress),
    work: impl Future<Output = T>,
) -> T {
    let mut work = std::pin::pin!(work);
    let done = loop {
        tokio::select! {
            done = &mut work => break done,
            Some(progress) = told.recv() => show(progress),
        }
    };
    while let Ok(progress) = told.try_recv() {
        show(progress);
    }
    done
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn everything_told_is_shown_also_what_came_with_the_end() {
        let (sink, told) = sink();
        let mut shown = Vec::new();
        let done = showing(told, |progress| shown.push(progress.event), async {
            sink(corten_images::Progress::message("first"));
            tokio::task::yield_now().await;
            sink(corten_images::Progress::message("last"));
            7
        });
        assert_eq!(done.await, 7);
        assert_eq!(shown, ["first", "last"]);
    }
}

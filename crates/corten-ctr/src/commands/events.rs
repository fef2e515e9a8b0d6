//! `ctr events`.

use std::io::Write;

use corten_containerd_api::{parse_timestamp, rfc3339};
use corten_proto::containerd::services::events::v1::SubscribeRequest;

use crate::event;
use crate::session::{Outcome, Session, api, warn};

/// Prints what happens, in all namespaces, until it is interrupted.
pub async fn events(session: &Session) -> Outcome {
    let request = SubscribeRequest { filters: session.words() };
    let mut stream = session.client.events().subscribe(request).await.map_err(api)?.into_inner();
    while let Some(envelope) = stream.message().await.map_err(api)? {
        let text = match &envelope.event {
            None => String::new(),
            Some(event) => event::event(event).unwrap_or_else(|| {
                warn(format!("cannot unmarshal an event from Any: {}", event.type_url));
                String::new()
            }),
        };
        let time = rfc3339(parse_timestamp(envelope.timestamp.as_ref()));
        // Go prints a time.Time as 2006-01-02 15:04:05.999999999 -0700 MST.
        let time = time.replacen('T', " ", 1).replace('Z', " +0000 UTC");
        println!("{time} {} {} {text}", envelope.namespace, envelope.topic);
        std::io::stdout().flush()?;
    }
    Ok(())
}

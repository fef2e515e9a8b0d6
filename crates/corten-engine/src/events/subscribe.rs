//! `GET /events`: the past that was asked for, then what happens.

use std::sync::Arc;

use bytes::Bytes;
use corten_docker_api::events::Event;
use corten_docker_api::{Filters, json};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, mpsc};
use tokio::time::sleep;
use tokio_stream::wrappers::ReceiverStream;

use super::filter;
use crate::clock::Moment;
use crate::engine::Engine;
use crate::errors::{EngineError, Result};
use crate::http::Query;
use crate::http::answer::Chunks;

/// Lines on their way to one listener.
const IN_FLIGHT: usize = 64;

/// What a listener asks for.
pub struct EventQuery {
    since: Option<Moment>,
    until: Option<Moment>,
    filters: Filters,
}

impl EventQuery {
    /// Reads `since`, `until` and `filters`.
    ///
    /// # Errors
    /// 400 for a time or a filter that cannot be read, and when `since` lies after `until`.
    pub fn decode(query: &Query) -> Result<Self> {
        let (since, until) = (seconds(query.get("since"))?, seconds(query.get("until"))?);
        if let (Some(since), Some(until)) = (since, until)
            && since > until
        {
            return Err(EngineError::invalid("`since` time cannot be after `until` time"));
        }
        let filters = Filters::decode(query.get("filters"))?;
        filters.allow(filter::KEYS)?;
        Ok(Self { since, until, filters })
    }
}

/// Reads unix seconds with an optional fraction.
fn seconds(text: &str) -> Result<Option<Moment>> {
    if text.is_empty() {
        return Ok(None);
    }
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let nanos = || {
        let digits = format!("{fraction:0<9}");
        digits.get(..9)?.parse::<i64>().ok()
    };
    let moment = whole.parse::<i64>().ok().and_then(|whole| whole.checked_mul(1_000_000_000)?.checked_add(nanos()?));
    moment
        .map(|moment| Some(Moment::from_nanos(moment)))
        .ok_or_else(|| EngineError::invalid(format!("{text} is not a time in seconds since 1970")))
}

/// The events as chunks: one JSON document a line.
pub fn subscribe(engine: &Arc<Engine>, query: EventQuery) -> Chunks {
    let (past, live) = engine.events.subscribe();
    let (lines, stream) = mpsc::channel(IN_FLIGHT);
    tokio::spawn(pump(past, live, query, lines));
    Box::pin(ReceiverStream::new(stream))
}

/// Runs until the listener goes, its time is up, or it falls behind.
async fn pump(
    past: Vec<Arc<Event>>,
    mut live: broadcast::Receiver<Arc<Event>>,
    query: EventQuery,
    lines: mpsc::Sender<std::io::Result<Bytes>>,
) {
    // Without either bound only what happens from now on is asked for.
    let past = if query.since.is_some() || query.until.is_some() { past } else { Vec::new() };
    for event in past {
        let moment = Moment::from_nanos(event.time_nano);
        let in_range =
            query.since.is_none_or(|since| moment >= since) && query.until.is_none_or(|until| moment <= until);
        if in_range && filter::matches(&query.filters, &event) && lines.send(Ok(line(&event))).await.is_err() {
            return;
        }
    }
    let end = async {
        match query.until {
            Some(until) => sleep(Moment::now().until(until)).await,
            None => std::future::pending().await,
        }
    };
    tokio::pin!(end);
    loop {
        let event = tokio::select! {
            () = &mut end => return,
            () = lines.closed() => return,
            event = live.recv() => event,
        };
        match event {
            Ok(event) if filter::matches(&query.filters, &event) => {
                if lines.send(Ok(line(&event))).await.is_err() {
                    return;
                }
            }
            Ok(_) => {}
            Err(RecvError::Closed) => return,
            Err(RecvError::Lagged(missed)) => {
                // The listener is gone or will read this; either way it is cut off.
                let text =
                    format!("{{\"message\":\"{missed} events were missed by a listener that reads too slowly\"}}\n");
                let _ = lines.send(Ok(Bytes::from(text))).await;
                return;
            }
        }
    }
}

fn line(event: &Event) -> Bytes {
    Bytes::from(json::encode(event).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_up_to_nine_digits_of_fraction() {
        assert_eq!(seconds("").unwrap(), None);
        assert_eq!(seconds("5").unwrap().unwrap().nanos(), 5_000_000_000);
        assert_eq!(seconds("5.5").unwrap().unwrap().nanos(), 5_500_000_000);
        assert_eq!(seconds("5.000000001").unwrap().unwrap().nanos(), 5_000_000_001);
        assert!(seconds("yesterday").is_err());
    }

    #[test]
    fn a_range_that_ends_before_it_begins_is_refused() {
        assert!(EventQuery::decode(&Query::decode("since=5&until=4")).is_err());
    }
}

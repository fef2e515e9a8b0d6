//! Keeps events coming: subscribe first, then look at every task, then follow.
//!
//! Events are hints. Whatever is missed while there is no link is found by looking at the tasks
//! when it is there again, with the same code as at the start.

use std::sync::Arc;
use std::time::Duration;

use corten_proto::any;
use corten_proto::containerd::events::{TaskCreate, TaskExit, TaskOom, TaskStart};
use corten_proto::containerd::services::events::v1::{ForwardRequest, SubscribeRequest};
use corten_proto::containerd::services::tasks::v1::ListTasksRequest;
use corten_proto::containerd::types::Envelope;
use tokio::time::sleep;
use tonic::Streaming;
use tracing::{debug, info, warn};

use super::abilities::Abilities;
use crate::clock::Moment;
use crate::containers::{exit, settle};
use crate::engine::Engine;
use crate::errors::{EngineError, Result};
use crate::execs::{self, Exit};

/// Between two tries to reach a containerd that nobody announces; it doubles.
const TRY_AGAIN: Duration = Duration::from_millis(20);

/// The longest such pause.
const TRY_AGAIN_AT_MOST: Duration = Duration::from_secs(1);

/// Between two markers while the subscription is made.
const MARK_AGAIN: Duration = Duration::from_millis(10);

/// The topic of our markers.
const MARKER_TOPIC: &str = "/corten/linked";

/// Runs for ever.
pub async fn keep(engine: Arc<Engine>) {
    let mut pause = TRY_AGAIN;
    let mut first = true;
    loop {
        let outcome = follow(&engine, &mut first, &mut pause).await;
        engine.containerd.set_linked(false);
        match outcome {
            Ok(()) => warn!("containerd closed the events"),
            Err(error) => debug!(error = error.message(), "no link to containerd"),
        }
        // Our own supervisor is announced; anybody else's containerd has to be looked for.
        let _ = tokio::time::timeout(pause, engine.containerd.arrival().notified()).await;
        pause = (pause * 2).min(TRY_AGAIN_AT_MOST);
    }
}

async fn follow(engine: &Arc<Engine>, first: &mut bool, pause: &mut Duration) -> Result<()> {
    let (events, early) = subscribe(engine).await?;
    // From here on calls of everybody find it there: what holds a container's turn must come to its
    // end before that container can be settled.
    let life = engine.containerd.presence().came();
    let outcome = tokio::select! {
        outcome = follow_events(engine, events, early, first, pause) => outcome,
        () = engine.containerd.presence().gone(life) => Err(EngineError::internal("a call found the connection broken")),
    };
    engine.containerd.presence().left(life);
    outcome
}

async fn follow_events(
    engine: &Arc<Engine>,
    mut events: Streaming<Envelope>,
    early: Vec<Envelope>,
    first: &mut bool,
    pause: &mut Duration,
) -> Result<()> {
    engine.containerd.set_abilities(Abilities::ask(engine.containerd.client()).await?);
    let tasks = engine.containerd.tasks().list(ListTasksRequest::default()).await?.into_inner().tasks;
    let occasion = if *first { settle::Occasion::EngineStarted } else { settle::Occasion::LinkedAgain };
    settle::settle_all(engine, tasks, occasion).await?;
    match corten_images::lease::settle(engine.catalog.store(), &engine.id).await {
        Ok(0) => {}
        Ok(ended) => info!(ended, "leases of broken loads ended"),
        // They keep what nobody needs until they expire; nothing else depends on them.
        Err(error) => warn!(%error, "leases of broken loads could not be looked at"),
    }
    (*first, *pause) = (false, TRY_AGAIN);
    engine.containerd.set_linked(true);
    info!(address = %engine.containerd.address().display(), "linked to containerd");
    for envelope in &early {
        dispatch(engine, envelope);
    }
    while let Some(envelope) = events.message().await? {
        dispatch(engine, &envelope);
    }
    Ok(())
}

/// Subscribes, and returns when the subscription is known to be there: a marker of our own has come
/// back through it. What came before the marker is returned too.
///
/// containerd sends nothing before the first event, not even headers, so markers are forwarded from
/// the beginning.
async fn subscribe(engine: &Arc<Engine>) -> Result<(Streaming<Envelope>, Vec<Envelope>)> {
    let namespace = engine.containerd.namespace();
    let filters = vec![
        format!("namespace=={namespace},topic~=|^/tasks/|"),
        format!("namespace=={namespace},topic==\"{MARKER_TOPIC}\""),
    ];
    let mut subscriber = engine.containerd.without_patience().events();
    let subscription = async {
        let mut events = subscriber.subscribe(SubscribeRequest { filters }).await?.into_inner();
        let mut early = Vec::new();
        while let Some(envelope) = events.message().await? {
            match envelope.topic.as_str() {
                MARKER_TOPIC => return Ok((events, early)),
                _ => early.push(envelope),
            }
        }
        Err(EngineError::internal("containerd closed the events"))
    };
    let markers = async {
        loop {
            let marked = mark(engine).await;
            if let Err(error) = marked {
                return error;
            }
            sleep(MARK_AGAIN).await;
        }
    };
    tokio::select! {
        subscribed = subscription => subscribed,
        error = markers => Err(error),
    }
}

async fn mark(engine: &Engine) -> Result<()> {
    let now = Moment::now();
    let envelope = Envelope {
        timestamp: Some(prost_types::Timestamp {
            seconds: now.seconds(),
            nanos: i32::try_from(now.nanos().rem_euclid(1_000_000_000)).unwrap_or_default(),
        }),
        namespace: engine.containerd.namespace().to_owned(),
        topic: MARKER_TOPIC.to_owned(),
        event: Some(any::pack(&TaskOom { container_id: engine.id.clone() })),
    };
    let forwarded =
        engine.containerd.without_patience().events().forward(ForwardRequest { envelope: Some(envelope) }).await;
    forwarded.map(drop).map_err(EngineError::from)
}

fn dispatch(engine: &Arc<Engine>, envelope: &Envelope) {
    let Some(event) = &envelope.event else { return };
    let at = envelope.timestamp.as_ref().map_or_else(Moment::now, Moment::from_proto);
    match envelope.topic.as_str() {
        "/tasks/exit" => {
            let Ok(Some(event)) = any::unpack::<TaskExit>(event) else { return };
            let exit = Exit {
                pid: event.pid,
                status: event.exit_status,
                at: event.exited_at.as_ref().map_or_else(Moment::now, Moment::from_proto),
            };
            let engine = Arc::clone(engine);
            if event.id == event.container_id {
                tokio::spawn(async move { exit::on_exit(&engine, &event.container_id, exit).await });
            } else {
                tokio::spawn(execs::on_exit(engine, event.container_id, event.id, exit));
            }
        }
        "/tasks/oom" => {
            let Ok(Some(event)) = any::unpack::<TaskOom>(event) else { return };
            let engine = Arc::clone(engine);
            tokio::spawn(async move { exit::on_oom(&engine, &event.container_id).await });
        }
        "/tasks/create" => {
            let Ok(Some(event)) = any::unpack::<TaskCreate>(event) else { return };
            let engine = Arc::clone(engine);
            tokio::spawn(async move { settle::settle_changed(&engine, &event.container_id, at).await });
        }
        "/tasks/start" => {
            let Ok(Some(event)) = any::unpack::<TaskStart>(event) else { return };
            let engine = Arc::clone(engine);
            tokio::spawn(async move { settle::settle_changed(&engine, &event.container_id, at).await });
        }
        _ => {}
    }
}

//! `POST /containers/{id}/attach`.

use std::sync::Arc;

use corten_stdio::attach::FORMAT;
use corten_stdio::{AttachRequest, Framing};
use hyper::StatusCode;
use tokio::sync::oneshot;
use tracing::debug;

use super::{Container, View};
use crate::attach::{self, Arriving, Client, Of, Waiting, replay};
use crate::engine::Engine;
use crate::errors::{EngineError, Result};
use crate::events::Kind;
use crate::http::answer::RAW_STREAM;
use crate::http::{Answer, Query, Request};
use crate::logs::text::Printer;

/// What the client asks for.
struct AttachQuery {
    /// What was said already comes first.
    logs: bool,
    /// What is said from now on comes.
    stream: bool,
    stdin: bool,
    stdout: bool,
    stderr: bool,
    detach_keys: Vec<u8>,
}

impl AttachQuery {
    fn decode(query: &Query) -> Result<Self> {
        Ok(Self {
            logs: query.flag("logs"),
            stream: query.flag("stream"),
            stdin: query.flag("stdin"),
            stdout: query.flag("stdout"),
            stderr: query.flag("stderr"),
            detach_keys: attach::parse_detach_keys(query.get("detachKeys"))?,
        })
    }
}

/// Attaches the client behind `request`: to the hub when the container runs, else it waits for the start.
///
/// Refusals are plain text here: a client that expects a stream reads them as one.
///
/// # Errors
/// None of its own; every refusal is an answer.
pub async fn attach(engine: Arc<Engine>, mut request: Request) -> Result<Answer> {
    open(&engine, &mut request).await.or_else(|error| Ok(refused(&error)))
}

async fn open(engine: &Arc<Engine>, request: &mut Request) -> Result<Answer> {
    let query = AttachQuery::decode(&request.query)?;
    let wanted = request.param("id").to_owned();
    let container = engine.containers.find(&wanted)?;
    let view = container.view();
    check(&view, &wanted)?;

    let (framing, content_type) = attach::framing(request.version, view.record.config.tty);
    let upgrade = request.wants_upgrade().then(|| request.take_upgrade()).flatten();
    let (answer, arriving) = Arriving::open(upgrade, content_type)
        .map_err(|error| EngineError::internal(format!("attach to container {}", container.id)).caused_by(error))?;
    let hub_request = hub_request(&query, &view, framing);

    // A start holds the turn from the task's creation until the container runs. Who comes in between
    // waits for its end, and is neither parked too late nor passed to a hub that is not there yet.
    if query.stream && !view.state.is_alive() {
        let turn = container.turn().await;
        if !container.view().state.is_alive() {
            let (sender, receiver) = oneshot::channel();
            turn.parked.park(Waiting::new(hub_request, receiver))?;
            drop(turn);
            tokio::spawn(arrive(
                Arc::clone(engine),
                arriving,
                Arc::clone(&container),
                query,
                framing,
                Next::Park(sender),
            ));
            announce(engine, &container);
            return Ok(answer);
        }
    }
    let next = if query.stream { Next::Pass(hub_request) } else { Next::Close };
    tokio::spawn(arrive(Arc::clone(engine), arriving, Arc::clone(&container), query, framing, next));
    announce(engine, &container);
    Ok(answer)
}

fn check(view: &View, wanted: &str) -> Result<()> {
    if view.state.paused {
        return Err(EngineError::conflict(format!(
            "container {wanted} is paused, unpause the container before attach"
        )));
    }
    if view.state.restarting {
        return Err(EngineError::conflict(format!(
            "container {wanted} is restarting, wait until the container is running"
        )));
    }
    Ok(())
}

fn hub_request(query: &AttachQuery, view: &View, framing: Framing) -> AttachRequest {
    let config = &view.record.config;
    let stdin = query.stdin && config.open_stdin;
    let keys =
        if query.detach_keys.is_empty() { attach::DEFAULT_DETACH_KEYS.to_vec() } else { query.detach_keys.clone() };
    AttachRequest {
        format: FORMAT,
        stdin,
        stdout: query.stdout,
        // A terminal has one stream.
        stderr: query.stderr && !config.tty,
        framing,
        // Without a terminal the bytes may occur in what is piped in.
        detach_keys: (stdin && config.tty).then_some(keys),
    }
}

/// What becomes of a client once its answer is sent.
enum Next {
    Park(oneshot::Sender<Client>),
    Pass(AttachRequest),
    Close,
}

async fn arrive(
    engine: Arc<Engine>,
    arriving: Arriving,
    container: Arc<Container>,
    query: AttachQuery,
    framing: Framing,
    next: Next,
) {
    let mut client = match arriving.client().await {
        Ok(client) => client,
        Err(error) => return debug!(id = container.id, %error, "a client left before it was attached"),
    };
    if query.logs {
        let printer = Printer::replay(query.stdout, query.stderr, framing == Framing::Multiplexed);
        if let Err(error) = replay::replay(&mut client, super::logs::path(&container), printer).await {
            return debug!(id = container.id, %error, "a client left while the log was shown to it");
        }
    }
    match next {
        // Nobody waits any more: the container is gone, and the client is let go.
        Next::Park(waiting) => drop(waiting.send(client)),
        Next::Pass(request) => match attach::pass(Arc::new(client), request, attach::socket(&container)).await {
            Ok(farewell) => farewell.announce(&engine, &container.id, Of::Container),
            // It ended in between: the client sees the end, as it would have a moment later.
            Err(error) => debug!(id = container.id, %error, "the shim did not take an attached client"),
        },
        Next::Close => {}
    }
}

fn announce(engine: &Engine, container: &Container) {
    engine.events.publish(Kind::Container, "attach", &container.id, container.view().record.event_attributes());
}

/// A refusal as text, as dockerd answers on this path.
fn refused(error: &EngineError) -> Answer {
    let status = StatusCode::from_u16(error.kind().http_status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    Answer::bytes(status, RAW_STREAM, format!("{}\r\n", error.message()))
}

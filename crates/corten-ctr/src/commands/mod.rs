//! One file per noun; each command is a function of its name.

mod containers;
mod content;
mod events;
mod images;
mod leases;
mod metrics;
mod namespaces;
mod plugins;
mod run;
mod snapshots;
mod tasks;
mod version;

use crate::session::{Outcome, Session, sentence};

/// Runs the command `verb` of `noun`.
///
/// # Errors
/// [`Failure`](crate::session::Failure).
pub async fn run(noun: &str, verb: &str, session: &Session) -> Outcome {
    match (noun, verb) {
        ("version", _) => version::version(session).await,
        ("run", _) => run::run(session).await,
        ("events", _) => events::events(session).await,
        ("plugins", "list") => plugins::list(session).await,
        ("namespaces", "create") => namespaces::create(session).await,
        ("namespaces", "list") => namespaces::list(session).await,
        ("namespaces", "remove") => namespaces::remove(session).await,
        ("namespaces", "label") => namespaces::label(session).await,
        ("leases", "list") => leases::list(session).await,
        ("leases", "create") => leases::create(session).await,
        ("leases", "delete") => leases::delete(session).await,
        ("content", "active") => content::active(session).await,
        ("content", "delete") => content::delete(session).await,
        ("content", "get") => content::get(session).await,
        ("content", "ingest") => content::ingest(session).await,
        ("content", "list") => content::list(session).await,
        ("content", "label") => content::label(session).await,
        ("images", "check") => images::check(session).await,
        ("images", "import") => images::import(session).await,
        ("images", "list") => images::list(session).await,
        ("images", "delete") => images::delete(session).await,
        ("images", "tag") => images::tag(session).await,
        ("images", "label") => images::label(session).await,
        ("snapshots", "commit") => snapshots::commit(session).await,
        ("snapshots", "diff") => snapshots::diff(session).await,
        ("snapshots", "info") => snapshots::info(session).await,
        ("snapshots", "list") => snapshots::list(session).await,
        ("snapshots", "mounts") => snapshots::mounts(session).await,
        ("snapshots", "prepare") => snapshots::prepare(session).await,
        ("snapshots", "delete") => snapshots::delete(session).await,
        ("snapshots", "label") => snapshots::label(session).await,
        ("snapshots", "tree") => snapshots::tree(session).await,
        ("snapshots", "unpack") => snapshots::unpack(session).await,
        ("snapshots", "usage") => snapshots::usage(session).await,
        ("snapshots", "view") => snapshots::view(session).await,
        ("containers", "create") => containers::create(session).await,
        ("containers", "delete") => containers::delete(session).await,
        ("containers", "info") => containers::info(session).await,
        ("containers", "list") => containers::list(session).await,
        ("containers", "label") => containers::label(session).await,
        ("tasks", "delete") => tasks::delete(session).await,
        ("tasks", "exec") => tasks::exec(session).await,
        ("tasks", "list") => tasks::list(session).await,
        ("tasks", "kill") => tasks::kill(session).await,
        ("tasks", "pause") => tasks::pause(session).await,
        ("tasks", "ps") => tasks::ps(session).await,
        ("tasks", "resume") => tasks::resume(session).await,
        ("tasks", "start") => tasks::start(session).await,
        ("tasks", "metrics") => metrics::metrics(session).await,
        _ => Err(sentence(format!("{noun} {verb}: not supported yet"))),
    }
}

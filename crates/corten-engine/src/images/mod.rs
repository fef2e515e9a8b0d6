//! Images, as containerd keeps them: records that name manifests in its content store.

pub mod resolve;

pub use resolve::Image;

pub mod delete;
pub mod history;
pub mod import;
pub mod import_from;
pub mod inspect;
pub mod lines;
pub mod list;
pub mod load;
pub mod prune;
pub mod pull;
pub mod push;
pub mod save;
pub mod sizes;
pub mod tag;

pub mod body;
mod document;
mod errors;
mod handover;
mod layers;
mod manifests;
mod pattern;
mod phrases;
mod platform;

use std::collections::BTreeMap;

use crate::engine::Engine;
use crate::events::Kind;

/// Tells who listens what happened to an image.
fn announce(engine: &Engine, action: &str, id: &str, name: &str) {
    let attributes = BTreeMap::from([("name".to_owned(), name.to_owned())]);
    engine.events.publish(Kind::Image, action, id, attributes);
}

/// Tells who listens how much a prune has freed.
fn announce_prune(engine: &Engine, reclaimed_bytes: u64) {
    let attributes = BTreeMap::from([("reclaimed".to_owned(), reclaimed_bytes.to_string())]);
    engine.events.publish(Kind::Image, "prune", "", attributes);
}

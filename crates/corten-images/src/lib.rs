//! Images as algorithms over a [`Store`](corten_containerd_api::Store): any containerd, or our supervisor.
//!
//! In reading order: [`platform`] says what runs here, [`manifest`] reads indexes, manifests and configurations,
//! [`unpack`](unpack::unpack) turns layers into snapshots, [`load`](load::load) takes archives of whole images,
//! [`import`](import::import) makes an image of a file system, with [`change`]s to its configuration,
//! [`commit`](commit::commit) one of what a container changed, [`save`](save::save) writes archives,
//! [`catalog`] finds, lists, tags and removes what is there. [`registry`] is the client of registries,
//! [`pull`](pull::pull) fetches images with it, [`push`](push::push) sends them, and both tell a
//! [`Sink`](progress::Sink) of their [`Progress`].
//!
//! Everything made is under a lease until an image record refers to it, so that garbage collection never takes a
//! half-made image and always takes the rest of a failed one. [`settle`](lease::settle) ends what a killed process
//! left.

pub mod catalog;
pub mod change;
pub mod commit;
pub mod import;
pub mod input;
pub mod lease;
pub mod load;
pub mod manifest;
pub mod media_type;
pub mod platform;
pub mod progress;
pub mod pull;
pub mod push;
pub mod registry;
pub mod save;
pub mod unpack;

mod archived;
mod compress;
mod expand;
mod fetch;
mod ingest;
mod staging;
mod walk;

pub use catalog::{Catalog, Details, Listed, ResolveError};
pub use change::Change;
pub use commit::{CommitError, CommitRequest, commit};
pub use import::{ImportError, ImportRequest, import};
pub use load::{LoadError, LoadRequest, Loaded, load};
pub use platform::Platform;
pub use progress::{Progress, Sink};
pub use pull::{Naming, PullError, PullRequest, Pulled, pull, pull_all};
pub use push::{Extent, Layers, PushError, PushRequest, Pushed, push};
pub use save::{SaveError, SaveRequest, Saving, save};

//! Images, as containerd keeps them: records that name manifests in its content store.

mod cache;
pub mod resolve;

pub use cache::{Cache, Image};

//! Leases: what garbage collection must leave alone while a client is still putting it together.

mod records;
mod service;

pub use records::{join, leave};
pub use service::LeasesService;

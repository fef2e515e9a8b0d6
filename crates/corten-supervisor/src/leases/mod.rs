//! Leases: what garbage collection must leave alone while a client is still putting it together.

mod records;
mod service;

pub use records::{abandoned_ingests, join, leave, let_go};
pub use service::LeasesService;

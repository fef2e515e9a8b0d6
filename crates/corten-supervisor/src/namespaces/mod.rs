//! Namespaces: names that separate one client's records from another's, with labels of their own.

mod records;
mod service;

pub use service::NamespacesService;

//! The Engine API as JSON: what clients of Docker 20.10 to 28 send and expect.
//!
//! One module per endpoint family; inside, one type per body. A type's fields stand in the order
//! Docker prints them, and each keeps the difference between `null`, `[]` and absent: Go programs,
//! their tests and people's scripts compare these bytes. `Option<Vec<_>>` is a Go slice that can be
//! nil; a field that Go marks `omitempty` is left out when it is empty here too.
//!
//! [`client`] is the calling end.
//!
//! Reading follows Go's rules (`json`): a missing field and a `null` are the zero value, unknown
//! fields are ignored. Writing escapes `<`, `>` and `&` as Go does.

pub mod client;
pub mod containers;
pub mod disk_usage;
pub mod errors;
pub mod events;
pub mod exec;
pub mod filters;
pub mod images;
pub mod info;
pub mod json;
pub mod networks;
pub mod registry;
pub mod version;
pub mod volumes;

pub use errors::ErrorResponse;
pub use filters::Filters;
pub use version::ApiVersion;

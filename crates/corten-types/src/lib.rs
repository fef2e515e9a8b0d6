//! Words that two or more of Corten's processes agree on.
//!
//! Nothing here does input or output. In reading order: what went wrong ([`error`]), what things are
//! called ([`id`], [`digest`], [`reference`]), what a
//! registry refused with ([`registry_answer`]), what a process is doing and how it ended ([`status`],
//! [`signal`], [`exit`]), and the trace that ties one request together ([`traceparent`]).

pub mod digest;
pub mod error;
pub mod exit;
pub mod id;
pub mod reference;
pub mod registry_answer;
pub mod signal;
pub mod status;
pub mod traceparent;

pub use digest::Digest;
pub use error::ErrorKind;
pub use exit::ExitStatus;
pub use id::{ContainerId, Identifier};
pub use reference::Reference;
pub use registry_answer::RegistryAnswer;
pub use signal::Signal;
pub use status::TaskStatus;

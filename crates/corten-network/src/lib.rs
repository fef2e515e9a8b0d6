//! Container networks: what an engine wants of the kernel, and how the kernel is brought there.
//!
//! [`plan`] says what is to be: networks, the places of containers in them, published ports. [`ipam`] chooses subnets
//! and addresses. [`Kernel`] realises a plan, compares it with what is, and mends the difference. Everything in the
//! kernel is named after ids of the plan, so that whoever comes after a crash finds it again; every call may be
//! repeated. Nothing here is asynchronous: callers use threads that may block.

pub mod error;
pub mod ipam;
pub mod kernel;
pub mod plan;

pub use error::NetworkError;
pub use kernel::Kernel;

//! System call filters: `linux.seccomp` of the runtime specification becomes a classic BPF program.
//!
//! In reading order: a [`profile`] is what config.json says, its calls looked up as they are read ([`name`]); [`rules`] is
//! what it means, call by call for every [`arch`]itecture, by the numbers in [`table`] and, on 32-bit x86, the calls that carry others ([`multiplex`]);
//! [`tree`] writes that as a [`program`] which finds a call's verdict by binary search. [`interpret`] runs a program
//! as the kernel does.
//!
//! Nothing here is a system call: installing the program is `corten_sys::seccomp`. libseccomp was refused: it takes
//! ten milliseconds for docker's default profile and makes a program of a thousand steps that the kernel walks through
//! for every call while it loads it; here it is a sort, a fold and 400 instructions. What the two decide is the same,
//! which a test proves by asking both about every call.

pub mod action;
pub mod arch;
pub mod compare;
mod docker_default;
pub mod interpret;
mod multiplex;
pub mod name;
pub mod profile;
pub mod program;
pub mod rules;
pub mod table;
pub mod tree;

pub use arch::Arch;
pub use docker_default::docker_default;
pub use profile::{Profile, ProfileError};
pub use program::{Filter, compile};

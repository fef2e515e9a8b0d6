//! Trees as archives, by descriptor.
//!
//! In reading order: [`archive`] parses tar as a stream, [`name`] keeps names inside and knows whiteouts,
//! [`codec`] decompresses by magic, [`pipe`] does so in a thread of its own through [`buffers`] of one stock,
//! [`budget`] bounds what comes of it, [`tree`] is the directory written to, [`apply`](apply::apply) writes a layer
//! into it, [`diff`](diff::diff) makes one from it, [`changes`] tells what a container changed,
//! [`copy`] copies; [`pack`] and
//! [`extract`] are the two ends of copying files, without layers.

pub mod apply;
pub mod archive;
pub mod budget;
pub mod buffers;
pub mod changes;
pub mod codec;
pub mod copy;
pub mod diff;
pub mod extract;
mod header;
pub mod name;
pub mod pack;
pub mod pipe;
pub mod tree;
pub mod writer;

pub use apply::{Applied, ApplyError, Form, Target, apply, apply_known};
pub use diff::{DiffError, diff};

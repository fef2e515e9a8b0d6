//! Garbage collection: content and snapshots that nothing refers to are removed.
//!
//! [`mark`] follows references from the roots and answers what it did not reach; [`collect`] removes
//! that. Marking runs first on a read snapshot, which holds up nobody; only when it finds garbage is it
//! repeated inside the transaction that deletes, so that no reference made meanwhile is overlooked.
//! What is being made is safe without a lock: a writer's lease, or the blob it holds, comes first.

mod collect;
mod mark;
mod schedule;

pub use collect::remove_orphans;
pub use schedule::Schedule;

//! The harness itself, proven on the originals: what it starts works, what it counts is there.

mod leaks;
mod originals;
mod terminal;

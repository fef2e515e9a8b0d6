//! The swap matrix: each of our layers under and over the originals, proven by the originals' own clients.

#![allow(clippy::unwrap_used)]

mod by_ctr;
mod by_docker;
mod committing;
mod copying;
mod listings;
mod registries;
mod round_trips;
mod same_bytes;
mod survival;

//! The swap matrix: each of our layers under and over the originals, proven by the originals' own clients.

mod by_ctr;
mod by_docker;
mod listings;
mod same_bytes;
mod survival;

//! The rules of `crates/README.md` (the map), checked on the sources and on what was built.

mod features;
mod journey;
mod layers;
mod map;
mod ratchet;
mod sources;
mod unsafe_code;
mod weight;
mod words;

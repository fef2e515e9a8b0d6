//! containerd's gRPC stubs, both ends.

#![allow(missing_docs, clippy::all)]

include!(concat!(env!("OUT_DIR"), "/services.rs"));

//! The demo image's program: prints what isolates it.

fn main() {}

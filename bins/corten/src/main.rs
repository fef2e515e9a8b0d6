//! The docker command line.

fn main() {}

//! The engine daemon (dockerd).

fn main() {}

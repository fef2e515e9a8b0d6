//! The supervisor daemon (containerd).

fn main() {}

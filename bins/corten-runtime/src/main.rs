//! The OCI runtime (runc).

fn main() {}

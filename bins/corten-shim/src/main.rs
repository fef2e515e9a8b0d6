//! One container's shim (containerd-shim-runc-v2).

fn main() {}

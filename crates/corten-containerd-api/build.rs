//! Generates the gRPC clients and servers of containerd's services; messages come from `corten-proto`.

use std::{env, path::Path};

const SERVICES: [&str; 13] = [
    "containers",
    "content",
    "diff",
    "events",
    "images",
    "introspection",
    "leases",
    "namespaces",
    "snapshots",
    "streaming",
    "tasks",
    "transfer",
    "version",
];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let root = Path::new(&env::var("CARGO_MANIFEST_DIR")?).join("../../proto");
    println!("cargo:rerun-if-changed={}", root.display());
    let mut files = Vec::from(SERVICES.map(|service| root.join(format!("containerd/services/{service}/v1.proto"))));
    files.push(root.join("grpc/health/v1.proto"));
    let descriptors = protox::compile(files, [&root])?;
    tonic_prost_build::configure()
        .extern_path(".containerd", "::corten_proto::containerd")
        .extern_path(".grpc.health", "::corten_proto::grpc::health")
        .extern_path(".google.rpc", "::corten_proto::google::rpc")
        .include_file("services.rs")
        .compile_fds(descriptors)?;
    Ok(())
}

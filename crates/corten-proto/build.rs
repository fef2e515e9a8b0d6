//! Generates the messages of every `.proto` file under `/proto`; services are left out.
//!
//! Beside them it writes the wire format as text, which a test compares with `proto/descriptor.txt`.

use std::{env, fs, path::Path};

#[path = "build/descriptor.rs"]
mod descriptor;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let root = Path::new(&env::var("CARGO_MANIFEST_DIR")?).join("../../proto");
    println!("cargo:rerun-if-changed={}", root.display());
    let mut files = Vec::new();
    collect(&root, &mut files)?;
    files.sort();
    let descriptors = protox::compile(&files, [&root])?;
    let text = Path::new(&env::var("OUT_DIR")?).join("descriptor.txt");
    fs::write(text, descriptor::lines(&descriptors).join("\n") + "\n")?;
    // Boxed, because every error carries it and hardly one has it.
    prost_build::Config::new()
        .boxed(".google.rpc.Status.corten_registry")
        .include_file("packages.rs")
        .enable_type_names()
        .compile_fds(descriptors)?;
    Ok(())
}

fn collect(directory: &Path, files: &mut Vec<std::path::PathBuf>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "proto") {
            files.push(path);
        }
    }
    Ok(())
}

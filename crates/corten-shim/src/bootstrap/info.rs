//! `-info`: prints what this shim and its runtime are, as containerd 2.x asks.

use std::{collections::HashMap, path::Path, process::Stdio};

use corten_proto::{
    any,
    containerd::types::{RuntimeInfo, RuntimeVersion},
};
use prost::Message;

use super::{BootstrapError, print, read_input};
use crate::options;

/// Type URL of the features of a runtime, as JSON.
const FEATURES: &str = "types.containerd.io/opencontainers/runtime-spec/1/features/Features";

/// Prints a `RuntimeInfo`.
pub(super) fn info() -> Result<(), BootstrapError> {
    let input = read_input("", "")?;
    let options = input.runc_options().map_err(BootstrapError::Input)?.unwrap_or_default();
    let runtime = options::runtime(&options, "", Path::new("/"));
    let mut features = std::process::Command::new(&runtime.binary);
    features.arg("features").stdin(Stdio::null()).stderr(Stdio::null());
    // A runtime that does not know the command has no features to tell.
    let features = features.output().ok().filter(|output| output.status.success());
    let info = RuntimeInfo {
        name: "io.containerd.corten.v2".to_owned(),
        version: Some(RuntimeVersion { version: env!("CARGO_PKG_VERSION").to_owned(), revision: String::new() }),
        options: input.options,
        features: features.map(|output| any::pack_json(FEATURES, output.stdout)),
        annotations: HashMap::new(),
    };
    print(&info.encode_to_vec())
}

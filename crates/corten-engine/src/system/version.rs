//! `GET /version`.

use std::collections::BTreeMap;

use corten_docker_api::version::{Component, MAXIMUM, MINIMUM, Platform, Version};

use crate::engine::Engine;
use crate::errors::Result;

/// The engine whose behaviour we stand in for; clients parse it.
pub const ENGINE_VERSION: &str = "28.5.2";

/// The versions of everything involved.
///
/// # Errors
/// Never; a part that does not answer is left out.
pub async fn version(engine: &Engine) -> Result<Version> {
    let own = env!("CARGO_PKG_VERSION");
    let kernel = kernel_release();
    let details = BTreeMap::from(
        [
            ("ApiVersion", MAXIMUM.to_string()),
            ("Arch", go_arch().to_owned()),
            ("BuildTime", String::new()),
            ("Experimental", "false".to_owned()),
            ("GitCommit", own.to_owned()),
            ("GoVersion", "rust".to_owned()),
            ("KernelVersion", kernel.clone()),
            ("MinAPIVersion", MINIMUM.to_string()),
            ("Os", "linux".to_owned()),
        ]
        .map(|(key, value)| (key.to_owned(), value)),
    );
    let commit = |commit: &str| Some(BTreeMap::from([("GitCommit".to_owned(), commit.to_owned())]));
    let component =
        |name: &str, version: &str, details| Component { name: name.to_owned(), version: version.to_owned(), details };
    let mut components = vec![component("Engine", ENGINE_VERSION, Some(details))];
    if let Ok(answer) = engine.containerd.without_patience().version().version(()).await {
        let answer = answer.into_inner();
        components.push(component("containerd", &answer.version, commit(&answer.revision)));
    }
    components.push(component("corten", own, commit(own)));
    Ok(Version {
        platform: Platform { name: format!("Corten {own}") },
        components: Some(components),
        version: ENGINE_VERSION.into(),
        api_version: MAXIMUM.to_string(),
        min_api_version: MINIMUM.to_string(),
        git_commit: own.into(),
        go_version: "rust".into(),
        os: "linux".into(),
        arch: go_arch().into(),
        kernel_version: kernel,
        experimental: false,
        build_time: String::new(),
    })
}

/// `uname -r`.
pub fn kernel_release() -> String {
    std::fs::read_to_string("/proc/sys/kernel/osrelease").map(|text| text.trim().to_owned()).unwrap_or_default()
}

/// Go's word for this processor.
pub const fn go_arch() -> &'static str {
    if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" }
}

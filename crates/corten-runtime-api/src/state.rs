//! What `state` and `list --format json` print (runtime-spec, runtime.md, "State", and runc's additions).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The state of one container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct State {
    /// The specification's version.
    pub oci_version: String,
    /// The container's id.
    pub id: String,
    /// The first process's id in the host's namespace; 0 when it has ended.
    pub pid: i32,
    /// `creating`, `created`, `running`, `paused` or `stopped`.
    pub status: String,
    /// The bundle's absolute path.
    pub bundle: String,
    /// The root filesystem's absolute path.
    pub rootfs: String,
    /// When it was created, as RFC 3339 with nanoseconds.
    pub created: String,
    /// The spec's annotations.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// The user that owns the state directory.
    #[serde(default)]
    pub owner: String,
}

//! `spec`: writes a config.json to begin from, with the values of runc's.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use corten_cgroups::Host;
use corten_runtime_api::arguments::Spec;
use corten_sys::credentials::{effective_group, effective_user};

/// Why the file could not be written.
#[derive(Debug, thiserror::Error)]
pub enum TemplateError {
    /// It is there.
    #[error("File {} exists. Remove it first", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// It could not be written.
    #[error("write {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

const TEMPLATE: &str = include_str!("spec_template.json");

/// Writes the file into the bundle.
///
/// # Errors
/// [`TemplateError`]; an existing file is not touched.
pub fn spec(arguments: &Spec) -> Result<(), TemplateError> {
    let path = arguments.bundle.as_deref().unwrap_or(Path::new(".")).join("config.json");
    // Where cgroups are v2 alone, a container has its own view of them.
    let text = if Host::detect().is_ok_and(|host| host.is_v2()) { with_cgroups() } else { TEMPLATE.to_owned() };
    let text = if arguments.rootless { rootless(&text) } else { text };
    let file = match OpenOptions::new().write(true).create_new(true).open(&path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Err(TemplateError::Exists { path }),
        result => result,
    };
    file.and_then(|mut file| file.write_all(text.as_bytes())).map_err(|source| TemplateError::Write { path, source })
}

fn with_cgroups() -> String {
    const LAST: &str = "\"type\": \"mount\"\n\t\t\t}";
    TEMPLATE.replacen(LAST, &format!("{LAST},\n\t\t\t{{\n\t\t\t\t\"type\": \"cgroup\"\n\t\t\t}}"), 1)
}

/// For a user without privilege: a user namespace with one id, the host's network and its /sys, no limits.
fn rootless(template: &str) -> String {
    let Ok(mut spec) = serde_json::from_str::<serde_json::Value>(template) else { return template.to_owned() };
    let (uid, gid) = (effective_user(), effective_group());
    let linux = &mut spec["linux"];
    if let Some(namespaces) = linux["namespaces"].as_array_mut() {
        namespaces.retain(|namespace| namespace["type"] != "network");
        namespaces.push(serde_json::json!({"type": "user"}));
    }
    linux["uidMappings"] = serde_json::json!([{"containerID": 0, "hostID": uid, "size": 1}]);
    linux["gidMappings"] = serde_json::json!([{"containerID": 0, "hostID": gid, "size": 1}]);
    if let Some(linux) = linux.as_object_mut() {
        linux.remove("resources");
    }
    if let Some(mounts) = spec["mounts"].as_array_mut() {
        for mount in mounts {
            if mount["type"] == "sysfs" {
                *mount = serde_json::json!({"destination": "/sys", "type": "none", "source": "/sys",
                    "options": ["rbind", "nosuid", "noexec", "nodev", "ro"]});
            }
            if let Some(options) = mount["options"].as_array_mut() {
                options.retain(|option| {
                    option.as_str().is_none_or(|text| !text.starts_with("gid=") && !text.starts_with("uid="))
                });
            }
        }
    }
    serde_json::to_string_pretty(&spec).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_template_can_be_read_as_specs() {
        let own =
            [(TEMPLATE.to_owned(), 0), (rootless(TEMPLATE), 0), (with_cgroups(), 1), (rootless(&with_cgroups()), 1)];
        for (text, cgroups) in own {
            let spec = crate::spec::Spec::parse(text.as_bytes()).expect("parses");
            assert_eq!(spec.process.expect("a process").args, ["sh"]);
            let found = spec.linux.namespaces.iter().filter(|namespace| namespace.kind == "cgroup").count();
            assert_eq!(found, cgroups);
        }
    }
}

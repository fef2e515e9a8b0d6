//! Where a container's cgroups lie, from `linux.cgroupsPath`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::host::Host;

/// A container's cgroups: one directory per hierarchy.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cgroup {
    pub(crate) directories: Vec<Directory>,
}

/// The directory in one hierarchy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Directory {
    /// The v1 controllers; empty for the v2 hierarchy.
    pub controllers: Vec<String>,
    /// The directory.
    pub path: PathBuf,
}

impl Directory {
    /// Whether it lies in the v2 hierarchy.
    #[must_use]
    pub fn is_unified(&self) -> bool {
        self.controllers.is_empty()
    }

    pub(crate) fn is_cpuset(&self) -> bool {
        self.controllers.iter().any(|controller| controller == "cpuset")
    }
}

impl Host {
    /// The cgroups of container `id` for `cgroups_path`: an absolute path is taken from the root of each hierarchy,
    /// a relative one (or none: the id) from the caller's own cgroup, as runc does.
    #[must_use]
    pub fn place(&self, cgroups_path: Option<&str>, id: &str) -> Cgroup {
        let wanted = cgroups_path.filter(|path| !path.is_empty()).unwrap_or(id);
        let below = clean(wanted);
        let is_absolute = wanted.starts_with('/');
        let at = |mount: &Path, own: &str| {
            let base = if is_absolute { mount.to_owned() } else { mount.join(own.trim_start_matches('/')) };
            base.join(&below)
        };
        let mut directories: Vec<_> = self
            .v1
            .iter()
            .map(|hierarchy| Directory {
                controllers: hierarchy.controllers.clone(),
                path: at(&hierarchy.mount, &hierarchy.own),
            })
            .collect();
        if let Some(unified) = &self.unified {
            // On v2 a cgroup with processes cannot give controllers to children: a sibling is made instead.
            let own = if self.is_v2() { parent(&unified.own) } else { &unified.own };
            directories.push(Directory { controllers: Vec::new(), path: at(&unified.mount, own) });
        }
        Cgroup { directories }
    }
}

impl Host {
    /// What a container with the cgroups `cgroup` is in: in the v1 hierarchies that were left out, the caller's own.
    #[must_use]
    pub fn memberships(&self, cgroup: &Cgroup) -> Cgroup {
        let directories = self.v1.iter().map(|hierarchy| {
            let is_same = |directory: &&Directory| directory.controllers == hierarchy.controllers;
            let own = || Directory {
                controllers: hierarchy.controllers.clone(),
                path: hierarchy.mount.join(hierarchy.own.trim_start_matches('/')),
            };
            cgroup.directories.iter().find(is_same).cloned().unwrap_or_else(own)
        });
        let unified = cgroup.directories.iter().filter(|directory| directory.is_unified()).cloned();
        Cgroup { directories: directories.chain(unified).collect() }
    }
}

fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("/", |(parent, _)| parent)
}

/// The path without `.`, empty and `..` components: it cannot leave the hierarchy.
fn clean(path: &str) -> PathBuf {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts.iter().collect()
}

impl Cgroup {
    /// The cgroups recorded by [`Cgroup::paths`].
    #[must_use]
    pub fn from_paths(paths: &BTreeMap<String, PathBuf>) -> Self {
        let mut directories: Vec<Directory> = Vec::new();
        for (controller, path) in paths {
            let known = directories.iter_mut().find(|known| known.path == *path && !controller.is_empty());
            match known {
                Some(known) => known.controllers.push(controller.clone()),
                None => {
                    let controllers = if controller.is_empty() { Vec::new() } else { vec![controller.clone()] };
                    directories.push(Directory { controllers, path: path.clone() });
                }
            }
        }
        Self { directories }
    }

    /// Each controller's directory, with the key `""` for the v2 hierarchy: what runc's state.json holds.
    #[must_use]
    pub fn paths(&self) -> BTreeMap<String, PathBuf> {
        let mut paths = BTreeMap::new();
        for directory in &self.directories {
            if directory.is_unified() {
                paths.insert(String::new(), directory.path.clone());
            }
            for controller in &directory.controllers {
                paths.insert(controller.clone(), directory.path.clone());
            }
        }
        paths
    }

    /// The directories, in the order of the hierarchies.
    #[must_use]
    pub fn directories(&self) -> &[Directory] {
        &self.directories
    }

    /// Whether controllers are on the v2 hierarchy.
    #[must_use]
    pub fn is_v2(&self) -> bool {
        self.directories.iter().all(Directory::is_unified)
    }

    /// The directory of a v1 controller.
    #[must_use]
    pub fn v1(&self, controller: &str) -> Option<&Path> {
        self.directories
            .iter()
            .find(|directory| directory.controllers.iter().any(|known| known == controller))
            .map(|directory| directory.path.as_path())
    }

    /// The directory in the v2 hierarchy.
    #[must_use]
    pub fn unified(&self) -> Option<&Path> {
        self.directories.iter().find(|directory| directory.is_unified()).map(|directory| directory.path.as_path())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::{Hierarchy, Unified};

    fn hybrid() -> Host {
        let hierarchy = |controllers: &[&str], own: &str| Hierarchy {
            controllers: controllers.iter().map(|name| (*name).to_owned()).collect(),
            mount: Path::new("/cg").join(controllers.join(",")),
            own: own.to_owned(),
        };
        Host {
            v1: vec![hierarchy(&["cpu", "cpuacct"], "/"), hierarchy(&["memory"], "/me")],
            unified: Some(Unified { mount: "/cg/unified".into(), own: "/".into() }),
        }
    }

    #[test]
    fn a_path_is_placed_in_every_hierarchy() {
        for (given, cpu, memory) in [
            (Some("/docker/web"), "/cg/cpu,cpuacct/docker/web", "/cg/memory/docker/web"),
            (Some("a/web"), "/cg/cpu,cpuacct/a/web", "/cg/memory/me/a/web"),
            (None, "/cg/cpu,cpuacct/web", "/cg/memory/me/web"),
            (Some("/../../etc/./x"), "/cg/cpu,cpuacct/etc/x", "/cg/memory/etc/x"),
        ] {
            let cgroup = hybrid().place(given, "web");
            assert_eq!(cgroup.v1("cpuacct"), Some(Path::new(cpu)), "{given:?}");
            assert_eq!(cgroup.v1("memory"), Some(Path::new(memory)), "{given:?}");
        }
    }

    #[test]
    fn on_v2_a_relative_path_lies_beside_the_caller() {
        let host = Host { v1: Vec::new(), unified: Some(Unified { mount: "/cg".into(), own: "/a/me".into() }) };
        assert_eq!(host.place(None, "web").unified(), Some(Path::new("/cg/a/web")));
    }

    #[test]
    fn what_was_left_out_is_where_the_caller_is() {
        let whole = hybrid().place(Some("/docker/web"), "web");
        let only_cpu = Cgroup { directories: whole.directories[..1].to_vec() };
        let found = hybrid().memberships(&only_cpu);
        assert_eq!(found.v1("cpu"), Some(Path::new("/cg/cpu,cpuacct/docker/web")));
        assert_eq!(found.v1("memory"), Some(Path::new("/cg/memory/me")));
        assert_eq!(found.unified(), None);
    }

    #[test]
    fn recorded_paths_give_the_same_cgroup() {
        let cgroup = hybrid().place(Some("/docker/web"), "web");
        let again = Cgroup::from_paths(&cgroup.paths());
        assert_eq!(again.paths(), cgroup.paths());
        assert_eq!(again.directories().len(), 3);
    }
}

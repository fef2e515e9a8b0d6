//! /proc/self/cgroup and /proc/self/mountinfo, and the path of a container's cgroup.

use std::path::{Component, PathBuf};

use corten_cgroups::{Hierarchy, Host, Unified, memberships, mount_of};

use crate::{
    each_input,
    mutate::{bytes, word},
};

const CGROUP: &str = "12:cpu,cpuacct:/a\n3:name=systemd:/user.slice/x.scope\n0::/init.scope\n5:memory:/a:b\n";
const MOUNTINFO: &str = "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755\n\
    32 31 0:29 / /cg/both\\040x rw,relatime shared:3 master:2 - cgroup cgroup rw,cpu,cpuacct\n\
    33 31 0:30 /part /cg/sd rw - cgroup cgroup rw,xattr,name=systemd\n";

#[test]
fn hierarchies_are_found_or_not() {
    each_input("cgroup and mountinfo", |random| {
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        let (own, table) = (text(bytes(random, CGROUP.as_bytes())), text(bytes(random, MOUNTINFO.as_bytes())));
        for (controllers, _) in memberships(&own) {
            let _ = mount_of(&table, controllers);
        }
        let _ = mount_of(&table, "cpu,cpuacct");
    });
}

#[test]
fn a_cgroup_stays_below_its_hierarchy() {
    let mount = PathBuf::from("/sys/fs/cgroup/pids");
    each_input("cgroupsPath", |random| {
        let hierarchy =
            Hierarchy { controllers: vec!["pids".to_owned()], mount: mount.clone(), own: "/a/b".to_owned() };
        let unified = Unified { mount: mount.clone(), own: "/c".to_owned() };
        let host = Host { v1: vec![hierarchy], unified: Some(unified) };
        let parts: Vec<String> = (0..random.below(6)).map(|_| word(random)).collect();
        let cgroup = host.place(Some(&parts.join("/")), "id");
        for directory in cgroup.directories() {
            let leaves = directory.path.components().any(|part| part == Component::ParentDir);
            assert!(directory.path.starts_with(&mount) && !leaves, "{}", directory.path.display());
        }
    });
}

//! Users and groups by name, as the root file system of a container has them.
//!
//! The files are read out of the snapshot's layers by descriptor, topmost first, so nothing has to be mounted.

use std::ffi::OsStr;
use std::io::Read;
use std::os::fd::AsFd;
use std::path::Path;

use corten_proto::containerd::types::Mount;
use corten_sys::at;

use crate::session::{Failure, sentence};

/// Largest passwd or group file that is read.
const FILE_MAX: u64 = 1 << 20;

/// Who a process runs as.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct User {
    /// Its uid.
    pub uid: u32,
    /// Its gid.
    pub gid: u32,
    /// All its groups, the first included.
    pub groups: Vec<u32>,
}

/// The contents of passwd and group.
#[derive(Debug, Clone, Default)]
pub struct Names {
    passwd: String,
    group: String,
}

impl Names {
    /// Reads them from what a snapshot's mounts show.
    pub fn of(mounts: &[Mount]) -> Self {
        let mut layers = Vec::new();
        for mount in mounts {
            let option = |name: &str| mount.options.iter().find_map(|option| option.strip_prefix(name));
            if mount.r#type == "bind" {
                layers.push(mount.source.clone());
            }
            layers.extend(option("upperdir=").map(str::to_owned));
            layers.extend(option("lowerdir=").into_iter().flat_map(|lowers| lowers.split(':')).map(str::to_owned));
        }
        Self { passwd: read(&layers, "passwd"), group: read(&layers, "group") }
    }

    /// Reads them from a directory.
    pub fn in_directory(root: &str) -> Self {
        let layers = [root.to_owned()];
        Self { passwd: read(&layers, "passwd"), group: read(&layers, "group") }
    }

    /// Finds `USER[:GROUP]`, names or numbers.
    ///
    /// # Errors
    /// The name that is not there.
    pub fn find(&self, text: &str) -> Result<User, Failure> {
        let (user, group) = text.split_once(':').map_or((text, None), |(user, group)| (user, Some(group)));
        let row = self
            .passwd
            .lines()
            .map(|line| line.split(':').collect::<Vec<_>>())
            .find(|row| row.len() > 3 && (row[0] == user || (user.parse::<u32>().is_ok() && row[2] == user)));
        let number = |text: &str| text.parse::<u32>().ok();
        let (uid, mut gid, name) = match (&row, number(user)) {
            (Some(row), _) => (number(row[2]).unwrap_or(0), number(row[3]).unwrap_or(0), row[0]),
            (None, Some(uid)) => (uid, 0, ""),
            (None, None) if user.is_empty() => (0, 0, "root"),
            (None, None) => return Err(sentence(format!("unable to find user {user}: no such file or directory"))),
        };
        if let Some(group) = group.filter(|group| !group.is_empty()) {
            gid = match number(group).or_else(|| self.group_of(group)) {
                Some(gid) => gid,
                None => return Err(sentence(format!("unable to find group {group}: no such file or directory"))),
            };
        }
        let mut groups = vec![gid];
        if group.is_none() && !name.is_empty() {
            for row in self.group.lines().map(|line| line.split(':').collect::<Vec<_>>()).filter(|row| row.len() > 3) {
                if row[3].split(',').any(|member| member == name) {
                    groups.extend(number(row[2]).filter(|gid| !groups.contains(gid)));
                }
            }
        }
        Ok(User { uid, gid, groups })
    }

    fn group_of(&self, name: &str) -> Option<u32> {
        let rows = self.group.lines().map(|line| line.split(':').collect::<Vec<_>>());
        rows.filter(|row| row.len() > 2 && row[0] == name).find_map(|row| row[2].parse().ok())
    }
}

fn read(layers: &[String], file: &str) -> String {
    for layer in layers {
        let Ok(root) = at::open_root(Path::new(layer)) else { continue };
        let Ok(etc) = at::open_dir_in_root(root.as_fd(), OsStr::new("etc")) else { continue };
        let Ok(file) = at::open_file(etc.as_fd(), OsStr::new(file)) else { continue };
        let mut text = Vec::new();
        if file.take(FILE_MAX).read_to_end(&mut text).is_ok() {
            return String::from_utf8_lossy(&text).into_owned();
        }
    }
    String::new()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_found_by_name_and_number() {
        let names = Names {
            passwd: "root:x:0:0:root:/root:/bin/sh\nweb:x:33:34::/:\n".into(),
            group: "root:x:0:\nstaff:x:50:web,root\n".into(),
        };
        for (text, uid, gid, groups) in [
            ("", 0, 0, vec![0, 50]),
            ("web", 33, 34, vec![34, 50]),
            ("33", 33, 34, vec![34, 50]),
            ("web:staff", 33, 50, vec![50]),
            ("1000", 1000, 0, vec![0]),
            ("1000:7", 1000, 7, vec![7]),
        ] {
            assert_eq!(names.find(text).unwrap(), User { uid, gid, groups }, "{text}");
        }
        assert!(names.find("nobody").is_err());
        assert!(names.find("web:nope").is_err());
    }
}

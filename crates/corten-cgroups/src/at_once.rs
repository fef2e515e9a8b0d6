//! Making a container's cgroups with as few system calls as there can be: for the machine as it nearly always is.
//!
//! Nothing is looked at first. Directories are made where hierarchies are presumed ([`Host::presume`](crate::Host::presume)),
//! and `tasks`, which is opened to be joined by anyway, is only in what is a cgroup.

use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use corten_sys::files;

use crate::create::{CPUSET_FILES, make_one, open};
use crate::place::{Cgroup, Directory};

/// What was opened on the way.
#[derive(Debug, Default)]
pub struct Opened {
    /// `tasks` of each hierarchy of v1: a process with one thread joins by writing `0` to each.
    pub join: Vec<OwnedFd>,
    /// What nobody needs any more, to be closed with other descriptors in one call.
    pub spent: Vec<OwnedFd>,
}

impl Cgroup {
    /// Makes the directories; `None` when one is there, the one above it is not, or it cannot be made: nothing is left
    /// then, and [`Cgroup::create`] does what is to be done, or tells why not.
    #[must_use]
    pub fn create_at_once(&self) -> Option<Opened> {
        let mut opened = Opened::default();
        for (done, directory) in self.directories.iter().enumerate() {
            if make(directory, &mut opened).is_err() {
                for made in &self.directories[..done] {
                    let _ = fs::remove_dir(&made.path); // what cannot be removed is found by the record
                }
                return None;
            }
        }
        Some(opened)
    }
}

/// Makes one directory; it is gone when this fails.
fn make(directory: &Directory, opened: &mut Opened) -> io::Result<()> {
    make_one(&directory.path)?;
    let ready = fill(directory, opened);
    if ready.is_err() {
        let _ = fs::remove_dir(&directory.path); // as above
    }
    ready
}

fn fill(directory: &Directory, opened: &mut Opened) -> io::Result<()> {
    if directory.is_unified() {
        return Ok(());
    }
    opened.join.push(open(&directory.path.join("tasks"), files::O_WRONLY)?);
    if !directory.is_cpuset() {
        return Ok(());
    }
    let parent = directory.path.parent().ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
    for name in CPUSET_FILES {
        let above = open(&parent.join(name), files::O_RDONLY)?;
        let mut set = [0; SET_BYTES];
        let length = files::read(above.as_fd(), &mut set)?;
        let own = open(&directory.path.join(name), files::O_WRONLY)?;
        // One that is empty, or too long to be taken whole, is left to who looks further up.
        let set = set[..length].trim_ascii_end();
        if set.is_empty() || length == SET_BYTES {
            return Err(io::Error::from(io::ErrorKind::InvalidData));
        }
        files::write(own.as_fd(), set)?;
        opened.spent.push(above);
        opened.spent.push(own);
    }
    Ok(())
}

/// A list of CPUs that is longer has thousands of them.
const SET_BYTES: usize = 4096;

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn cgroup(directories: &[(&[&str], &Path)]) -> Cgroup {
        let directories = directories.iter().map(|(controllers, path)| Directory {
            controllers: controllers.iter().map(|name| (*name).to_owned()).collect(),
            path: path.to_path_buf(),
        });
        Cgroup { directories: directories.collect() }
    }

    /// A directory beside the hierarchies is none of them: `tasks` is missing in what is made there.
    #[test]
    fn what_is_no_hierarchy_is_left_as_it_was() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let (first, second) = (directory.path().join("unified"), directory.path().join("memory"));
        for path in [&first, &second] {
            fs::create_dir(path).expect("mkdir");
        }
        let places: [(&[&str], &Path); 2] = [(&[], &first.join("web")), (&["memory"], &second.join("web"))];
        assert!(cgroup(&places).create_at_once().is_none());
        for path in [first, second] {
            assert_eq!(fs::read_dir(&path).expect("reads").count(), 0, "{}", path.display());
        }
    }

    #[test]
    fn nothing_above_is_made_and_nothing_there_is_taken() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let missing = directory.path().join("a/web");
        assert!(cgroup(&[(&["memory"], &missing)]).create_at_once().is_none());
        assert!(cgroup(&[(&["memory"], directory.path())]).create_at_once().is_none());
        assert_eq!(fs::read_dir(directory.path()).expect("reads").count(), 0);
    }
}

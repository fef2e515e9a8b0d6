//! The bundle: the directory that names a task on disk, before anything of it runs.
//!
//! ```text
//! <state>/io.containerd.runtime.v2.task/<namespace>/<id>/
//!   config.json  rootfs/  work -> <root>/…/<namespace>/<id>  log (a fifo)  shim-binary-path
//!   address | bootstrap.json, options.json, runtime, init.pid, …       (the shim's)
//! ```

use std::{
    fs, io,
    os::{
        fd::AsFd,
        unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt, chown, symlink},
    },
    path::{Path, PathBuf},
};

use corten_sys::at;
use serde::Deserialize;

use crate::{
    config::Config,
    error::{Error, Result},
};

const DIRECTORY: &str = "io.containerd.runtime.v2.task";

/// A task's directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bundle {
    /// The namespace.
    pub namespace: String,
    /// The container's id.
    pub id: String,
    /// The directory itself.
    pub path: PathBuf,
    /// What the task keeps on disk, emptied with it.
    pub work: PathBuf,
}

impl Bundle {
    /// Where the bundle of a task is, whether it exists or not.
    pub fn at(config: &Config, namespace: &str, id: &str) -> Self {
        let place = Path::new(DIRECTORY).join(namespace).join(id);
        let (path, work) = (config.state.join(&place), config.root.join(&place));
        Self { namespace: namespace.to_owned(), id: id.to_owned(), path, work }
    }

    /// Every bundle there is, and every directory that is not (yet, or any more) one.
    ///
    /// A work directory without its bundle (its removal was cut short, or the machine went down) is removed.
    ///
    /// # Errors
    /// The kernel's.
    pub fn all(config: &Config) -> io::Result<Vec<Self>> {
        let mut bundles = Vec::new();
        for namespace in names(&config.state.join(DIRECTORY))? {
            for id in names(&config.state.join(DIRECTORY).join(&namespace))? {
                bundles.push(Self::at(config, &namespace, &id));
            }
        }
        for namespace in names(&config.root.join(DIRECTORY))? {
            for id in names(&config.root.join(DIRECTORY).join(&namespace))? {
                let bundle = Self::at(config, &namespace, &id);
                if !bundle.path.exists() {
                    remove_unmounted(&bundle.work)?;
                }
            }
        }
        Ok(bundles)
    }

    /// The program its shim was started from.
    pub fn shim_binary(&self) -> Option<PathBuf> {
        fs::read_to_string(self.path.join("shim-binary-path")).ok().map(|text| PathBuf::from(text.trim()))
    }

    /// Removes bundle and work directory: renamed first, so that no half bundle is ever adopted.
    ///
    /// # Errors
    /// The kernel's; what is not there is no error.
    pub fn remove(&self) -> io::Result<()> {
        for path in [&self.path, &self.work] {
            let mut doomed = path.clone();
            doomed.set_file_name(format!(".{}", self.id));
            remove_unmounted(&doomed)?;
            match fs::rename(path, &doomed) {
                Ok(()) => remove_unmounted(&doomed)?,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// Removes a bundle's directory. Its rootfs is unmounted first, and no mount is entered after that: through one that
/// stayed, the container's files would be removed. What a runtime killed half way left in the bare rootfs goes too.
fn remove_unmounted(directory: &Path) -> io::Result<()> {
    corten_sys::mount_options::unmount_all(&directory.join("rootfs"))?;
    let (Some(parent), Some(name)) = (directory.parent(), directory.file_name()) else { return Ok(()) };
    match at::open_root(parent) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        parent => at::remove_all(parent?.as_fd(), name),
    }
}

/// Writes the bundle of a task that is to be created.
///
/// # Errors
/// `AlreadyExists` when there is one; nothing is left behind.
pub fn write(config: &Config, namespace: &str, id: &str, spec: &[u8], shim_binary: &Path) -> Result<Bundle> {
    crate::identifier::validate(id).map_err(|error| error.within(format!("invalid task id {id}")))?;
    let bundle = Bundle::at(config, namespace, id);
    let parents = make_parents(&bundle);
    parents.and_then(|()| fs::DirBuilder::new().mode(0o700).create(&bundle.path)).map_err(|error| {
        match error.kind() {
            io::ErrorKind::AlreadyExists => Error::already_exists(format!("bundle {}", bundle.path.display())),
            _ => Error::io(format!("make bundle {}", bundle.path.display()), &error),
        }
    })?;
    match fill(&bundle, spec, shim_binary) {
        Ok(()) => Ok(bundle),
        Err(error) => {
            let text = Error::io(format!("write bundle {}", bundle.path.display()), &error);
            if let Err(left) = bundle.remove() {
                return Err(text.within(format!("{} is left: {left}", bundle.path.display())));
            }
            Err(text)
        }
    }
}

fn make_parents(bundle: &Bundle) -> io::Result<()> {
    for path in [&bundle.path, &bundle.work] {
        if let Some(parent) = path.parent() {
            // Passable, for processes of user namespaces that reach the rootfs by path.
            fs::DirBuilder::new().recursive(true).mode(0o711).create(parent)?;
        }
    }
    Ok(())
}

fn fill(bundle: &Bundle, spec: &[u8], shim_binary: &Path) -> io::Result<()> {
    // What a task of the same name left on disk when the machine went down.
    match fs::remove_dir_all(&bundle.work) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    fs::DirBuilder::new().mode(0o711).create(&bundle.work)?;
    symlink(&bundle.work, bundle.path.join("work"))?;
    fs::DirBuilder::new().mode(0o711).create(bundle.path.join("rootfs"))?;
    fs::write(bundle.path.join("shim-binary-path"), shim_binary.as_os_str().as_encoded_bytes())?;
    if let Some(gid) = mapped_root_group(spec) {
        chown(&bundle.path, Some(0), Some(gid))?;
        fs::set_permissions(&bundle.path, fs::Permissions::from_mode(0o710))?;
    }
    let mut config =
        fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(bundle.path.join("config.json"))?;
    io::Write::write_all(&mut config, spec)
}

/// The host's group that is root's inside the container's user namespace, if it has one.
fn mapped_root_group(spec: &[u8]) -> Option<u32> {
    #[derive(Deserialize)]
    struct Spec {
        linux: Option<Linux>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Linux {
        #[serde(default)]
        gid_mappings: Vec<Mapping>,
    }
    #[derive(Deserialize)]
    struct Mapping {
        #[serde(rename = "containerID")]
        container_id: u32,
        #[serde(rename = "hostID")]
        host_id: u32,
    }
    // A spec that does not parse is refused by the runtime, with a better word than could be said here.
    let mappings = serde_json::from_slice::<Spec>(spec).ok()?.linux?.gid_mappings;
    mappings.iter().find(|mapping| mapping.container_id == 0).map(|mapping| mapping.host_id)
}

/// Names in a directory; none when it does not exist. Names beginning with a dot are half removed.
fn names(directory: &Path) -> io::Result<Vec<String>> {
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut found = Vec::new();
    for entry in entries {
        match entry?.file_name().into_string() {
            Ok(name) if name.starts_with('.') => remove_unmounted(&directory.join(name))?,
            Ok(name) => found.push(name),
            Err(_) => {}
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(root: &Path) -> Config {
        let (state, address) = (root.join("state"), root.join("s.sock"));
        Config { root: root.join("root"), state, address, log_level: "info".into() }
    }

    #[test]
    fn a_bundle_is_written_once_found_again_and_removed_whole() {
        let directory = tempfile::tempdir().unwrap();
        let config = config(directory.path());
        let bundle = write(&config, "ns", "c", b"{}", Path::new("/bin/shim")).unwrap();
        assert!(
            write(&config, "ns", "c", b"{}", Path::new("/bin/shim"))
                .unwrap_err()
                .to_string()
                .ends_with("already exists")
        );
        assert_eq!(Bundle::all(&config).unwrap(), std::slice::from_ref(&bundle));
        assert_eq!(bundle.shim_binary().unwrap(), Path::new("/bin/shim"));
        bundle.remove().unwrap();
        assert_eq!(Bundle::all(&config).unwrap(), []);
        assert!(!bundle.work.exists());
    }

    #[test]
    fn a_work_directory_whose_bundle_is_gone_is_removed_at_the_next_start() {
        let directory = tempfile::tempdir().unwrap();
        let config = config(directory.path());
        let [gone, kept] = ["gone", "kept"].map(|id| write(&config, "ns", id, b"{}", Path::new("/bin/shim")).unwrap());
        fs::remove_dir_all(&gone.path).unwrap();
        assert_eq!(Bundle::all(&config).unwrap(), std::slice::from_ref(&kept));
        assert!(!gone.work.exists() && kept.work.exists());
    }

    #[test]
    fn what_was_written_into_the_bare_rootfs_is_removed_with_it() {
        let directory = tempfile::tempdir().unwrap();
        let config = config(directory.path());
        let bundle = write(&config, "ns", "c", b"{}", Path::new("/bin/shim")).unwrap();
        fs::create_dir_all(bundle.path.join("rootfs/etc")).unwrap();
        fs::write(bundle.path.join("rootfs/etc/hosts"), "").unwrap();
        bundle.remove().unwrap();
        assert_eq!(names(&config.state.join(DIRECTORY).join("ns")).unwrap(), Vec::<String>::new());
        assert!(!bundle.path.exists() && !bundle.work.exists());
    }

    #[test]
    fn an_id_that_is_a_path_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        assert!(write(&config(directory.path()), "ns", "../../x", b"{}", Path::new("/s")).is_err());
    }

    #[test]
    fn the_group_of_a_mapped_root_is_found() {
        let spec = br#"{"linux":{"gidMappings":[{"containerID":1,"hostID":5,"size":1},{"containerID":0,"hostID":9,"size":1}]}}"#;
        assert_eq!(mapped_root_group(spec), Some(9));
        assert_eq!(mapped_root_group(b"{}"), None);
    }
}

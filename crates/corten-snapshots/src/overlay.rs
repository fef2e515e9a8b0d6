//! Snapshots as directories for overlayfs, laid out as containerd's snapshotter lays them out:
//! `<root>/io.containerd.snapshotter.v1.overlayfs/snapshots/<id>/{fs,work}`.
//!
//! `fs` is the layer, `work` overlayfs' scratch space, which only writable snapshots have. A committed snapshot keeps
//! its number, so committing moves nothing.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use corten_sys::{at, filesystem};
use corten_types::ErrorKind;

use crate::{Kind, Mount, Usage};

/// Most layers below a snapshot: the kernel takes 500 lower directories (overlayfs, OVL_MAX_STACK).
const PARENTS_MAX: usize = 500;

/// The overlayfs snapshotter's directories.
#[derive(Debug, Clone)]
pub struct Overlay {
    root: PathBuf,
    snapshots: PathBuf,
    index_off: bool,
}

/// Why the snapshotter cannot be used, or a snapshot cannot be made, shown, measured or removed.
#[derive(Debug, thiserror::Error)]
pub enum OverlayError {
    /// The file system does not say what a name is when it lists a directory.
    #[error(
        "{} is on a file system without d_type, where overlayfs loses whiteouts: use one made with `mkfs.xfs -n ftype=1` or ext4",
        path.display()
    )]
    NoFileTypes {
        /// The snapshotter's directory.
        path: PathBuf,
    },
    /// The directory itself lies on an overlay or another system that overlayfs cannot write to.
    #[error("{} is on {filesystem}, which overlayfs cannot use for its upper directory: move --root to ext4, xfs or btrfs", path.display())]
    Unsuitable {
        /// The snapshotter's directory.
        path: PathBuf,
        /// What it is on.
        filesystem: &'static str,
    },
    /// More layers than the kernel stacks.
    #[error("snapshot {id} has {parents} layers below it, overlayfs takes {PARENTS_MAX}")]
    TooManyParents {
        /// The snapshot.
        id: u64,
        /// How many.
        parents: usize,
    },
    /// A directory of a snapshot is not there.
    #[error("snapshot directory {} is missing", path.display())]
    Missing {
        /// The directory.
        path: PathBuf,
    },
    /// The kernel refused.
    #[error("{operation} {}", path.display())]
    Io {
        /// What was being done.
        operation: &'static str,
        /// To what.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl OverlayError {
    /// What went wrong, for the edge.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::NoFileTypes { .. } | Self::Unsuitable { .. } => ErrorKind::FailedPrecondition,
            Self::TooManyParents { .. } => ErrorKind::InvalidArgument,
            Self::Missing { .. } => ErrorKind::NotFound,
            Self::Io { source, .. } => match source.kind() {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => ErrorKind::ResourceExhausted,
                _ => ErrorKind::Unknown,
            },
        }
    }
}

impl From<OverlayError> for io::Error {
    fn from(error: OverlayError) -> Self {
        let kind = match &error {
            OverlayError::Missing { .. } => io::ErrorKind::NotFound,
            OverlayError::TooManyParents { .. } => io::ErrorKind::InvalidInput,
            OverlayError::Io { source, .. } => source.kind(),
            OverlayError::NoFileTypes { .. } | OverlayError::Unsuitable { .. } => io::ErrorKind::Unsupported,
        };
        Self::new(kind, error)
    }
}

fn failed(operation: &'static str, path: &Path) -> impl FnOnce(io::Error) -> OverlayError {
    let path = path.to_owned();
    move |source| OverlayError::Io { operation, path, source }
}

impl Overlay {
    /// The snapshotter under `root`, whose directories are made where missing.
    ///
    /// # Errors
    /// [`OverlayError::NoFileTypes`] or [`OverlayError::Unsuitable`] when overlayfs would not work there.
    pub fn new(root: impl AsRef<Path>) -> Result<Self, OverlayError> {
        let root = root.as_ref().join("io.containerd.snapshotter.v1.overlayfs");
        let snapshots = root.join("snapshots");
        // 0700 above: what images hold (set-id programs, devices) is not for the host's users to reach.
        let mut builder = fs::DirBuilder::new();
        builder.recursive(true).mode(0o700).create(&snapshots).map_err(failed("create", &snapshots))?;
        check_file_system(&root)?;
        // A file system without such a flag has its own ways.
        let _ = fs::File::open(&snapshots).and_then(|directory| filesystem::spread_subdirectories(directory.as_fd()));
        // As containerd: layers are shared by many mounts, which the inode index refuses (overlayfs.rst).
        let index_off = Path::new("/sys/module/overlay/parameters/index").exists();
        Ok(Self { root, snapshots, index_off })
    }

    /// The snapshotter's own directory.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The directory that holds the layer of snapshot `id`.
    pub fn layer(&self, id: u64) -> PathBuf {
        self.snapshots.join(id.to_string()).join("fs")
    }

    fn work(&self, id: u64) -> PathBuf {
        self.snapshots.join(id.to_string()).join("work")
    }

    /// Makes the directories of snapshot `id` over `parents`, nearest first; what a killed attempt left goes first.
    ///
    /// The layer's own directory takes owner and mode of the nearest parent's, since in the overlay the upper one's
    /// are seen. The directories appear at once, by rename.
    ///
    /// # Errors
    /// [`OverlayError`]; nothing is left behind.
    pub fn prepare(&self, id: u64, parents: &[u64], kind: Kind) -> Result<(), OverlayError> {
        self.check_parents(id, parents)?;
        let home = self.snapshots.join(id.to_string());
        let new = self.snapshots.join(format!("new-{id}"));
        self.remove_by_name(&format!("new-{id}"))?;
        self.remove(id)?;
        let made =
            self.make(&new, parents, kind).and_then(|()| fs::rename(&new, &home).map_err(failed("create", &home)));
        if made.is_err() {
            // The error already says what happened; a leftover goes with the next attempt or the next start.
            let _ = self.remove_by_name(&format!("new-{id}"));
        }
        made
    }

    fn make(&self, new: &Path, parents: &[u64], kind: Kind) -> Result<(), OverlayError> {
        let mkdir = |path: &Path, mode| fs::DirBuilder::new().mode(mode).create(path).map_err(failed("create", path));
        mkdir(new, 0o700)?;
        let layer = new.join("fs");
        mkdir(&layer, 0o755)?;
        if kind == Kind::Active {
            mkdir(&new.join("work"), 0o711)?;
        }
        let mut mode = 0o755;
        if let Some(parent) = parents.first() {
            let stat = fs::metadata(self.layer(*parent)).map_err(failed("read", &self.layer(*parent)))?;
            use std::os::unix::fs::MetadataExt;
            mode = stat.mode() & 0o7777;
            std::os::unix::fs::chown(&layer, Some(stat.uid()), Some(stat.gid()))
                .map_err(failed("set the owner of", &layer))?;
        }
        // mkdir(2) is subject to the umask.
        fs::set_permissions(&layer, fs::Permissions::from_mode(mode)).map_err(failed("set the mode of", &layer))
    }

    fn check_parents(&self, id: u64, parents: &[u64]) -> Result<(), OverlayError> {
        if parents.len() > PARENTS_MAX {
            return Err(OverlayError::TooManyParents { id, parents: parents.len() });
        }
        match parents.iter().map(|parent| self.layer(*parent)).find(|layer| !layer.is_dir()) {
            Some(path) => Err(OverlayError::Missing { path }),
            None => Ok(()),
        }
    }

    /// The mounts that show snapshot `id`, option for option what containerd answers.
    ///
    /// A snapshot with nothing below, and a view of one layer, is a bind mount, since overlayfs needs two directories.
    pub fn mounts(&self, id: u64, parents: &[u64], kind: Kind) -> Vec<Mount> {
        let bind = |path: PathBuf, access: &str| {
            let source = path.display().to_string();
            vec![Mount { kind: "bind".into(), source, options: vec![access.into(), "rbind".into()] }]
        };
        match (parents, kind) {
            ([], Kind::Active) => return bind(self.layer(id), "rw"),
            ([], Kind::View | Kind::Committed) => return bind(self.layer(id), "ro"),
            ([parent], Kind::View) => return bind(self.layer(*parent), "ro"),
            _ => {}
        }
        let mut options = Vec::new();
        if self.index_off {
            options.push("index=off".to_owned());
        }
        if kind == Kind::Active {
            options.push(format!("workdir={}", self.work(id).display()));
            options.push(format!("upperdir={}", self.layer(id).display()));
        }
        let lowers: Vec<String> = parents.iter().map(|parent| self.layer(*parent).display().to_string()).collect();
        options.push(format!("lowerdir={}", lowers.join(":")));
        vec![Mount { kind: "overlay".into(), source: "overlay".into(), options }]
    }

    /// Puts snapshot `id`, which was written without a parent, on top of snapshot `parent`: a root directory that is
    /// still as it was made takes owner and mode of the parent's, as [`Overlay::prepare`] would have given it.
    ///
    /// # Errors
    /// [`OverlayError::Missing`] when one of them is not there.
    pub fn stand_on(&self, id: u64, parent: u64) -> Result<(), OverlayError> {
        use std::os::unix::fs::MetadataExt;
        let (own, below) = (self.layer(id), self.layer(parent));
        let stat = |path: &PathBuf| {
            fs::metadata(path).map_err(|error| match error.kind() {
                io::ErrorKind::NotFound => OverlayError::Missing { path: path.clone() },
                _ => failed("read", path)(error),
            })
        };
        let (mine, theirs) = (stat(&own)?, stat(&below)?);
        if (mine.mode() & 0o7777, mine.uid(), mine.gid()) != (0o755, 0, 0) {
            return Ok(());
        }
        std::os::unix::fs::chown(&own, Some(theirs.uid()), Some(theirs.gid()))
            .map_err(failed("set the owner of", &own))?;
        let mode = fs::Permissions::from_mode(theirs.mode() & 0o7777);
        fs::set_permissions(&own, mode).map_err(failed("set the mode of", &own))
    }

    /// Finishes snapshot `id`: overlayfs' scratch directory, which a parent never needs, goes.
    ///
    /// # Errors
    /// [`OverlayError::Missing`] when there is no such snapshot.
    pub fn commit(&self, id: u64) -> Result<(), OverlayError> {
        let layer = self.layer(id);
        if !layer.is_dir() {
            return Err(OverlayError::Missing { path: layer });
        }
        let home = self.snapshots.join(id.to_string());
        let dir = at::open_root(&home).map_err(failed("open", &home))?;
        at::remove_all(dir.as_fd(), OsStr::new("work")).map_err(failed("remove", &self.work(id)))
    }

    /// Removes snapshot `id` with all it holds; one that is not there is no error.
    ///
    /// # Errors
    /// As [`doom`](Overlay::doom) and [`clear`](Overlay::clear).
    pub fn remove(&self, id: u64) -> Result<(), OverlayError> {
        match self.doom(id)? {
            Some(doomed) => self.clear(&doomed),
            None => Ok(()),
        }
    }

    /// Takes snapshot `id` out of the way, so that a removal that is cut short never leaves half a layer under its
    /// number; under which name its files wait to be [cleared](Overlay::clear), if it was there.
    ///
    /// # Errors
    /// rename(2).
    pub fn doom(&self, id: u64) -> Result<Option<String>, OverlayError> {
        let home = self.snapshots.join(id.to_string());
        let doomed = format!("rm-{id}");
        match fs::rename(&home, self.snapshots.join(&doomed)) {
            Ok(()) => Ok(Some(doomed)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            // An older removal of the same number was cut short.
            Err(error) if matches!(error.kind(), io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::AlreadyExists) => {
                self.remove_by_name(&doomed)?;
                fs::rename(&home, self.snapshots.join(&doomed)).map_err(failed("remove", &home))?;
                Ok(Some(doomed))
            }
            Err(error) => Err(failed("remove", &home)(error)),
        }
    }

    /// Removes the files of what was [doomed](Overlay::doom).
    ///
    /// # Errors
    /// The first that could not be removed; what is left can be cleared again.
    pub fn clear(&self, doomed: &str) -> Result<(), OverlayError> {
        self.remove_by_name(doomed)
    }

    fn remove_by_name(&self, name: &str) -> Result<(), OverlayError> {
        let dir = at::open_root(&self.snapshots).map_err(failed("open", &self.snapshots))?;
        at::remove_all(dir.as_fd(), OsStr::new(name)).map_err(failed("remove", &self.snapshots.join(name)))
    }

    /// Takes every directory out of the way that `is_known` does not know, and finds what cut-short work left: the names
    /// to be [cleared](Overlay::clear). To be called before anything is prepared.
    ///
    /// # Errors
    /// A directory that cannot be listed or renamed.
    pub fn doom_unknown(&self, is_known: impl Fn(u64) -> bool) -> Result<Vec<String>, OverlayError> {
        let mut doomed = Vec::new();
        for name in self.names()? {
            match name.parse() {
                Ok(id) if is_known(id) => {}
                Ok(id) => doomed.extend(self.doom(id)?),
                Err(_) => doomed.push(name),
            }
        }
        Ok(doomed)
    }

    /// The largest number that a snapshot has or had whose files are still there.
    ///
    /// # Errors
    /// A directory that cannot be listed.
    pub fn largest(&self) -> Result<Option<u64>, OverlayError> {
        let number = |name: String| name.rsplit('-').next().and_then(|number| number.parse().ok());
        Ok(self.names()?.into_iter().filter_map(number).max())
    }

    /// Nobody but this makes entries here; other names than ours are not UTF-8 by accident only.
    fn names(&self) -> Result<Vec<String>, OverlayError> {
        let dir = at::open_root(&self.snapshots).map_err(failed("open", &self.snapshots))?;
        let names = at::read_dir(dir.as_fd()).map_err(failed("list", &self.snapshots))?;
        Ok(names.into_iter().filter_map(|name| name.into_string().ok()).collect())
    }

    /// What snapshot `id` itself takes on disk, its parents not counted.
    ///
    /// # Errors
    /// [`OverlayError::Missing`], or a directory that cannot be read.
    pub fn usage(&self, id: u64) -> Result<Usage, OverlayError> {
        let layer = self.layer(id);
        let dir = at::open_root(&layer).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => OverlayError::Missing { path: layer.clone() },
            _ => failed("open", &layer)(error),
        })?;
        Usage::of(dir.as_fd()).map_err(failed("measure", &layer))
    }

    /// Writes everything the snapshots hold to disk: once per image, before its record is written.
    ///
    /// # Errors
    /// syncfs(2).
    pub fn sync(&self) -> Result<(), OverlayError> {
        let dir = at::open_root(&self.snapshots).map_err(failed("open", &self.snapshots))?;
        at::syncfs(dir.as_fd()).map_err(failed("sync", &self.snapshots))
    }
}

/// Checks by trying, not by name, that directory listings carry types; then refuses what is known not to work.
fn check_file_system(root: &Path) -> Result<(), OverlayError> {
    let probe = root.join("d_type-probe");
    fs::DirBuilder::new().recursive(true).create(&probe).map_err(failed("create", &probe))?;
    let dir = at::open_root(root).map_err(failed("open", root))?;
    let has_types = at::lists_types(dir.as_fd()).map_err(failed("list", root));
    fs::remove_dir(&probe).map_err(failed("remove", &probe))?;
    if !has_types? {
        return Err(OverlayError::NoFileTypes { path: root.to_owned() });
    }
    // Magic numbers of statfs(2).
    let filesystem = match at::file_system(dir.as_fd()).map_err(failed("read", root))? {
        0x794c_7630 => "overlayfs",
        0x6969 => "NFS",
        0x6573_5546 => "FUSE",
        0xf15f => "ecryptfs",
        _ => return Ok(()),
    };
    Err(OverlayError::Unsuitable { path: root.to_owned(), filesystem })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn overlay() -> (tempfile::TempDir, Overlay) {
        let dir = tempfile::Builder::new().prefix("corten-snapshots-").tempdir().unwrap();
        let overlay = Overlay::new(dir.path()).unwrap();
        (dir, overlay)
    }

    fn options(mounts: &[Mount]) -> String {
        assert_eq!(mounts.len(), 1);
        format!("{} {} {}", mounts[0].kind, mounts[0].source, mounts[0].options.join(","))
    }

    #[test]
    fn mounts_are_what_containerd_answers() {
        let (dir, overlay) = overlay();
        let base = dir.path().join("io.containerd.snapshotter.v1.overlayfs/snapshots").display().to_string();
        for (id, parents, kind, expected) in [
            (1, &[][..], Kind::Active, "bind B/1/fs rw,rbind"),
            (1, &[], Kind::View, "bind B/1/fs ro,rbind"),
            (2, &[1], Kind::View, "bind B/1/fs ro,rbind"),
            (2, &[1], Kind::Active, "overlay overlay index=off,workdir=B/2/work,upperdir=B/2/fs,lowerdir=B/1/fs"),
            (3, &[2, 1], Kind::View, "overlay overlay index=off,lowerdir=B/2/fs:B/1/fs"),
        ] {
            assert_eq!(options(&overlay.mounts(id, parents, kind)), expected.replace('B', &base));
        }
    }

    #[test]
    fn a_snapshot_lives_from_prepare_to_remove() {
        let (_dir, overlay) = overlay();
        overlay.prepare(1, &[], Kind::Active).unwrap();
        fs::set_permissions(overlay.layer(1), fs::Permissions::from_mode(0o750)).unwrap();
        fs::write(overlay.layer(1).join("file"), vec![1; 8192]).unwrap();
        overlay.commit(1).unwrap();
        assert!(!overlay.work(1).exists());
        assert_eq!(overlay.usage(1).unwrap().inodes, 2);

        overlay.prepare(2, &[1], Kind::Active).unwrap();
        assert_eq!(fs::metadata(overlay.layer(2)).unwrap().permissions().mode() & 0o7777, 0o750);

        overlay.remove(2).unwrap();
        overlay.remove(2).unwrap();
        assert!(overlay.usage(2).is_err());
        assert_eq!(fs::read_dir(&overlay.snapshots).unwrap().count(), 1);
    }

    #[test]
    fn a_missing_parent_is_refused_and_leaves_nothing() {
        let (_dir, overlay) = overlay();
        let error = overlay.prepare(2, &[1], Kind::Active).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
        assert_eq!(fs::read_dir(&overlay.snapshots).unwrap().count(), 0);
    }

    #[test]
    fn what_nobody_knows_is_found_and_cleared() {
        let (_dir, overlay) = overlay();
        overlay.prepare(1, &[], Kind::Active).unwrap();
        overlay.prepare(2, &[], Kind::Active).unwrap();
        fs::create_dir(overlay.snapshots.join("new-7")).unwrap();
        overlay.prepare(9, &[], Kind::Active).unwrap();
        assert_eq!(overlay.doom(9).unwrap().as_deref(), Some("rm-9"));
        assert_eq!(overlay.largest().unwrap(), Some(9));
        let mut doomed = overlay.doom_unknown(|id| id == 2).unwrap();
        doomed.sort();
        assert_eq!(doomed, ["new-7", "rm-1", "rm-9"]);
        doomed.iter().for_each(|name| overlay.clear(name).unwrap());
        assert_eq!(overlay.names().unwrap(), ["2"]);
    }
}

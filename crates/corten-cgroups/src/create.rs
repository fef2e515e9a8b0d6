//! Making a container's cgroups, and what a process joins them with.

use std::ffi::CString;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use corten_sys::{credentials, files, syscall::HERE, users};

use crate::place::{Cgroup, Directory};
use crate::{CgroupError, delete, processes};

/// The files of a v1 cpuset that must be filled before a process can enter.
pub(crate) const CPUSET_FILES: [&str; 2] = ["cpuset.cpus", "cpuset.mems"];

/// Cgroups that were made, and are removed when this is dropped unless kept.
#[derive(Debug)]
pub struct Created<'a> {
    cgroup: &'a Cgroup,
    kept: bool,
}

impl Created<'_> {
    /// The cgroups stay.
    pub fn keep(mut self) {
        self.kept = true;
    }
}

impl Drop for Created<'_> {
    fn drop(&mut self) {
        if !self.kept {
            // The error that led here is the one that is reported; what stays is found by its record.
            let _ = self.cgroup.delete();
        }
    }
}

impl Cgroup {
    /// Makes every directory, with those above it.
    ///
    /// # Errors
    /// [`CgroupError::Create`]; [`CgroupError::NotEmpty`] when it exists and holds processes. Nothing made is left.
    pub fn create(&self) -> Result<Created<'_>, CgroupError> {
        for (done, directory) in self.directories.iter().enumerate() {
            if let Err(error) = self.make_joinable(directory) {
                for made in &self.directories[..done] {
                    let _ = delete::remove_tree(&made.path); // the first error is the one that matters
                }
                return Err(error);
            }
        }
        Ok(Created { cgroup: self, kept: false })
    }

    /// A directory somebody froze would stop whoever joins it, before it could say so; a new one is not frozen.
    fn make_joinable(&self, directory: &Directory) -> Result<(), CgroupError> {
        if make(directory, self.is_v2())? == Level::New {
            return Ok(());
        }
        if self.is_frozen()? {
            let path = self.v1("freezer").or(self.unified()).map(Path::to_owned).unwrap_or_default();
            return Err(CgroupError::Frozen { path });
        }
        Ok(())
    }

    /// Takes out the hierarchies in which this process may not make the container's directory, as for a user without
    /// privilege or in a container: a limit that needs one of them is then refused by name.
    ///
    /// What can be made is made and left.
    ///
    /// # Errors
    /// [`CgroupError::Create`] for any other reason, [`CgroupError::NotEmpty`]. Nothing made is left.
    pub fn leave_out_forbidden(&mut self) -> Result<(), CgroupError> {
        let is_v2 = self.is_v2();
        let mut allowed = Vec::with_capacity(self.directories.len());
        for directory in std::mem::take(&mut self.directories) {
            match make(&directory, is_v2) {
                Ok(_) => allowed.push(directory),
                Err(error) if error.is_forbidden() => {}
                Err(error) => {
                    for made in &allowed {
                        let _ = delete::remove_tree(&made.path); // the first error is the one that matters
                    }
                    return Err(error);
                }
            }
        }
        self.directories = allowed;
        Ok(())
    }

    /// Whether rules about devices can be set: for both versions a matter of the host's root, also in a hierarchy that
    /// was delegated.
    #[must_use]
    pub fn can_limit_devices(&self) -> bool {
        let is_host_root = || credentials::effective_user() == 0 && !users::are_mapped();
        let has_place = self.v1("devices").is_some() || (self.is_v2() && self.unified().is_some());
        has_place && is_host_root()
    }

    /// Opens `tasks` of each v1 hierarchy: a process with one thread joins by writing `0` to each. The permission
    /// that counts is that of the opener.
    ///
    /// # Errors
    /// [`CgroupError::Open`].
    pub fn join_files(&self) -> Result<Vec<OwnedFd>, CgroupError> {
        let v1 = self.directories.iter().filter(|directory| !directory.is_unified());
        v1.map(|directory| {
            let path = directory.path.join("tasks");
            let file = open(&path, files::O_WRONLY);
            file.map_err(|source| CgroupError::Open { path, source })
        })
        .collect()
    }

    /// Opens the v2 directory, for `CLONE_INTO_CGROUP`; `None` when the machine has none.
    ///
    /// # Errors
    /// [`CgroupError::Open`].
    pub fn unified_directory(&self) -> Result<Option<OwnedFd>, CgroupError> {
        let Some(path) = self.unified() else { return Ok(None) };
        let open = open(path, files::O_RDONLY | files::O_DIRECTORY);
        open.map(Some).map_err(|source| CgroupError::Open { path: path.to_owned(), source })
    }
}

fn make(directory: &Directory, is_v2: bool) -> Result<Level, CgroupError> {
    let path = &directory.path;
    let fail = |source| CgroupError::Create { path: path.clone(), source };
    if is_v2 {
        return make_v2(path);
    }
    let level = if directory.is_cpuset() { make_cpuset(path) } else { make_v1(path) }.map_err(fail)?;
    if level == Level::WasThere {
        refuse_processes(path)?;
    }
    Ok(level)
}

fn make_v1(path: &Path) -> io::Result<Level> {
    match make_one(path) {
        Ok(()) => Ok(Level::New),
        Err(error) if error.kind() == io::ErrorKind::NotFound => fs::create_dir_all(path).map(|()| Level::New),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(Level::WasThere),
        Err(error) => Err(error),
    }
}

/// One system call: musl's open(3), behind the standard library, makes two.
pub(crate) fn open(path: &Path, flags: i32) -> io::Result<OwnedFd> {
    files::open(HERE, &CString::new(path.as_os_str().as_bytes())?, flags, 0)
}

pub(crate) fn make_one(path: &Path) -> io::Result<()> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    files::make_directory(HERE, &path, 0o755)
}

/// A cgroup somebody else uses would be limited, frozen and killed with the container.
fn refuse_processes(path: &Path) -> Result<(), CgroupError> {
    let mut found = Vec::new();
    processes::collect(path, &mut found)?;
    if found.is_empty() { Ok(()) } else { Err(CgroupError::NotEmpty { path: path.to_owned(), count: found.len() }) }
}

/// Whether a directory was made.
#[derive(PartialEq, Eq)]
enum Level {
    New,
    WasThere,
}

/// Makes each level, and fills its sets from the level above where they are empty.
fn make_cpuset(path: &Path) -> io::Result<Level> {
    let is_new = match make_one(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let parent = path.parent().ok_or(error)?;
            make_cpuset(parent)?;
            make_one(path)?;
            true
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => false,
        result => result.map(|()| true)?,
    };
    CPUSET_FILES.iter().try_for_each(|name| fill(path, name, is_new).map(drop))?;
    Ok(if is_new { Level::New } else { Level::WasThere })
}

/// A text the kernel shows at once; three system calls where [`fs::read_to_string`] makes five.
fn read_set(path: &Path) -> io::Result<String> {
    let text = files::read_small(&CString::new(path.as_os_str().as_bytes())?)?;
    Ok(String::from_utf8_lossy(&text).trim().to_owned())
}

/// The set of `path`, taken from the level above where it is empty; that one may be empty, too, when its maker was
/// killed.
fn fill(path: &Path, name: &str, is_new: bool) -> io::Result<String> {
    let file = path.join(name);
    let own = if is_new { String::new() } else { read_set(&file)? };
    let Some(parent) = path.parent().filter(|_| own.is_empty()) else { return Ok(own) };
    let above = fill(parent, name, false)?;
    open(&file, files::O_WRONLY).and_then(|file| files::write(file.as_fd(), above.as_bytes()))?;
    Ok(above)
}

fn write_once(file: &File, value: &str) -> io::Result<()> {
    use std::os::fd::AsFd;
    files::write(file.as_fd(), value.as_bytes())
}

/// Makes each level, and gives every controller of the level above to it.
fn make_v2(path: &Path) -> Result<Level, CgroupError> {
    let fail = |source| CgroupError::Create { path: path.to_owned(), source };
    if !path.exists() {
        if let Some(parent) = path.parent().filter(|parent| !parent.exists()) {
            make_v2(parent)?;
        }
        if let Some(parent) = path.parent() {
            delegate(parent)?;
        }
        match make_one(path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            result => return result.map(|()| Level::New).map_err(fail),
        }
    }
    refuse_processes(path)?;
    if let Some(parent) = path.parent().filter(|_| lacks_controllers(path)) {
        delegate(parent)?;
    }
    Ok(Level::WasThere)
}

/// What limits commonly need.
const COMMON_CONTROLLERS: [&str; 4] = ["cpu", "io", "memory", "pids"];

/// Whether the level above may have kept controllers to itself: somebody made the directory with mkdir alone.
fn lacks_controllers(path: &Path) -> bool {
    let given = fs::read_to_string(path.join("cgroup.controllers"));
    given.is_ok_and(|given| COMMON_CONTROLLERS.iter().any(|name| !given.split_whitespace().any(|one| one == *name)))
}

/// Enables in `parent`'s subtree every controller it has that is not enabled yet.
///
/// A controller that cannot be given (a realtime process in the way, a threaded parent) is left out: a limit that
/// needs it fails by name when it is written.
fn delegate(parent: &Path) -> Result<(), CgroupError> {
    let above = || parent.parent().filter(|above| above.join("cgroup.controllers").exists());
    if lacks_controllers(parent)
        && let Some(above) = above()
    {
        let _ = delegate(above); // as for a controller that cannot be given
    }
    let read = |name: &str| {
        let path = parent.join(name);
        fs::read_to_string(&path).map_err(|source| CgroupError::Read { path, source })
    };
    let (available, enabled) = (read("cgroup.controllers")?, read("cgroup.subtree_control")?);
    let missing: Vec<_> =
        available.split_whitespace().filter(|name| !enabled.split_whitespace().any(|known| known == *name)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let path = parent.join("cgroup.subtree_control");
    let open = || OpenOptions::new().write(true).open(&path);
    let all: Vec<_> = missing.iter().map(|name| format!("+{name}")).collect();
    let file = open().map_err(|source| CgroupError::Open { path: path.clone(), source })?;
    if write_once(&file, &all.join(" ")).is_err() {
        for one in &all {
            let _ = open().and_then(|file| write_once(&file, one)); // see above
        }
    }
    Ok(())
}

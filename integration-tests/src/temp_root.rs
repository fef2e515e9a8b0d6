//! What every test owns: a directory, a name that marks everything made for it, and its removal.

use std::{
    env, fs,
    io::Read,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use crate::{cgroups, mounts, processes, send_signal, signals, wait::poll};

/// The environment variable that marks the processes of a root, also those with no path in their arguments.
pub(crate) const MARK_VARIABLE: &str = "CORTEN_TEST_ROOT";
/// How long a killed process may take to go.
const KILL_DEADLINE: Duration = Duration::from_secs(20);

/// A directory `/tmp/corten-xxxxxxxx` of a test's own.
///
/// Its [name](TempRoot::name) is the mark: use it as the cgroup parent and as the containerd namespace, and every
/// process, mount and cgroup made for the test can be found by it. When dropped, all of them are
/// killed, unmounted and removed, whatever the test left.
#[derive(Debug)]
pub struct TempRoot {
    path: PathBuf,
    name: String,
}

impl TempRoot {
    /// Makes one.
    ///
    /// # Panics
    /// When the directory cannot be made.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "it makes a directory, which no default should")]
    pub fn new() -> TempRoot {
        let name = format!("corten-{}", random_id(8));
        let base = env::var_os("CORTEN_TEST_TMP").map_or_else(|| PathBuf::from("/tmp"), PathBuf::from);
        let path = base.join(&name);
        fs::create_dir(&path).unwrap_or_else(|error| panic!("make {}: {error}", path.display()));
        TempRoot { path, name }
    }

    /// The directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// `name` below the directory; nothing is made.
    #[must_use]
    pub fn join(&self, name: impl AsRef<Path>) -> PathBuf {
        self.path.join(name)
    }

    /// The directory `name` below the directory, made with its parents.
    ///
    /// # Panics
    /// When it cannot be made.
    #[must_use]
    pub fn make(&self, name: impl AsRef<Path>) -> PathBuf {
        let path = self.path.join(name);
        fs::create_dir_all(&path).unwrap_or_else(|error| panic!("make {}: {error}", path.display()));
        path
    }

    /// `corten-xxxxxxxx`: the mark, and a fitting containerd namespace.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// `/corten-xxxxxxxx`: a cgroup parent of the test's own.
    #[must_use]
    pub fn cgroup_parent(&self) -> String {
        format!("/{}", self.name)
    }

    /// Kills, unmounts and removes everything of this root but the directory; what stays is returned in words.
    #[must_use]
    pub fn clean(&self) -> Vec<String> {
        let mut left = Vec::new();
        if poll(KILL_DEADLINE, || self.kill_all().then_some(())).is_none() {
            left.extend(processes::marked(&self.name).iter().map(|process| format!("process {process:?}")));
        }
        for mount in mounts().iter().rev() {
            if mount.target.to_string_lossy().contains(&self.name) && !signals::unmount(&mount.target) {
                left.push(format!("mount {}", mount.target.display()));
            }
        }
        left.extend(cgroups::remove_marked(&self.name).iter().map(|path| format!("cgroup {}", path.display())));
        left
    }

    /// Kills what runs for this root; whether nothing does any more.
    fn kill_all(&self) -> bool {
        for directory in cgroups::marked(&self.name) {
            let _ = fs::write(directory.join("freezer.state"), "THAWED");
            let _ = fs::write(directory.join("cgroup.freeze"), "0");
        }
        let running = processes::marked(&self.name);
        for process in &running {
            let _ = send_signal(process.pid, "KILL");
        }
        running.is_empty()
    }
}

impl Drop for TempRoot {
    fn drop(&mut self) {
        let left = self.clean();
        let removed = fs::remove_dir_all(&self.path);
        if thread::panicking() {
            return;
        }
        assert!(left.is_empty(), "could not be cleaned up: {left:#?}");
        if let Err(error) = removed {
            panic!("remove {}: {error}", self.path.display());
        }
    }
}

/// `length` random hexadecimal digits.
///
/// # Panics
/// When /dev/urandom cannot be read.
#[must_use]
pub fn random_id(length: usize) -> String {
    let mut bytes = vec![0; length.div_ceil(2)];
    fs::File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut bytes)).expect("/dev/urandom can be read");
    let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    digits[..length].to_owned()
}

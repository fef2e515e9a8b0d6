//! Where the programs are: ours beside the tests, the originals in the system's directories.

use std::{
    env,
    path::{Path, PathBuf},
};

/// Where Debian puts daemons and tools, also when the caller's PATH lacks them.
const SYSTEM_DIRECTORIES: [&str; 4] = ["/usr/sbin", "/usr/bin", "/sbin", "/bin"];

/// Our program `name`: in `CORTEN_BIN_DIR`, or where cargo puts programs beside this test.
///
/// Plain `cargo test` builds every program, because each has a test of its own (`bins/*/tests/version.rs`);
/// `cargo test -p integration-tests` does not, so build the program first then.
///
/// # Panics
/// When it has not been built.
#[must_use]
pub fn path(name: &str) -> PathBuf {
    let program = directory().join(name);
    assert!(
        program.is_file(),
        "{} has not been built: run `cargo build -p {name}-bin` (or plain `cargo test`)",
        program.display()
    );
    program
}

/// The directory our programs are in.
#[must_use]
pub fn directory() -> PathBuf {
    if let Some(chosen) = env::var_os("CORTEN_BIN_DIR") {
        return PathBuf::from(chosen);
    }
    let own = env::current_exe().expect("/proc is mounted");
    let directory = own.parent().expect("an executable is in a directory");
    // Tests and benches are in deps/, examples in examples/, programs directly in the profile's directory.
    if directory.ends_with("deps") || directory.ends_with("examples") {
        return directory.parent().expect("deps is in the profile's directory").to_owned();
    }
    directory.to_owned()
}

/// The original (or tool) `name`, as Debian installs it.
///
/// # Panics
/// With the command that installs it, when it is missing: a scenario never skips a peer.
#[must_use]
pub fn original(name: &str) -> PathBuf {
    let package = match name {
        "dockerd" | "docker" | "docker-proxy" => "docker.io",
        "ctr" | "containerd-shim-runc-v2" => "containerd",
        "busybox" => "busybox-static",
        "apparmor_parser" => "apparmor",
        "xz" => "xz-utils",
        "htpasswd" => "apache2-utils",
        other => other,
    };
    find_original(name)
        .unwrap_or_else(|| panic!("{name} is not installed: run `apt-get install --no-install-recommends {package}`"))
}

/// The original (or tool) `name`, if it is installed.
#[must_use]
pub fn find_original(name: &str) -> Option<PathBuf> {
    SYSTEM_DIRECTORIES.iter().map(|directory| Path::new(directory).join(name)).find(|path| path.is_file())
}

/// A PATH for daemons: `first`, then ours, then the system's.
#[must_use]
pub fn search_path(first: &[&Path]) -> String {
    let ours = directory();
    let all = first.iter().copied().chain([ours.as_path()]).chain(SYSTEM_DIRECTORIES.map(Path::new));
    all.map(|path| path.to_string_lossy()).collect::<Vec<_>>().join(":")
}

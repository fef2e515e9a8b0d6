//! The programs that find each other: beside the own executable, then in PATH.

use std::{
    env,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use crate::{Finding, Severity};

/// Each with what is lost without it.
const PROGRAMS: [(&str, &str, &str); 4] = [
    ("cortend", "program-cortend", "nothing answers the Engine API"),
    ("corten-supervisor", "program-supervisor", "cortend works on a containerd only"),
    ("corten-shim", "program-shim", "no container can be started"),
    ("corten-runtime", "program-runtime", "no container can be created"),
];

pub(crate) fn check() -> Vec<Finding> {
    let own = env::current_exe().ok().and_then(|path| path.parent().map(Path::to_owned));
    let path = env::var_os("PATH").unwrap_or_default();
    let directories: Vec<PathBuf> = own.into_iter().chain(env::split_paths(&path)).collect();
    PROGRAMS.iter().map(|(name, id, lost)| program(&directories, name, id, lost)).collect()
}

fn program(directories: &[PathBuf], name: &str, id: &'static str, lost: &str) -> Finding {
    let title = format!("program {name}");
    let found = directories.iter().map(|directory| directory.join(name)).find(|path| is_executable(path));
    match found {
        Some(path) => Finding::ok(id, &title, path.display().to_string()),
        None => Finding::bad(
            id,
            Severity::Warning,
            &title,
            format!("neither beside this program nor in PATH: {lost}"),
            "make build && make install",
        ),
    }
}

fn is_executable(path: &Path) -> bool {
    path.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_looked_up_in_order() {
        let directories = ["/no/such/directory", "/bin"].map(PathBuf::from);
        assert_eq!(program(&directories, "sh", "x", "").detail, "/bin/sh");
        assert_eq!(program(&directories, "no-such-program", "x", "").severity, Severity::Warning);
    }
}

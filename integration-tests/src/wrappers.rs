//! Programs in front of programs: each call is logged, then the real one is executed in its place.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use crate::TempRoot;

/// A directory of wrappers, to be put first where programs are looked up.
#[derive(Debug, Clone)]
pub struct Wrappers {
    directory: PathBuf,
    logs: PathBuf,
}

impl Wrappers {
    /// An empty one in `root`.
    #[must_use]
    pub fn new(root: &TempRoot) -> Wrappers {
        Wrappers { directory: root.make("wrappers"), logs: root.make("wrappers-logs") }
    }

    /// Puts a wrapper called `name` in front of `real`, and returns its path.
    ///
    /// # Panics
    /// When it cannot be written.
    #[must_use]
    pub fn wrap(&self, name: &str, real: &Path) -> PathBuf {
        let script = format!(
            "#!/bin/sh\nprintf '%s\\n' \"$*\" >> '{}'\nexec '{}' \"$@\"\n",
            self.log(name).display(),
            real.display()
        );
        let path = self.directory.join(name);
        fs::write(&path, script)
            .and_then(|()| fs::set_permissions(&path, fs::Permissions::from_mode(0o755)))
            .unwrap_or_else(|error| panic!("write {}: {error}", path.display()));
        path
    }

    /// Puts `real` itself under `name` there: a copy, so that it finds its neighbours here and not in its old place.
    ///
    /// # Panics
    /// When it cannot be copied.
    pub fn place(&self, name: &str, real: &Path) {
        let path = self.directory.join(name);
        // A copy onto a link that is there would empty the program itself.
        let _ = fs::remove_file(&path);
        fs::hard_link(real, &path)
            .or_else(|_| fs::copy(real, &path).map(drop))
            .unwrap_or_else(|error| panic!("copy {} to {}: {error}", real.display(), path.display()));
    }

    /// Where the wrappers are.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The arguments of each call of `name` so far, one line each.
    #[must_use]
    pub fn calls(&self, name: &str) -> Vec<String> {
        fs::read_to_string(self.log(name)).unwrap_or_default().lines().map(str::to_owned).collect()
    }

    /// How often `name` was called with the word `verb` for `id`.
    #[must_use]
    pub fn count(&self, name: &str, verb: &str, id: &str) -> usize {
        self.count_with(name, &[verb, id])
    }

    /// How often `name` was called with all of `words`.
    #[must_use]
    pub fn count_with(&self, name: &str, words: &[&str]) -> usize {
        let says = |line: &str, word: &str| line.split(' ').any(|argument| argument == word);
        self.calls(name).iter().filter(|line| words.iter().all(|word| says(line, word))).count()
    }

    fn log(&self, name: &str) -> PathBuf {
        self.logs.join(name)
    }
}

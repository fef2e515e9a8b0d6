//! The runtimes a container can ask for by name: our own as `runc`, those of `--add-runtime` and daemon.json, and
//! containerd's by their names.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use corten_sys::atomic_file::{self, Durability};
use sha2::{Digest, Sha256};

use crate::errors::{EngineError, Result};

/// Our runtime's name, which docker's clients know.
pub const OWN: &str = "runc";

/// A runtime of the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Configured {
    /// A program with runc's command line, run by our shim.
    Program {
        /// Its path, or its name in PATH.
        path: String,
        /// What its every command line begins with.
        arguments: Vec<String>,
    },
    /// A shim of containerd's: `io.containerd.NAME.VERSION` or its path.
    Shim(String),
}

/// What runs a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Runtime {
    /// A program with runc's command line, run by our shim.
    Program(PathBuf),
    /// A shim of containerd's.
    Shim(String),
}

/// The runtimes by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Runtimes {
    default: String,
    own: PathBuf,
    configured: BTreeMap<String, Configured>,
    scripts: PathBuf,
}

impl Runtimes {
    /// The runtimes of a configuration; `own` is our runtime's program, `scripts` where those are kept that add arguments.
    ///
    /// # Errors
    /// A name that is taken, a default that does not exist, a script that cannot be written.
    pub fn new(
        default: Option<String>,
        configured: BTreeMap<String, Configured>,
        own: PathBuf,
        scripts: PathBuf,
    ) -> Result<Self> {
        let default = default.unwrap_or_else(|| OWN.to_owned());
        if configured.contains_key(OWN) {
            return Err(EngineError::invalid(format!("runtime name '{OWN}' is reserved")));
        }
        if default != OWN && !configured.contains_key(&default) && !is_containerds(&default) {
            return Err(EngineError::invalid(format!("specified default runtime '{default}' does not exist")));
        }
        for (name, runtime) in &configured {
            if let Configured::Program { path, arguments } = runtime
                && !arguments.is_empty()
            {
                write_script(&scripts, name, path, arguments)?;
            }
        }
        Ok(Self { default, own, configured, scripts })
    }

    /// The name of the one that containers get which name none.
    #[must_use]
    pub fn default_name(&self) -> &str {
        &self.default
    }

    /// The runtime called `name`; the default for none.
    ///
    /// # Errors
    /// 400 when there is none of that name.
    pub fn find(&self, name: &str) -> Result<Runtime> {
        let name = if name.is_empty() { &self.default } else { name };
        match self.configured.get(name) {
            Some(Configured::Program { path, arguments }) if arguments.is_empty() => Ok(Runtime::Program(path.into())),
            Some(Configured::Program { path, arguments }) => {
                Ok(Runtime::Program(script_path(&self.scripts, name, &script(path, arguments))))
            }
            Some(Configured::Shim(shim)) => Ok(Runtime::Shim(shim.clone())),
            None if name == OWN => Ok(Runtime::Program(self.own.clone())),
            None if is_containerds(name) => Ok(Runtime::Shim(name.to_owned())),
            None => Err(EngineError::invalid(format!("unknown or invalid runtime name: {name}"))),
        }
    }

    /// Refuses a program that is not there, as it is about to be run.
    ///
    /// # Errors
    /// 500 with what is missing.
    pub fn check(&self, name: &str) -> Result<()> {
        let Some(Configured::Program { path, .. }) = self.configured.get(name) else { return Ok(()) };
        let found = if path.contains('/') {
            Path::new(path).is_file()
        } else {
            std::env::var_os("PATH").is_some_and(|all| std::env::split_paths(&all).any(|at| at.join(path).is_file()))
        };
        if found {
            return Ok(());
        }
        let why = if path.contains('/') { "no such file or directory" } else { "executable file not found in $PATH" };
        let text = format!("error while looking up the specified runtime path: exec: {path:?}: {why}");
        Err(EngineError::internal(text))
    }

    /// Name, program and arguments of each, for `info`.
    pub fn all(&self) -> impl Iterator<Item = (&str, String, Vec<String>)> {
        let own = (OWN, self.own.display().to_string(), Vec::new());
        let configured = self.configured.iter().map(|(name, runtime)| match runtime {
            Configured::Program { path, arguments } => (name.as_str(), path.clone(), arguments.clone()),
            Configured::Shim(shim) => (name.as_str(), shim.clone(), Vec::new()),
        });
        std::iter::once(own).chain(configured)
    }
}

/// Whether containerd takes it for a name. Not a path: it would let whoever reaches the API run any program by it.
pub fn is_containerds(name: &str) -> bool {
    !name.contains('/') && !name.starts_with('.') && name.contains('.')
}

/// A shim knows no arguments for a runtime, so that a script adds them.
fn script(path: &str, arguments: &[String]) -> String {
    let quoted = |word: &str| format!("'{}'", word.replace('\'', r"'\''"));
    let words: Vec<String> = std::iter::once(path).chain(arguments.iter().map(String::as_str)).map(quoted).collect();
    format!("#!/bin/sh\nexec {} \"$@\"\n", words.join(" "))
}

/// Named by what it holds: one that a running container uses is never changed.
fn script_path(directory: &Path, name: &str, text: &str) -> PathBuf {
    let digest = Sha256::digest(text.as_bytes());
    let digest: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    directory.join(format!("{}.{digest}", name.replace('/', "_")))
}

fn write_script(directory: &Path, name: &str, path: &str, arguments: &[String]) -> Result<()> {
    let text = script(path, arguments);
    let place = script_path(directory, name, &text);
    let write = std::fs::create_dir_all(directory)
        .and_then(|()| atomic_file::replace_with_mode(&place, text.as_bytes(), Durability::Process, 0o700));
    write.map_err(|error| {
        EngineError::internal(format!("write {} for runtime {name}", place.display())).caused_by(error)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runtimes(default: Option<&str>, configured: &[(&str, Configured)]) -> Result<Runtimes> {
        let configured = configured.iter().map(|(name, runtime)| ((*name).to_owned(), runtime.clone())).collect();
        Runtimes::new(default.map(str::to_owned), configured, "/bin/corten-runtime".into(), "/nowhere".into())
    }

    fn program(path: &str) -> Configured {
        Configured::Program { path: path.to_owned(), arguments: Vec::new() }
    }

    #[test]
    fn runtimes_are_found_by_name() {
        let all =
            runtimes(Some("crun"), &[("crun", program("/bin/crun")), ("kata", Configured::Shim("io.kata.v2".into()))]);
        let all = all.expect("they can be");
        assert_eq!(all.find("").expect("the default"), Runtime::Program("/bin/crun".into()));
        assert_eq!(all.find("runc").expect("ours"), Runtime::Program("/bin/corten-runtime".into()));
        assert_eq!(all.find("kata").expect("a shim"), Runtime::Shim("io.kata.v2".into()));
        assert_eq!(
            all.find("io.containerd.runc.v2").expect("containerd's"),
            Runtime::Shim("io.containerd.runc.v2".into())
        );
        for name in ["nope", "/bin/sh", "./a.b", ".a.b"] {
            let error = all.find(name).expect_err(name);
            assert_eq!(error.to_string(), format!("unknown or invalid runtime name: {name}"));
        }
    }

    #[test]
    fn a_name_is_taken_and_a_default_exists() {
        let error = runtimes(None, &[("runc", program("/bin/crun"))]).expect_err("ours");
        assert_eq!(error.to_string(), "runtime name 'runc' is reserved");
        let error = runtimes(Some("nope"), &[]).expect_err("there is none");
        assert_eq!(error.to_string(), "specified default runtime 'nope' does not exist");
    }

    #[test]
    fn arguments_are_added_by_a_script() {
        assert_eq!(script("/bin/x y", &["--a=it's".to_owned()]), "#!/bin/sh\nexec '/bin/x y' '--a=it'\\''s' \"$@\"\n");
    }
}

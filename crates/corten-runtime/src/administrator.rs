//! Whether a container will be administrator of the host's namespaces, asked before anything is parsed: it decides
//! how this program protects its own executable.
//!
//! The texts are searched for the capability's name. One that is found without being given only costs time.

use std::fs;
use std::path::Path;

use corten_runtime_api::arguments::Command;
use corten_sys::descriptors::leave_to_exec;
use corten_sys::executable::Container;

use crate::spec::read_open;

const NAME: &[u8] = b"CAP_SYS_ADMIN";

/// What `command` will start.
pub(crate) fn of(root: &Path, command: &Command) -> Container {
    let named = match command {
        Command::Create(create) => names_it(&bundle(create.bundle.as_deref())),
        Command::Run(run) => names_it(&bundle(run.create.bundle.as_deref())),
        // The container's own processes reach the entering one: what they hold counts, and is in their configuration.
        Command::Exec(exec) => {
            exec.caps.iter().any(|capability| capability.as_bytes() == NAME)
                || exec.process.as_deref().is_some_and(|path| is_no_file(path) || names_it(path))
                || names_it(&root.join(&exec.id).join("state.json"))
        }
        _ => false,
    };
    if named { Container::Administrator } else { Container::Ordinary }
}

fn bundle(directory: Option<&Path>) -> std::path::PathBuf {
    directory.unwrap_or(Path::new(".")).join("config.json")
}

/// What can be read only once, such as a pipe, is left to whoever needs it, and taken for the stronger case.
fn is_no_file(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|metadata| !metadata.is_file())
}

/// A file that cannot be read is reported by whoever needs it. It is closed by the exec that the answer is for.
fn names_it(path: &Path) -> bool {
    read_open(path, "").is_ok_and(|(text, file)| {
        leave_to_exec(file);
        holds_name(&text)
    })
}

/// Only where its first letter stands is compared: a docker spec has 20 KB and a few hundred of them.
fn holds_name(mut text: &[u8]) -> bool {
    while let Some(at) = text.iter().position(|byte| *byte == NAME[0]) {
        if text[at..].starts_with(NAME) {
            return true;
        }
        text = &text[at + 1..];
    }
    false
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use corten_runtime_api::arguments::Create;

    #[test]
    fn the_capability_is_found_in_the_configuration() {
        let bundle = tempfile::tempdir().expect("a temporary directory");
        let create = Command::Create(Create { bundle: Some(bundle.path().to_owned()), ..Create::default() });
        assert_eq!(of(Path::new("/nope"), &create), Container::Ordinary);
        fs::write(bundle.path().join("config.json"), r#"{"a":["CAP_SYS_ADMIN"]}"#).expect("writes");
        assert_eq!(of(Path::new("/nope"), &create), Container::Administrator);
    }
}

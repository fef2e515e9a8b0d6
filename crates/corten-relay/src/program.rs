//! Starting corten-proxy.

use std::{
    io,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// Why corten-proxy does not run.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// It cannot be executed.
    #[error("start {}", program.display())]
    Execute {
        /// What.
        program: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It says why not.
    #[error("{} does not start: {said}", program.display())]
    Failed {
        /// What.
        program: PathBuf,
        /// Its own words.
        said: String,
    },
}

/// Starts `program` (corten-proxy) to listen at `socket` and to read names below `names`; with the answer it does. It is
/// no child of the caller then, and outlives it. Where another of its kind listens at `socket`, it takes everything over
/// from that one, which ends when nothing flows through it any more. Network namespaces bound in `sandboxes` it lets go
/// of when their containers end while no engine is connected. Blocks.
///
/// # Errors
/// [`StartError`].
pub fn start(program: &Path, socket: &Path, names: &Path, sandboxes: &Path) -> Result<(), StartError> {
    let mut command = Command::new(program);
    command.arg("serve").arg("-socket").arg(socket).arg("-names").arg(names);
    command.arg("-sandboxes").arg(sandboxes);
    // What it says later goes into its log; until then to standard error, which it closes.
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let output = command.output().map_err(|source| StartError::Execute { program: program.to_owned(), source })?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(StartError::Failed { program: program.to_owned(), said })
}

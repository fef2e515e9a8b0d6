//! `stdio.json`: what a shim does with the output and the input of one process.
//!
//! The engine writes the file before it creates a task or an exec and names it in the request as
//! `stdout = stderr = "corten:///…/stdio.json"`. The file carries a format number, because a shim of
//! the last release serves on under an engine of the next.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use corten_sys::atomic_file::{self, Durability};
use serde::{Deserialize, Serialize};

/// The format this release writes.
pub const FORMAT: u32 = 1;
/// Scheme of the URIs in create and exec requests.
pub const SCHEME: &str = "corten://";
/// Bytes of a file that are read; one of ours has some hundred.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// How output is written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Driver {
    /// docker's json-file.
    JsonFile,
    /// docker's local.
    Local,
    /// Not at all; execs, and `--log-driver none`.
    None,
}

/// What happens to standard input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StdinMode {
    /// There is none: the process reads /dev/null.
    Closed,
    /// Open as long as the process lives, whoever attaches (`-i`).
    Open,
    /// Closed when the first attached client that writes to it leaves (`StdinOnce`).
    Once,
}

/// The content of a `stdio.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StdioFile {
    /// [`FORMAT`].
    pub format: u32,
    /// How output is written down.
    pub driver: Driver,
    /// The current log file; rotated ones lie beside it. Empty with [`Driver::None`].
    #[serde(default)]
    pub log_path: PathBuf,
    /// Size at which the log is rotated; 0 is never.
    #[serde(default)]
    pub max_size_bytes: u64,
    /// How many files there are, the current one included; 0 counts as 1.
    #[serde(default)]
    pub max_files: u32,
    /// Whether rotated files are compressed.
    #[serde(default)]
    pub compress: bool,
    /// Attributes of every record.
    #[serde(default)]
    pub attrs: BTreeMap<String, String>,
    /// What happens to standard input.
    pub stdin: StdinMode,
    /// Whether the process has a terminal.
    pub terminal: bool,
    /// Where the hub listens for [`hand_over`](crate::hand_over); empty when nobody can attach.
    #[serde(default)]
    pub attach_socket: PathBuf,
}

impl StdioFile {
    /// Reads and checks the file at `path`.
    ///
    /// # Errors
    /// Those of reading; `InvalidData` when it is not JSON of this form, of a newer format, or names
    /// a relative path.
    pub fn load(path: &Path) -> io::Result<Self> {
        let invalid = |reason: String| io::Error::new(io::ErrorKind::InvalidData, reason);
        if fs::metadata(path)?.len() > MAX_FILE_BYTES {
            return Err(invalid(format!("longer than {MAX_FILE_BYTES} bytes")));
        }
        let file: Self = serde_json::from_slice(&fs::read(path)?).map_err(|error| invalid(error.to_string()))?;
        if file.format == 0 || file.format > FORMAT {
            return Err(invalid(format!("format {} is not known, only {FORMAT}", file.format)));
        }
        if file.driver != Driver::None && !file.log_path.is_absolute() {
            return Err(invalid("log_path is not absolute".to_owned()));
        }
        if !file.attach_socket.as_os_str().is_empty() && !file.attach_socket.is_absolute() {
            return Err(invalid("attach_socket is not absolute".to_owned()));
        }
        Ok(file)
    }

    /// Replaces the file at `path`.
    ///
    /// # Errors
    /// Those of writing; nothing is left behind.
    pub fn save(&self, path: &Path) -> io::Result<()> {
        let content = serde_json::to_vec(self).map_err(io::Error::other)?;
        atomic_file::replace(path, &content, Durability::Process)
    }
}

/// The URI that names the file at `path` in a request.
pub fn uri(path: &Path) -> String {
    format!("{SCHEME}{}", path.display())
}

/// The path in a URI of ours; `None` when it is something else.
pub fn path_of(uri: &str) -> Option<&Path> {
    uri.strip_prefix(SCHEME).map(Path::new).filter(|path| path.is_absolute())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> StdioFile {
        StdioFile {
            format: FORMAT,
            driver: Driver::JsonFile,
            log_path: "/data/x-json.log".into(),
            max_size_bytes: 64 << 20,
            max_files: 3,
            compress: false,
            attrs: BTreeMap::new(),
            stdin: StdinMode::Once,
            terminal: true,
            attach_socket: "/run/attach.sock".into(),
        }
    }

    /// The golden text of format 1: what a release writes, every later one reads.
    #[test]
    fn format_1_reads_and_writes_as_it_did() {
        let text = r#"{"format":1,"driver":"json-file","log_path":"/data/x-json.log","max_size_bytes":67108864,"max_files":3,"compress":false,"attrs":{},"stdin":"once","terminal":true,"attach_socket":"/run/attach.sock"}"#;
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("stdio.json");
        example().save(&path).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
        assert_eq!(StdioFile::load(&path).unwrap(), example());
    }

    #[test]
    fn what_is_no_stdio_file_is_refused_with_the_reason() {
        let cases = [
            ("", "EOF"),
            (r#"{"format":2,"driver":"none","stdin":"open","terminal":false}"#, "format 2 is not known"),
            (
                r#"{"format":1,"driver":"json-file","log_path":"x","stdin":"open","terminal":false}"#,
                "log_path is not absolute",
            ),
            (r#"{"format":1,"driver":"syslog","stdin":"open","terminal":false}"#, "syslog"),
        ];
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("stdio.json");
        for (text, reason) in cases {
            fs::write(&path, text).unwrap();
            let error = StdioFile::load(&path).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidData);
            assert!(error.to_string().contains(reason), "{error}");
        }
    }

    #[test]
    fn uris_name_absolute_paths() {
        assert_eq!(path_of(&uri(Path::new("/a/stdio.json"))), Some(Path::new("/a/stdio.json")));
        assert_eq!(path_of("corten://a"), None);
        assert_eq!(path_of("/a"), None);
    }
}

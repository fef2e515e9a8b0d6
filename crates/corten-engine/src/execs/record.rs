//! What is written down of an exec, so that the next engine knows it.
//!
//! One small file for each, lines of JSON: what it is, its pid once it runs, how it ended. Lines are
//! appended with one write each and never synced: they have to outlive the engine, not the host, on
//! which no exec lives on. A line that was cut short counts as not written.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use corten_docker_api::exec::ExecCreate;
use serde::{Deserialize, Serialize};

use super::Phase;
use crate::clock::Moment;
use crate::containers::Container;

/// Of the files; another one is not read.
const FORMAT: u32 = 1;

/// Most bytes of a file that are read: a command line and an environment.
const LIMIT_BYTES: u64 = 4 * 1024 * 1024;

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Line {
    Started { format: u32, config: Box<ExecCreate> },
    Running { pid: u32 },
    Ended { pid: u32, exit_code: i64, at_ns: i64 },
}

/// An exec as it was written down.
pub struct Found {
    /// 64 hexadecimal digits.
    pub id: String,
    /// What it runs.
    pub config: ExecCreate,
    /// How far it was.
    pub phase: Phase,
    /// When it ended.
    pub ended_at: Option<Moment>,
}

fn directory(container: &Container) -> PathBuf {
    container.directory().join("exec-records")
}

fn path(container: &Container, id: &str) -> PathBuf {
    directory(container).join(id)
}

/// Writes down that the exec is being started.
///
/// # Errors
/// Those of writing.
pub fn started(container: &Container, id: &str, config: &ExecCreate) -> io::Result<()> {
    fs::create_dir_all(directory(container))?;
    let file = File::options().create_new(true).append(true).mode(0o600).open(path(container, id))?;
    append(file, &Line::Started { format: FORMAT, config: Box::new(config.clone()) })
}

/// Writes down that its process lives.
///
/// # Errors
/// Those of writing; `NotFound` when it is forgotten already.
pub fn running(container: &Container, id: &str, pid: u32) -> io::Result<()> {
    append(File::options().append(true).open(path(container, id))?, &Line::Running { pid })
}

/// Writes down how it ended.
///
/// # Errors
/// Those of writing; `NotFound` when it is forgotten already, or never was started.
pub fn ended(container: &Container, id: &str, pid: u32, exit_code: i64, at: Moment) -> io::Result<()> {
    let line = Line::Ended { pid, exit_code, at_ns: at.nanos() };
    append(File::options().append(true).open(path(container, id))?, &line)
}

fn append(mut file: File, line: &Line) -> io::Result<()> {
    let mut bytes = serde_json::to_vec(line)?;
    bytes.push(b'\n');
    file.write_all(&bytes)
}

/// Forgets an exec; one that is not written down is no error.
///
/// # Errors
/// Those of removing.
pub fn remove(container: &Container, id: &str) -> io::Result<()> {
    match fs::remove_file(path(container, id)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Forgets all execs of a container.
///
/// # Errors
/// Those of removing.
pub fn clear(container: &Container) -> io::Result<()> {
    match fs::remove_dir_all(directory(container)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// The execs of a container that were written down. A file that cannot be understood is removed: it
/// was being made when the engine died, or is of another time.
///
/// # Errors
/// Those of reading the directory; one that is not there is no error.
pub fn find(container: &Container) -> io::Result<Vec<Found>> {
    let entries = match fs::read_dir(directory(container)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry?.path();
        let id = path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
        match read(&path).as_deref().map(|text| parse(&id, text)) {
            Ok(Some(exec)) => found.push(exec),
            Ok(None) => fs::remove_file(&path)?,
            Err(error) => tracing::warn!(path = %path.display(), %error, "an exec's record cannot be read"),
        }
    }
    Ok(found)
}

fn read(path: &Path) -> io::Result<String> {
    let mut text = Vec::new();
    io::Read::read_to_end(&mut io::Read::take(File::open(path)?, LIMIT_BYTES), &mut text)?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

fn parse(id: &str, text: &str) -> Option<Found> {
    let mut found: Option<Found> = None;
    for line in text.split_inclusive('\n').filter(|line| line.ends_with('\n')) {
        match (serde_json::from_str(line).ok()?, &mut found) {
            (Line::Started { format: FORMAT, config }, None) => {
                found = Some(Found { id: id.to_owned(), config: *config, phase: Phase::Starting, ended_at: None });
            }
            (Line::Running { pid }, Some(exec)) if exec.ended_at.is_none() => exec.phase = Phase::Running { pid },
            (Line::Running { .. }, Some(_)) => {}
            (Line::Ended { pid, exit_code, at_ns }, Some(exec)) => {
                exec.phase = Phase::Ended { pid, exit_code };
                exec.ended_at = Some(Moment::from_nanos(at_ns));
            }
            _ => return None,
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const STARTED: &str = r#"{"started":{"format":1,"config":{"Cmd":["ls"]}}}"#;

    #[test]
    fn whole_lines_count_and_an_end_stands() {
        let running = format!("{STARTED}\n{}\n", r#"{"running":{"pid":7}}"#);
        let ended = r#"{"ended":{"pid":7,"exit_code":3,"at_ns":5}}"#;
        for (text, phase) in [
            (format!("{STARTED}\n"), Some(Phase::Starting)),
            (running.clone(), Some(Phase::Running { pid: 7 })),
            (format!("{running}{ended}"), Some(Phase::Running { pid: 7 })),
            (format!("{running}{ended}\n"), Some(Phase::Ended { pid: 7, exit_code: 3 })),
            // A fast one ends before its start is answered.
            (
                format!("{STARTED}\n{ended}\n{{\"running\":{{\"pid\":7}}}}\n"),
                Some(Phase::Ended { pid: 7, exit_code: 3 }),
            ),
            (String::new(), None),
            (STARTED.to_owned(), None),
            (format!("{}\n", STARTED.replace("\"format\":1", "\"format\":2")), None),
            ("garbage\n".to_owned(), None),
        ] {
            assert_eq!(parse("e", &text).map(|found| found.phase), phase, "{text}");
        }
        assert_eq!(parse("e", &running).and_then(|found| found.config.cmd), Some(vec!["ls".to_owned()]));
    }
}

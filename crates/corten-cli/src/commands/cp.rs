//! `cp`: files between a container and here.

use crate::arguments::Matches;
use crate::cli::{self, Cli};
use crate::copy::local::{self, Ownership};
use crate::copy::progress::Progress;
use crate::copy::{self, End, Plan};
use crate::failure::{Failure, Outcome};
use crate::flags::Flag;
use crate::stream::upload;
use crate::tree::{Arity, Verb, verb};
use corten_docker_api::client::{Method, Payload, Query, Response, encode_segment};
use corten_docker_api::containers::{PATH_STAT_HEADER, PathStat};
use std::io::Read;
use tokio::sync::mpsc;

/// The command.
pub const VERB: Verb = verb!(
    cp,
    "[OPTIONS] CONTAINER:SRC_PATH DEST_PATH|-\n[OPTIONS] SRC_PATH|- CONTAINER:DEST_PATH",
    "Copy files between a container and here ('-' stands for a tar)",
    Arity::Exactly(2),
    FLAGS
);

const FLAGS: &[Flag] = &[
    Flag::bool("archive", "Keep the owners of what is copied out; what is copied in becomes the container's user's")
        .short('a'),
    Flag::bool("follow-link", "Copy what a link leads to instead of the link").short('L'),
    Flag::bool("quiet", "Show no progress (nor without a terminal)").short('q'),
];

/// Pieces of an archive that wait for the disk.
const PIECES_AHEAD: usize = 4;

struct Copy<'a> {
    container: &'a str,
    source: &'a str,
    destination: &'a str,
    follows: bool,
    archive: bool,
    quiet: bool,
}

/// Copies files.
pub async fn cp(cli: &Cli, matches: &Matches) -> Outcome {
    let [from, to] = matches.arguments.as_slice() else { return Err(Failure::new("cp takes two paths")) };
    for (path, what) in [(from, "source"), (to, "destination")] {
        if path.is_empty() {
            return Err(Failure::new(format!("{what} can not be empty")));
        }
    }
    let quiet = if matches.is_given("quiet") { matches.flag("quiet") } else { !cli.output_is_terminal() };
    let ((from_container, source), (to_container, destination)) = (container_and_path(from), container_and_path(to));
    let copy = |container| Copy {
        container,
        source,
        destination,
        follows: matches.flag("follow-link"),
        archive: matches.flag("archive"),
        quiet,
    };
    match (from_container, to_container) {
        ("", "") => Err(Failure::new("must specify at least one container source")),
        (container, "") => copy_out(cli, &copy(container)).await,
        ("", container) => copy_in(cli, &copy(container)).await,
        _ => Err(Failure::new("copying between containers is not supported")),
    }
}

/// Takes `CONTAINER:PATH` apart; a path that begins with a slash or a dot is local whatever it holds.
fn container_and_path(text: &str) -> (&str, &str) {
    match text.split_once(':') {
        Some((container, path)) if !text.starts_with(['/', '.']) => (container, path),
        _ => ("", text),
    }
}

async fn copy_out(cli: &Cli, copy: &Copy<'_>) -> Outcome {
    let to_stdout = copy.destination == "-";
    let destination = if to_stdout { "-".to_owned() } else { local::absolute(copy.destination)? };
    local::check_output(&destination)?;
    let (mut path, mut rename) = (copy.source.to_owned(), String::new());
    if copy.follows
        && let Ok(link) = stat(cli, copy.container, &path).await
        && link.mode.is_symlink()
    {
        (path, rename) = copy::followed(&path, copy::through(&path, &link.link_target));
    }
    let target = target(copy.container, Query::new().with("path", &path));
    let response = cli.client.send(Method::GET, &target, Payload::Empty).await?;
    let is_directory = stat_of(&response)?.mode.is_directory();
    let mut body = response.into_body();
    if to_stdout {
        while let Some(piece) = body.chunk().await? {
            cli::write_or_leave(&mut std::io::stdout().lock(), &piece);
        }
        return Ok(());
    }
    let plan = copy::plan(
        &End { path: path.clone(), exists: true, is_directory, rename: rename.clone() },
        &local::destination(&destination)?,
    )
    .map_err(Failure::new)?;
    // The archive has the name of what the link led to.
    let plan = through_link(plan, &path, &rename);
    let ownership = if copy.archive { Ownership::Kept } else { Ownership::Ours };
    let (pieces, receiver) = mpsc::channel(PIECES_AHEAD);
    let work = move || local::extract(Pieces { receiver, current: bytes::Bytes::new() }, &plan, ownership);
    let extracting = std::thread::Builder::new().name("extract".to_owned()).spawn(work);
    let extracting = extracting.map_err(|error| Failure::new(format!("start a thread to extract: {error}")))?;
    let mut progress = Progress::new("Copying from container - ", copy.quiet);
    let received = loop {
        match body.chunk().await {
            Ok(Some(piece)) => {
                progress.add(piece.len());
                // Extracting has failed; its reason is told below.
                if pieces.send(Ok(piece)).await.is_err() {
                    break Ok(());
                }
            }
            Ok(None) => break Ok(()),
            Err(error) => {
                let _ = pieces.send(Err(std::io::Error::other(error.to_string()))).await;
                break Err(error);
            }
        }
    };
    drop(pieces);
    let extracted = extracting.join().unwrap_or_else(|_| Err(Failure::new("extracting was not finished")));
    let bytes = progress.finish();
    received?;
    extracted?;
    if !copy.quiet {
        cli.warn(&format!("Successfully copied {bytes} to {destination}"));
    }
    Ok(())
}

/// The plan for an archive whose names begin with what the link led to.
fn through_link(plan: Plan, path: &str, rename: &str) -> Plan {
    if rename.is_empty() {
        return plan;
    }
    let new = plan.rename.map_or_else(|| rename.to_owned(), |(_, new)| new);
    Plan { rename: Some((copy::split(path).1, new)), ..plan }
}

async fn copy_in(cli: &Cli, copy: &Copy<'_>) -> Outcome {
    let source_path = if copy.source == "-" { "-".to_owned() } else { local::absolute(copy.source)? };
    let destination = container_end(cli, copy).await?;
    let shown = format!("{}:{}", copy.container, copy.destination);
    let (directory, source): (String, Box<dyn Read + Send>) = if source_path == "-" {
        if !destination.is_directory {
            return Err(Failure::new(format!("destination {shown:?} must be a directory")));
        }
        (destination.path.clone(), Box::new(std::io::stdin()))
    } else {
        let source = local::source(&source_path, copy.follows)?;
        let plan = copy::plan(&source, &destination).map_err(Failure::new)?;
        let packed = local::pack(&source, plan.rename);
        (plan.directory, Box::new(packed.map_err(|error| Failure::new(format!("pack {}: {error}", source.path)))?))
    };
    let query =
        Query::new().with("path", &directory).with("noOverwriteDirNonDir", "true").flag("copyUIDGID", copy.archive);
    let progress = Progress::new("Copying to container - ", copy.quiet);
    let payload = upload::archive(Box::new(Counted { source, progress: progress.clone() }))?;
    let sent = cli.client.send(Method::PUT, &target(copy.container, query), payload).await;
    let bytes = progress.finish();
    sent?.bytes().await?;
    if !copy.quiet {
        cli.warn(&format!("Successfully copied {bytes} to {}:{}", copy.container, destination.path));
    }
    Ok(())
}

/// The container's end of a copy: what a link leads to, and whether it is there.
async fn container_end(cli: &Cli, copy: &Copy<'_>) -> Result<End, Failure> {
    let mut end = End { path: copy.destination.to_owned(), ..End::default() };
    // What cannot be looked at may still be made; the copy says what is wrong.
    let Ok(mut there) = stat(cli, copy.container, &end.path).await else { return Ok(end) };
    if there.mode.is_symlink() {
        end.path = copy::through(&end.path, &there.link_target);
        match stat(cli, copy.container, &end.path).await {
            Ok(target) => there = target,
            Err(_) => return Ok(end),
        }
    }
    if there.mode.is_device() {
        return Err(Failure::new(format!(
            "destination \"{}:{}\" must be a directory or a regular file: got a device",
            copy.container, copy.destination
        )));
    }
    (end.exists, end.is_directory) = (true, there.mode.is_directory());
    Ok(end)
}

fn target(container: &str, query: Query) -> String {
    format!("/containers/{}/archive{}", encode_segment(container), query.as_str())
}

async fn stat(cli: &Cli, container: &str, path: &str) -> Result<PathStat, Failure> {
    let target = target(container, Query::new().with("path", path));
    stat_of(&cli.client.send(Method::HEAD, &target, Payload::Empty).await?)
}

fn stat_of(response: &Response) -> Result<PathStat, Failure> {
    let header = response.headers.get(PATH_STAT_HEADER).and_then(|header| header.to_str().ok());
    let stat = header.and_then(PathStat::from_header);
    stat.ok_or_else(|| Failure::new("the daemon does not say what is at that path"))
}

/// A source whose bytes are counted.
struct Counted {
    source: Box<dyn Read + Send>,
    progress: Progress,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let read = self.source.read(buffer)?;
        self.progress.add(read);
        Ok(read)
    }
}

/// The pieces of an answer, for a thread that may block.
struct Pieces {
    receiver: mpsc::Receiver<std::io::Result<bytes::Bytes>>,
    current: bytes::Bytes,
}

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        while self.current.is_empty() {
            match self.receiver.blocking_recv() {
                Some(piece) => self.current = piece?,
                None => return Ok(0),
            }
        }
        let count = buffer.len().min(self.current.len());
        buffer[..count].copy_from_slice(&self.current.split_to(count));
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_is_told_from_a_local_path() {
        for (text, expected) in [
            ("web:/etc", ("web", "/etc")),
            ("web:", ("web", "")),
            ("file", ("", "file")),
            ("./a:b", ("", "./a:b")),
            ("/a:b", ("", "/a:b")),
            ("-", ("", "-")),
            ("web:a:b", ("web", "a:b")),
        ] {
            assert_eq!(container_and_path(text), expected);
        }
    }
}

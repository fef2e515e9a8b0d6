//! `save`: images to an archive.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::arguments::Matches;
use crate::cli::Cli;
use crate::failure::{Failure, Outcome};
use crate::flags::Flag;
use crate::request::{self, os_error};
use crate::tree::{Arity, Verb, verb};
use corten_docker_api::client::Query;

/// The command.
pub const VERB: Verb = verb!(save, "[OPTIONS] IMAGE [IMAGE...]", "Save images to an archive", Arity::AtLeast(1), FLAGS);

const FLAGS: &[Flag] = &[
    Flag::text("output", "Write to this file instead of standard output").short('o'),
    Flag::text("platform", "Save only this platform, such as linux/amd64"),
];

/// Saves images.
pub async fn save(cli: &Cli, matches: &Matches) -> Outcome {
    let path = matches.text("output");
    if path.is_empty() && cli.output_is_terminal() {
        return Err(Failure::new("cowardly refusing to save to a terminal. Use the -o flag or redirect"));
    }
    // Before the engine begins: an archive that cannot be kept is not asked for.
    let mut output = (!path.is_empty()).then(|| Output::create(Path::new(path))).transpose()?;
    let mut query = Query::new();
    for name in &matches.arguments {
        query = query.with("names", name);
    }
    let platform = request::platform_json(matches.text("platform"))?;
    let query = query.non_empty("platform", &platform);
    let mut body = cli.client.get(&format!("/images/get{}", query.as_str())).await?.into_body();
    while let Some(chunk) = body.chunk().await? {
        match &mut output {
            Some(output) => output.write(&chunk)?,
            None => crate::cli::write_or_leave(&mut io::stdout(), &chunk),
        }
    }
    output.map_or(Ok(()), Output::finish)
}

/// The file being written, under another name until it is whole.
struct Output {
    file: File,
    unfinished: PathBuf,
    path: PathBuf,
    is_whole: bool,
}

impl Output {
    fn create(path: &Path) -> Result<Self, Failure> {
        let refused = |why: &str| Failure::new(format!("failed to save image: {why}"));
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        fs::metadata(parent).map_err(|error| {
            let why = os_error("stat", &parent.display().to_string(), &error);
            refused(&format!("invalid output path: {why}"))
        })?;
        // A file that takes the place of another by rename can only take that of a file.
        if let Ok(there) = fs::symlink_metadata(path).map(|there| there.file_type())
            && !there.is_file()
        {
            return Err(refused(match there {
                there if there.is_dir() => "cannot write to a directory",
                there if there.is_symlink() => "cannot write to a symbolic link directly",
                there if there.is_fifo() => "cannot write to a named pipe (FIFO)",
                there if there.is_socket() => "cannot write to a socket",
                _ => "cannot write to a device file",
            }));
        }
        let Some(name) = path.file_name().map(|name| name.to_string_lossy().into_owned()) else {
            return Err(refused("file name is empty"));
        };
        let unfinished = path.with_file_name(format!(".{name}.{}", std::process::id()));
        let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&unfinished);
        let file = file.map_err(|error| Failure::new(os_error("open", &unfinished.display().to_string(), &error)))?;
        Ok(Self { file, unfinished, path: path.to_owned(), is_whole: false })
    }

    fn write(&mut self, chunk: &[u8]) -> Outcome {
        let path = self.path.display().to_string();
        self.file.write_all(chunk).map_err(|error| Failure::new(os_error("write", &path, &error)))
    }

    fn finish(mut self) -> Outcome {
        let path = self.path.display().to_string();
        let renamed = self.file.sync_all().and_then(|()| fs::rename(&self.unfinished, &self.path));
        renamed.map_err(|error| Failure::new(os_error("write", &path, &error)))?;
        self.is_whole = true;
        Ok(())
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        if !self.is_whole {
            // The error that ended the save is the one to be told.
            let _ = fs::remove_file(&self.unfinished);
        }
    }
}

//! `export`: a container's file system as an archive.

use crate::arguments::Matches;
use crate::cli::{Cli, write_or_leave};
use crate::copy;
use crate::failure::{Failure, Outcome};
use crate::flags::Flag;
use crate::request::os_error;
use crate::tree::{Arity, Verb, verb};
use corten_docker_api::client::{ResponseBody, encode_segment};
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;

/// The command.
pub const VERB: Verb =
    verb!(export, "[OPTIONS] CONTAINER", "Write a container's file system as an archive", Arity::Exactly(1), FLAGS);

const FLAGS: &[Flag] = &[Flag::text("output", "Write to this file instead of standard output").short('o')];

/// Exports a container.
pub async fn export(cli: &Cli, matches: &Matches) -> Outcome {
    let name = matches.arguments.first().map_or("", String::as_str);
    let path = matches.text("output");
    if path.is_empty() && cli.output_is_terminal() {
        return Err(Failure::new("cowardly refusing to save to a terminal. Use the -o flag or redirect"));
    }
    check_output(path).map_err(|text| Failure::new(format!("failed to export container: {text}")))?;
    let body = cli.client.get(&format!("/containers/{}/export", encode_segment(name))).await?.into_body();
    if path.is_empty() { to_stdout(body).await } else { to_file(body, path).await }
}

/// Refuses what no file can be written to; empty is standard output.
fn check_output(path: &str) -> Result<(), String> {
    if path.is_empty() {
        return Ok(());
    }
    let directory = copy::split(path).0;
    match fs::metadata(&directory) {
        Ok(there) if there.is_dir() => {}
        Ok(_) => return Err(format!("invalid output path: {directory} is not a directory")),
        Err(error) => return Err(format!("invalid output path: {}", os_error("stat", &directory, &error))),
    }
    match fs::symlink_metadata(path) {
        Ok(there) if there.is_dir() => Err("cannot write to a directory".to_owned()),
        Ok(there) if there.is_symlink() => Err("cannot write to a symbolic link directly".to_owned()),
        Ok(there) if !there.is_file() => Err("cannot write to what is no regular file".to_owned()),
        _ => Ok(()),
    }
}

async fn to_stdout(mut body: ResponseBody) -> Outcome {
    while let Some(piece) = body.chunk().await? {
        write_or_leave(&mut std::io::stdout().lock(), &piece);
    }
    Ok(())
}

/// The archive appears under its name once it is whole.
async fn to_file(mut body: ResponseBody, path: &str) -> Outcome {
    let partial = format!("{path}.{}.partial", std::process::id());
    let failed = |operation: &'static str| {
        let partial = partial.clone();
        move |error: std::io::Error| Failure::new(os_error(operation, &partial, &error))
    };
    let written = async {
        let mut file =
            File::options().write(true).create_new(true).mode(0o600).open(&partial).map_err(failed("open"))?;
        while let Some(piece) = body.chunk().await? {
            file.write_all(&piece).map_err(failed("write"))?;
        }
        file.sync_all().map_err(failed("sync"))?;
        fs::rename(&partial, path).map_err(failed("rename"))
    };
    let written = written.await;
    if written.is_err() {
        // What is wrong was told already.
        let _ = fs::remove_file(&partial);
    }
    written
}

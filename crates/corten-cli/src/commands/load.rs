//! `load`: images from an archive.

use crate::arguments::Matches;
use crate::cli::Cli;
use crate::failure::{Failure, Outcome};
use crate::flags::Flag;
use crate::progress;
use crate::request::{self, os_error};
use crate::stream::upload;
use crate::tree::{Arity, Verb, verb};
use corten_docker_api::client::{Method, Query};
use std::fs::File;
use std::io::Read;

/// The command.
pub const VERB: Verb = verb!(load, "[OPTIONS]", "Load images from an archive", Arity::None, FLAGS);

const FLAGS: &[Flag] = &[
    Flag::text("input", "Read this file instead of standard input").short('i'),
    Flag::text("platform", "Load only this platform, such as linux/amd64"),
    Flag::bool("quiet", "Show no progress").short('q'),
];

/// Loads images.
pub async fn load(cli: &Cli, matches: &Matches) -> Outcome {
    let path = matches.text("input");
    let source: Box<dyn Read + Send> = if path.is_empty() {
        if cli.input_is_terminal() {
            return Err(Failure::new("requested load from stdin, but stdin is empty"));
        }
        Box::new(std::io::stdin())
    } else {
        Box::new(File::open(path).map_err(|error| Failure::new(os_error("open", path, &error)))?)
    };
    let platform = request::platform_json(matches.text("platform"))?;
    let is_quiet = matches.flag("quiet") || !cli.output_is_terminal();
    let query = Query::new().with("quiet", if is_quiet { "1" } else { "0" }).non_empty("platform", &platform);
    let payload = upload::archive(source)?;
    let response = cli.client.send(Method::POST, &format!("/images/load{}", query.as_str()), payload).await?;
    progress::show(response.into_body(), progress::To::Output).await
}

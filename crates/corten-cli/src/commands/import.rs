//! `import`: an image from the archive of a root file system.

use crate::arguments::Matches;
use crate::cli::Cli;
use crate::failure::{Failure, Outcome};
use crate::flags::Flag;
use crate::progress;
use crate::request::os_error;
use crate::stream::upload;
use crate::tree::{Arity, Verb, verb};
use corten_docker_api::client::{Method, Payload, Query};
use corten_types::Reference;
use std::fs::File;

/// The command.
pub const VERB: Verb = verb!(
    import,
    "[OPTIONS] file|URL|- [REPOSITORY[:TAG]]",
    "Make an image from the archive of a root file system",
    Arity::AtLeast(1),
    FLAGS
);

const FLAGS: &[Flag] = &[
    Flag::list("change", "Apply an instruction of a Dockerfile").short('c'),
    Flag::text("message", "Comment of the image").short('m'),
    Flag::text("platform", "Platform of the image, such as linux/amd64"),
];

/// Imports a root file system.
pub async fn import(cli: &Cli, matches: &Matches) -> Outcome {
    let source = matches.arguments.first().map_or("", String::as_str);
    let name = matches.arguments.get(1).map_or("", String::as_str);
    if !name.is_empty() {
        // Told here, before a large archive is sent in vain.
        name.parse::<Reference>().map_err(|error| Failure::new(error.to_string()))?;
    }
    let (payload, source_name) = match source {
        "-" => (upload::archive(Box::new(std::io::stdin()))?, "-"),
        remote if remote.starts_with("http://") || remote.starts_with("https://") => (Payload::Empty, remote),
        path => {
            let file = File::open(path).map_err(|error| Failure::new(os_error("open", path, &error)))?;
            (upload::archive(Box::new(file))?, "-")
        }
    };
    let mut query = Query::new().with("fromSrc", source_name).non_empty("message", matches.text("message"));
    for change in matches.list("change") {
        query = query.with("changes", change);
    }
    let query = query.non_empty("platform", &matches.text("platform").to_ascii_lowercase()).with("repo", name);
    let response = cli.client.send(Method::POST, &format!("/images/create{}", query.as_str()), payload).await?;
    progress::show(response.into_body(), progress::To::Output).await
}

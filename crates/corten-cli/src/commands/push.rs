//! `push`: an image to its registry.

use crate::arguments::Matches;
use crate::cli::Cli;
use crate::commands::pull::{named, refuse_content_trust, with_credentials};
use crate::failure::{Failure, Outcome};
use crate::flags::Flag;
use crate::progress::{self, To};
use crate::request;
use crate::tree::{Arity, Verb, verb};
use corten_docker_api::client::{Method, Query, encode_path};
use serde_json::Value;

/// The command.
pub const VERB: Verb = verb!(push, "[OPTIONS] NAME[:TAG]", "Send an image to a registry", Arity::Exactly(1), FLAGS);

const FLAGS: &[Flag] = &[
    Flag::bool("all-tags", "Send every tag of the repository").short('a'),
    Flag::bool("disable-content-trust", "Do not sign the image (false: not supported yet)").default("true"),
    Flag::text("platform", "Send only this platform of an image that has several, such as linux/amd64"),
    Flag::bool("quiet", "Show no progress").short('q'),
];

/// docker's remark on `--platform`.
const ONE_PLATFORM: &str = "Using --platform pushes only the specified platform manifest of a multi-platform image index.\n\
    Other components, like attestations, will not be included.\n\
    To push the complete multi-platform image, remove the --platform flag.\n";

/// docker's remark on an index with holes, with the indentation it has there.
const CONTENT_MISSING: &str = "You're trying to push a manifest list/index which \n\
    \t\t\t\treferences multiple platform specific manifests, but not all of them are available locally\n\
    \t\t\t\tor available to the remote repository.\n\
    \n\
    \t\t\t\tMake sure you have all the referenced content and try again.\n\
    \n\
    \t\t\t\tYou can also push only a single platform specific manifest directly by specifying the platform you want to push with the --platform flag.";

/// API version that takes a platform.
const PLATFORM_SINCE: &str = "1.46";

/// Pushes an image.
pub async fn push(cli: &Cli, matches: &Matches) -> Outcome {
    let platform = platform(cli, matches.text("platform"))?;
    if !platform.is_empty() {
        progress::note(cli, ONE_PLATFORM);
    }
    let reference = named(cli, matches)?;
    refuse_content_trust(matches)?;
    if reference.digest().is_some() {
        return Err(Failure::new("cannot push a digest reference"));
    }
    let mut query = Query::new().non_empty("platform", &platform);
    if let Some(tag) = reference.tag() {
        query = query.with("tag", tag);
    }
    let target = format!("/images/{}/push{}", encode_path(&reference.name()), query.as_str());
    let response = with_credentials(cli, reference.domain(), "push", Method::POST, &target).await?;

    let is_quiet = matches.flag("quiet");
    let mut notes = Vec::new();
    let is_terminal = cli.output_is_terminal();
    let to = if is_quiet { To::Nowhere } else { To::Output };
    let result = |aux: &Value| notes.extend(note_of(aux));
    let pushed = progress::show_with_results(response.into_body(), to, result).await;
    if is_quiet && pushed.is_ok() {
        cli.print_line(&reference.to_string());
    }
    for note in notes {
        cli.print(&progress::note_text(&note, is_terminal));
    }
    pushed
}

/// `--platform` as the API takes it: JSON.
fn platform(cli: &Cli, text: &str) -> Result<String, Failure> {
    let normal = request::platform(text).map_err(|error| Failure::new(format!("Invalid platform {text}{error}")))?;
    let mut parts = normal.split('/');
    let (Some(system), Some(architecture)) = (parts.next(), parts.next()) else { return Ok(String::new()) };
    if !cli.client.version_at_least(PLATFORM_SINCE) {
        let version = cli.client.version();
        return Err(Failure::new(format!(
            "\"platform\" requires API version {PLATFORM_SINCE}, but the Docker daemon API version is {version}"
        )));
    }
    let mut platform = serde_json::json!({ "architecture": architecture, "os": system });
    if let Some(variant) = parts.next() {
        platform["variant"] = variant.into();
    }
    Ok(platform.to_string())
}

/// What a result of the push means for people.
fn note_of(aux: &Value) -> Option<String> {
    let digest = |name: &str| aux[name]["digest"].as_str().unwrap_or_default().to_owned();
    if aux["manifestPushedInsteadOfIndex"] == Value::Bool(true) {
        return Some(format!(
            "Not all multiplatform-content is present and only the available single-platform image was pushed\n\
             \x1b[31m{}\x1b[0m -> \x1b[32m{}\x1b[0m",
            digest("originalIndex"),
            digest("selectedManifest")
        ));
    }
    (aux["contentMissing"] == Value::Bool(true)).then(|| CONTENT_MISSING.to_owned())
}

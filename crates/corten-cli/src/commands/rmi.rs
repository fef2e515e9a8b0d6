//! `rmi`: removes images.

use crate::arguments::Matches;
use crate::cli::Cli;
use crate::failure::{Failure, Outcome};
use crate::flags::Flag;
use crate::request::platform_json;
use crate::tree::{Arity, Verb, verb};
use corten_docker_api::client::{Method, Payload, Query, encode_path};
use corten_docker_api::images::ImageDeleted;

/// The command.
pub const VERB: Verb =
    verb!(rmi, "[OPTIONS] IMAGE [IMAGE...]", "Remove images and their names", Arity::AtLeast(1), FLAGS);

const FLAGS: &[Flag] = &[
    Flag::bool("force", "Remove it though containers refer to it").short('f'),
    Flag::bool("no-prune", "Keep parents that lose their last name"),
    Flag::list("platform", "Remove only this platform of an image that has several, such as linux/amd64"),
];

/// API version that takes a platform.
const PLATFORM_SINCE: &str = "1.50";

/// Removes images.
pub async fn rmi(cli: &Cli, matches: &Matches) -> Outcome {
    let is_forced = matches.flag("force");
    let mut query = Query::new().flag("force", is_forced).flag("noprune", matches.flag("no-prune"));
    let platforms = matches.list("platform");
    if !platforms.is_empty() && !cli.client.version_at_least(PLATFORM_SINCE) {
        let version = cli.client.version();
        let text = format!(
            "\"--platform\" requires API version {PLATFORM_SINCE}, but the Docker daemon API version is {version}"
        );
        return Err(Failure::new(text));
    }
    for platform in platforms {
        query = query.with("platforms", &platform_json(platform)?);
    }
    let (mut failures, mut is_fatal) = (Vec::new(), false);
    for name in &matches.arguments {
        let target = format!("/images/{}{}", encode_path(name), query.as_str());
        let answer = match cli.client.send(Method::DELETE, &target, Payload::Empty).await {
            Ok(response) => response.json::<Vec<ImageDeleted>>().await,
            Err(error) => Err(error),
        };
        match answer {
            Ok(removed) => {
                for image in removed {
                    let (what, name) = if image.deleted.is_empty() {
                        ("Untagged", image.untagged)
                    } else {
                        ("Deleted", image.deleted)
                    };
                    cli.print_line(&format!("{what}: {name}"));
                }
            }
            Err(error) => {
                is_fatal |= !error.is_not_found();
                failures.push(error.to_string());
            }
        }
    }
    if failures.is_empty() {
        return Ok(());
    }
    if is_forced && !is_fatal {
        cli.warn(&failures.join("\n"));
        return Ok(());
    }
    Err(Failure::new(failures.join("\n")))
}

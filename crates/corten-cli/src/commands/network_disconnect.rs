//! `network disconnect`.

use crate::arguments::Matches;
use crate::cli::Cli;
use crate::failure::{Failure, Outcome};
use crate::flags::Flag;
use crate::tree::{Arity, Verb, verb};
use corten_docker_api::client::{Method, Payload, encode_segment};
use corten_docker_api::json;
use corten_docker_api::networks::NetworkDisconnect;

/// The command.
pub const VERB: Verb = verb!(
    network_disconnect,
    "[OPTIONS] NETWORK CONTAINER",
    "Take a container out of a network",
    Arity::Exactly(2),
    FLAGS
);

const FLAGS: &[Flag] = &[Flag::bool("force", "Take a container out that is gone").short('f')];

/// Disconnects a container.
pub async fn network_disconnect(cli: &Cli, matches: &Matches) -> Outcome {
    let [network, container] = matches.arguments.as_slice() else {
        return Err(Failure::new("network disconnect takes a network and a container"));
    };
    let body = NetworkDisconnect { container: container.clone(), force: matches.flag("force") };
    let body = json::encode(&body).map_err(|error| Failure::new(error.to_string()))?;
    let target = format!("/networks/{}/disconnect", encode_segment(network));
    cli.client.send(Method::POST, &target, Payload::Json(body)).await?;
    Ok(())
}

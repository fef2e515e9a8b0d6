//! `network connect`.

use crate::arguments::Matches;
use crate::cli::Cli;
use crate::failure::{Failure, Outcome};
use crate::flags::Flag;
use crate::request::networks::{check_address, check_link};
use crate::tree::{Arity, Verb, verb};
use corten_docker_api::client::{Method, Payload, encode_segment};
use corten_docker_api::containers::{Endpoint, EndpointAddresses};
use corten_docker_api::json;
use corten_docker_api::networks::NetworkConnect;
use std::collections::BTreeMap;

/// The command.
pub const VERB: Verb =
    verb!(network_connect, "[OPTIONS] NETWORK CONTAINER", "Connect a container to a network", Arity::Exactly(2), FLAGS);

const FLAGS: &[Flag] = &[
    Flag::list("alias", "Answer to another name in the network"),
    Flag::list("driver-opt", "An option of the driver (key=value)"),
    Flag::int("gw-priority", "The network of the highest priority is the way out").default("0"),
    Flag::text("ip", "IPv4 address").check(check_address),
    Flag::text("ip6", "IPv6 address").check(check_address),
    Flag::list("link", "Link to another container").check(check_link),
    Flag::list("link-local-ip", "A link-local address").check(check_address),
];

/// Connects a container.
pub async fn network_connect(cli: &Cli, matches: &Matches) -> Outcome {
    let [network, container] = matches.arguments.as_slice() else {
        return Err(Failure::new("network connect takes a network and a container"));
    };
    let some = |name: &str| Some(matches.list(name).to_vec()).filter(|list| !list.is_empty());
    let mut options = BTreeMap::new();
    for text in matches.list("driver-opt").iter().flat_map(|text| text.split(',')) {
        let (key, value) =
            text.split_once('=').ok_or_else(|| Failure::new("invalid key/value pair format in driver options"))?;
        options.insert(key.trim().to_owned(), value.trim().to_owned());
    }
    let addresses = EndpointAddresses {
        ipv4_address: matches.text("ip").trim().to_owned(),
        ipv6_address: matches.text("ip6").trim().to_owned(),
        link_local_ips: some("link-local-ip"),
    };
    let aliases: Vec<String> =
        matches.list("alias").iter().flat_map(|text| text.split(',')).map(str::to_owned).collect();
    let endpoint = Endpoint {
        ipam_config: Some(addresses).filter(|addresses| *addresses != EndpointAddresses::default()),
        links: some("link"),
        aliases: Some(aliases).filter(|aliases| !aliases.is_empty()),
        driver_opts: Some(options).filter(|options| !options.is_empty()),
        gw_priority: matches.int("gw-priority"),
        ..Endpoint::default()
    };
    let body = NetworkConnect { container: container.clone(), endpoint_config: Some(endpoint) };
    let body = json::encode(&body).map_err(|error| Failure::new(error.to_string()))?;
    let target = format!("/networks/{}/connect", encode_segment(network));
    cli.client.send(Method::POST, &target, Payload::Json(body)).await?;
    Ok(())
}

//! `port`: where the published ports of a container are reached.

use crate::arguments::Matches;
use crate::cli::Cli;
use crate::failure::{Failure, Outcome};
use crate::tree::{Arity, Verb, verb};
use corten_docker_api::client::encode_segment;
use corten_docker_api::containers::{ContainerInspect, PortBinding};

/// The command.
pub const VERB: Verb = verb!(
    port,
    "CONTAINER [PRIVATE_PORT[/PROTO]]",
    "Show where a container's ports are reached",
    Arity::Between(1, 2),
    &[]
);

/// Prints a line for each place.
pub async fn port(cli: &Cli, matches: &Matches) -> Outcome {
    let name = matches.arguments.first().map_or("", String::as_str);
    let container: ContainerInspect =
        cli.client.get(&format!("/containers/{}/json", encode_segment(name))).await?.json().await?;
    let ports = container.network_settings.ports;
    let mut lines: Vec<(u16, String)> = Vec::new();
    match matches.arguments.get(1) {
        Some(wanted) => {
            let key = if wanted.contains('/') { wanted.clone() } else { format!("{wanted}/tcp") };
            let bindings = ports.get(&key).cloned().flatten().unwrap_or_default();
            if bindings.is_empty() {
                return Err(Failure::new(format!("Error: No public port '{wanted}' published for {name}")));
            }
            lines.extend(bindings.iter().map(|binding| (0, place(binding))));
        }
        None => {
            for (port, bindings) in &ports {
                let number = port.split('/').next().and_then(|number| number.parse().ok()).unwrap_or_default();
                let shown = |binding: &PortBinding| (number, format!("{port} -> {}", place(binding)));
                lines.extend(bindings.iter().flatten().map(shown));
            }
        }
    }
    lines.sort();
    for (_, line) in lines {
        cli.print_line(&line);
    }
    Ok(())
}

/// `0.0.0.0:80`, `[::]:80`.
fn place(binding: &PortBinding) -> String {
    match binding.host_ip.contains(':') {
        true => format!("[{}]:{}", binding.host_ip, binding.host_port),
        false => format!("{}:{}", binding.host_ip, binding.host_port),
    }
}

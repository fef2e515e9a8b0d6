//! Published and exposed ports.

use corten_docker_api::containers::PortBinding;
use corten_docker_api::json::{Empty, Set};
use std::collections::BTreeMap;

/// Ports and the addresses they are reached at.
pub type PortMap = BTreeMap<String, Option<Vec<PortBinding>>>;

/// All ports that are published or exposed.
///
/// # Errors
/// docker's words.
pub fn exposed(published: &[String], exposed: &[String]) -> Result<Set, String> {
    let mut ports: Set = bindings(published)?.into_keys().map(|port| (port, Empty::default())).collect();
    for text in exposed {
        if text.contains(':') {
            return Err(format!("invalid port format for --expose: {text}"));
        }
        let (protocol, range) = protocol_and_port(text);
        let (first, last) =
            port_range(range).map_err(|error| format!("invalid range format for --expose: {text}, error: {error}"))?;
        for port in first..=last {
            ports.insert(format!("{port}/{protocol}"), Empty::default());
        }
    }
    Ok(ports)
}

/// The addresses of published ports.
///
/// # Errors
/// docker's words.
pub fn bindings(published: &[String]) -> Result<PortMap, String> {
    let mut ports = PortMap::new();
    for text in published {
        for (port, binding) in publish(&short_form(text)?)? {
            ports.entry(port).or_default().get_or_insert_default().push(binding);
        }
    }
    Ok(ports)
}

/// `published=80,target=8080,protocol=tcp` as `80:8080/tcp`.
fn short_form(text: &str) -> Result<String, String> {
    if !text.contains('=') {
        return Ok(text.to_owned());
    }
    let (mut published, mut target, mut protocol) = (String::new(), String::new(), "tcp".to_owned());
    for part in text.split(',') {
        match part.split_once('=') {
            Some(("published", value)) => value.clone_into(&mut published),
            Some(("target", value)) => value.clone_into(&mut target),
            Some(("protocol", value)) => value.clone_into(&mut protocol),
            Some((key, _)) if !key.is_empty() => {}
            _ => return Err(format!("invalid publish opts format (should be name=value but got '{part}')")),
        }
    }
    Ok(format!("{published}:{target}/{protocol}"))
}

/// `[ip:][host port:]container port[/protocol]`, each port possibly a range.
fn publish(text: &str) -> Result<Vec<(String, PortBinding)>, String> {
    let parts: Vec<&str> = text.split(':').collect();
    let (ip, host, container) = match parts.as_slice() {
        [container] => (String::new(), "", *container),
        [host, container] => (String::new(), *host, *container),
        [ip @ .., host, container] => (ip.join(":"), *host, *container),
        [] => (String::new(), "", ""),
    };
    let (protocol, container) = protocol_and_port(container);
    let protocol = protocol.to_ascii_lowercase();
    let ip = match ip.strip_prefix('[') {
        Some(inner) => match inner.strip_suffix(']') {
            Some(inner) => inner.to_owned(),
            None => return Err(format!("invalid IP address {ip}: address {ip}:: missing ']' in address")),
        },
        None => ip,
    };
    if !ip.is_empty() && ip.parse::<std::net::IpAddr>().is_err() {
        return Err(format!("invalid IP address: {ip}"));
    }
    if container.is_empty() {
        return Err(format!("no port specified: {text}<empty>"));
    }
    let (first, last) = port_range(container).map_err(|_| format!("invalid containerPort: {container}"))?;
    let host_range = match host {
        "" => None,
        host => Some(port_range(host).map_err(|_| format!("invalid hostPort: {host}"))?),
    };
    if let Some((host_first, host_last)) = host_range
        && last - first != host_last - host_first
        && last != first
    {
        return Err(format!("invalid ranges specified for container and host Ports: {container} and {host}"));
    }
    if !["tcp", "udp", "sctp"].contains(&protocol.as_str()) {
        return Err(format!("invalid proto: {protocol}"));
    }
    let ports = (first..=last).map(|port| {
        let host_port = match host_range {
            None => String::new(),
            // One port inside, a range outside: the daemon takes any of them.
            Some((host_first, host_last)) if first == last && host_first != host_last => {
                format!("{host_first}-{host_last}")
            }
            Some((host_first, _)) => (u32::from(host_first) + u32::from(port - first)).to_string(),
        };
        (format!("{port}/{protocol}"), PortBinding { host_ip: ip.clone(), host_port })
    });
    Ok(ports.collect())
}

fn protocol_and_port(text: &str) -> (&str, &str) {
    match text.split_once('/') {
        Some(("", _)) => ("", ""),
        Some((port, "")) => ("tcp", port),
        Some((port, protocol)) => (protocol.split('/').next().unwrap_or(protocol), port),
        None => ("tcp", text),
    }
}

/// `8000` or `8000-9000`.
fn port_range(text: &str) -> Result<(u16, u16), String> {
    if text.is_empty() {
        return Err("empty string specified for ports".to_owned());
    }
    let number = |text: &str| {
        text.parse::<u16>().map_err(|error| {
            let reason = if *error.kind() == std::num::IntErrorKind::PosOverflow {
                "value out of range"
            } else {
                "invalid syntax"
            };
            format!("strconv.ParseUint: parsing {}: {reason}", crate::flags::quote(text))
        })
    };
    let mut parts = text.split('-');
    let first = number(parts.next().unwrap_or_default())?;
    let last = parts.next().map_or(Ok(first), number)?;
    if last < first {
        return Err(format!("invalid range specified for port: {text}"));
    }
    Ok((first, last))
}

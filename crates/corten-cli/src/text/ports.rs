//! The ports of a container in one line, ranges folded.

use corten_docker_api::containers::Port;

struct Group {
    key: String,
    first: u16,
    last: u16,
}

/// `0.0.0.0:80->80/tcp, 9000-9003/udp`
pub fn ports(ports: &[Port]) -> String {
    let mut sorted: Vec<&Port> = ports.iter().collect();
    sorted.sort_by(|left, right| {
        (left.private_port, &left.ip, left.public_port, &left.kind).cmp(&(
            right.private_port,
            &right.ip,
            right.public_port,
            &right.kind,
        ))
    });
    let mut open: Vec<Group> = Vec::new();
    let mut shown = Vec::new();
    let mut mapped = Vec::new();
    for port in sorted {
        let current = port.private_port;
        let key = if port.ip.is_empty() {
            port.kind.clone()
        } else if port.public_port == current {
            format!("{}/{}", port.ip, port.kind)
        } else {
            mapped.push(format!("{}->{current}/{}", join_host(&port.ip, &port.public_port.to_string()), port.kind));
            continue;
        };
        match open.iter_mut().find(|group| group.key == key) {
            None => open.push(Group { key, first: current, last: current }),
            Some(group) if u32::from(current) == u32::from(group.last) + 1 => group.last = current,
            Some(group) => {
                shown.push(group_text(group));
                (group.first, group.last) = (current, current);
            }
        }
    }
    shown.extend(open.iter().map(group_text));
    shown.extend(mapped);
    shown.join(", ")
}

fn group_text(group: &Group) -> String {
    let range =
        if group.first == group.last { group.first.to_string() } else { format!("{}-{}", group.first, group.last) };
    match group.key.split_once('/') {
        Some((ip, kind)) => format!("{}->{range}/{kind}", join_host(ip, &range)),
        None => format!("{range}/{}", group.key),
    }
}

fn join_host(ip: &str, port: &str) -> String {
    if ip.contains(':') { format!("[{ip}]:{port}") } else { format!("{ip}:{port}") }
}

#[cfg(test)]
mod tests {
    use super::ports;
    use corten_docker_api::containers::Port;

    #[test]
    fn neighbours_are_folded() {
        let port = |ip: &str, private_port, public_port, kind: &str| Port {
            ip: ip.into(),
            private_port,
            public_port,
            kind: kind.into(),
        };
        let check = |given: &[Port], expected: &str| assert_eq!(ports(given), expected);
        check(&[], "");
        check(&[port("", 80, 0, "tcp")], "80/tcp");
        check(&[port("127.0.0.1", 80, 18080, "tcp")], "127.0.0.1:18080->80/tcp");
        check(
            &[port("0.0.0.0", 9001, 9001, "udp"), port("0.0.0.0", 9000, 9000, "udp")],
            "0.0.0.0:9000-9001->9000-9001/udp",
        );
        check(&[port("::", 9000, 9000, "udp"), port("", 80, 0, "tcp")], "80/tcp, [::]:9000->9000/udp");
        check(&[port("", 1, 0, "tcp"), port("", 3, 0, "tcp")], "1/tcp, 3/tcp");
    }
}

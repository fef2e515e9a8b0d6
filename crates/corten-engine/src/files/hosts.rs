//! The text of `/etc/hosts`.

use std::fmt::Write;
use std::net::IpAddr;

/// What an extra host says instead of an address to mean the host.
pub const HOST_GATEWAY: &str = "host-gateway";

/// The names every container knows, as Docker writes them.
const LOCAL: &str = "\
127.0.0.1\tlocalhost
::1\tlocalhost ip6-localhost ip6-loopback
fe00::\tip6-localnet
ff00::\tip6-mcastprefix
ff02::1\tip6-allnodes
ff02::2\tip6-allrouters
";

/// One line of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The address.
    pub ip: IpAddr,
    /// Its names, separated by a space.
    pub names: String,
}

/// An `--add-host` that cannot be written.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExtraHostError {
    /// Not `name:address` or `name=address`.
    #[error("bad format for add-host: \"{0}\"")]
    Format(String),
    /// The address is none.
    #[error("invalid IP address in add-host: \"{0}\"")]
    Address(String),
    /// The host's address was asked for, and is not known.
    #[error("unable to derive the IP value for host-gateway")]
    NoGateway,
}

/// Reads one `name:address` (also `name=address`, and `[v6]` in brackets); `host-gateway` stands for `gateways`.
///
/// # Errors
/// [`ExtraHostError`].
pub fn extra_host(text: &str, gateways: &[IpAddr]) -> Result<Vec<Entry>, ExtraHostError> {
    let (name, address) = text
        .split_once('=')
        .or_else(|| text.split_once(':'))
        .filter(|(name, address)| !name.is_empty() && !address.is_empty() && !name.contains(char::is_whitespace))
        .ok_or_else(|| ExtraHostError::Format(text.to_owned()))?;
    let entry = |ip| Entry { ip, names: name.to_owned() };
    if address == HOST_GATEWAY {
        return match gateways {
            [] => Err(ExtraHostError::NoGateway),
            all => Ok(all.iter().copied().map(entry).collect()),
        };
    }
    let bare = address.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(address);
    let ip = bare.parse().map_err(|_| ExtraHostError::Address(address.to_owned()))?;
    Ok(vec![entry(ip)])
}

/// The whole file: local names, then `extra`, then the container's `own` addresses.
pub fn text(extra: &[Entry], own: &[Entry]) -> String {
    let mut text = LOCAL.to_owned();
    append(&mut text, extra);
    append(&mut text, own);
    text
}

/// The host's own file for a container in the host's network, followed by `extra`.
pub fn text_of_host(host_file: &str, extra: &[Entry]) -> String {
    let mut text = host_file.to_owned();
    if !extra.is_empty() && !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    append(&mut text, extra);
    text
}

fn append(text: &mut String, entries: &[Entry]) {
    for Entry { ip, names } in entries {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{ip}\t{names}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address in a test")
    }

    #[test]
    fn extra_hosts_are_read_in_all_their_forms() {
        let gateways = [ip("172.17.0.1")];
        for (text, expected) in [
            ("db:10.0.0.2", Ok("10.0.0.2")),
            ("db=10.0.0.2", Ok("10.0.0.2")),
            ("db:::1", Ok("::1")),
            ("db=[2001:db8::1]", Ok("2001:db8::1")),
            ("db:host-gateway", Ok("172.17.0.1")),
            ("db", Err(ExtraHostError::Format("db".into()))),
            ("db:", Err(ExtraHostError::Format("db:".into()))),
            (":1.2.3.4", Err(ExtraHostError::Format(":1.2.3.4".into()))),
            ("a b:1.2.3.4", Err(ExtraHostError::Format("a b:1.2.3.4".into()))),
            ("db:nowhere", Err(ExtraHostError::Address("nowhere".into()))),
        ] {
            let expected = expected.map(|address| vec![Entry { ip: ip(address), names: "db".into() }]);
            assert_eq!(extra_host(text, &gateways), expected, "{text}");
        }
        assert_eq!(extra_host("db:host-gateway", &[]), Err(ExtraHostError::NoGateway));
    }

    #[test]
    fn own_names_stand_last() {
        let extra = [Entry { ip: ip("10.0.0.2"), names: "db".into() }];
        let own = [Entry { ip: ip("172.17.0.2"), names: "web.example web".into() }];
        let text = text(&extra, &own);
        assert!(text.starts_with("127.0.0.1\tlocalhost\n"));
        assert!(text.ends_with("ff02::2\tip6-allrouters\n10.0.0.2\tdb\n172.17.0.2\tweb.example web\n"));
    }

    #[test]
    fn the_hosts_file_is_kept_as_it_is() {
        let extra = [Entry { ip: ip("10.0.0.2"), names: "db".into() }];
        assert_eq!(text_of_host("1.2.3.4 a", &[]), "1.2.3.4 a");
        assert_eq!(text_of_host("1.2.3.4 a", &extra), "1.2.3.4 a\n10.0.0.2\tdb\n");
    }
}

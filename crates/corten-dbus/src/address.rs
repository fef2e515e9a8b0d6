//! Where a bus is: `unix:path=/run/dbus/system_bus_socket`, several of them with `;` between (specification, "Server
//! Addresses").

use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::net::SocketAddr;

/// Where the system's bus is when nothing else is said.
pub const SYSTEM: &str = "unix:path=/run/dbus/system_bus_socket";

/// The sockets an address names, in their order. What is no unix socket is left out.
#[must_use]
pub fn sockets(address: &str) -> Vec<SocketAddr> {
    address.split(';').filter_map(socket).collect()
}

fn socket(address: &str) -> Option<SocketAddr> {
    let mut pairs = address.strip_prefix("unix:")?.split(',').filter_map(|pair| pair.split_once('='));
    pairs.find_map(|(key, value)| {
        let value = unescape(value)?;
        match key {
            "path" => SocketAddr::from_pathname(std::ffi::OsString::from_vec(value)).ok(),
            "abstract" => SocketAddr::from_abstract_name(value).ok(),
            _ => None,
        }
    })
}

/// `%20` is a byte by its number.
fn unescape(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digits = [rest.next()?, rest.next()?];
        let digits = std::str::from_utf8(&digits).ok().filter(|digits| !digits.starts_with('+'))?;
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn unix_sockets_are_found_in_an_address() {
        let found =
            sockets("tcp:host=a,port=1;unix:guid=12,path=/run/a%20b;unix:abstract=x;unix:path=/a%2;unix:dir=/tmp");
        assert_eq!(found.len(), 2);
        assert_eq!(found[0].as_pathname(), Some(Path::new("/run/a b")));
        assert_eq!(found[1].as_abstract_name(), Some(b"x".as_slice()));
        assert!(sockets("").is_empty() && sockets("unix:").is_empty() && sockets("unix:path=/a%+1").is_empty());
    }
}

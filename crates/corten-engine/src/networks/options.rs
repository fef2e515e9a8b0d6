//! What a network's driver options say. An option nobody knows is kept and ignored, as docker does; a value that cannot
//! be used is a 400, and what is not built yet is refused by its name.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use corten_network::plan::{GatewayMode, MacvlanMode};

use crate::errors::{EngineError, Result};

/// Whether the network has IPv4; the field of the request wins.
pub const ENABLE_V4: &str = "com.docker.network.enable_ipv4";
/// Whether the network has IPv6.
pub const ENABLE_V6: &str = "com.docker.network.enable_ipv6";
/// Whether nothing goes in or out.
const INTERNAL: &str = "com.docker.network.internal";

/// How often the addresses of a container are announced to its neighbours.
pub const ANNOUNCEMENTS: &str = "com.docker.network.advertise_addr_nmsgs";
/// Milliseconds between two announcements.
pub const ANNOUNCEMENT_GAP: &str = "com.docker.network.advertise_addr_ms";

/// Longest name of an interface (`IFNAMSIZ` without its end).
const INTERFACE_NAME_BYTES: usize = 15;

/// Smallest and largest packet of a network.
const MTU: std::ops::RangeInclusive<u32> = 68..=65535;

/// Everything the options of a network can say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// The bridge's name.
    pub bridge: Option<String>,
    /// Whether containers leave with the host's address.
    pub masquerade: bool,
    /// Whether they reach each other.
    pub icc: bool,
    /// How they are reached from outside, for IPv4.
    pub mode_v4: GatewayMode,
    /// The same for IPv6.
    pub mode_v6: GatewayMode,
    /// Whether the bridge has no address.
    pub inhibit_v4: bool,
    /// The host address of ports that name none.
    pub host_binding: Option<IpAddr>,
    /// Interfaces from which containers may be reached directly.
    pub trusted: Vec<String>,
    /// The largest packet.
    pub mtu: Option<u32>,
    /// The address containers leave with.
    pub leave_as_v4: Option<Ipv4Addr>,
    /// The same for IPv6.
    pub leave_as_v6: Option<Ipv6Addr>,
    /// What interfaces in containers are called, without their number.
    pub interface_prefix: String,
    /// Whether nothing goes in or out, by option.
    pub internal: bool,
    /// Macvlan's interface of the host.
    pub parent: Option<String>,
    /// How macvlan's interfaces see each other.
    pub macvlan_mode: MacvlanMode,
    /// How often the addresses of a container are announced.
    pub announcements: u8,
    /// Milliseconds between two of them.
    pub announcement_gap_ms: u16,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            bridge: None,
            masquerade: true,
            icc: true,
            mode_v4: GatewayMode::Nat,
            mode_v6: GatewayMode::Nat,
            inhibit_v4: false,
            host_binding: None,
            trusted: Vec::new(),
            mtu: None,
            leave_as_v4: None,
            leave_as_v6: None,
            interface_prefix: "eth".to_owned(),
            internal: false,
            parent: None,
            macvlan_mode: MacvlanMode::Bridge,
            announcements: 3,
            announcement_gap_ms: 1000,
        }
    }
}

impl Options {
    /// Reads a bridge's or a macvlan's options.
    ///
    /// # Errors
    /// 400 for a value that cannot be used, 501 for one that is not built yet.
    pub fn read(driver: &str, given: &BTreeMap<String, String>) -> Result<Self> {
        let mut options = Self::default();
        for (key, value) in given {
            match driver {
                "macvlan" => options.macvlan(key, value)?,
                _ => options.bridge(key, value)?,
            }
            match key.as_str() {
                "com.docker.network.driver.mtu" => options.mtu = mtu(key, value)?,
                "com.docker.network.container_iface_prefix" => {
                    interface_name(key, &format!("{value}0")).map_err(|reason| unusable(key, value, &reason))?;
                    options.interface_prefix.clone_from(value);
                }
                INTERNAL => options.internal = boolean(key, value)?,
                ANNOUNCEMENTS => options.announcements = announcements(value).map_err(EngineError::invalid)?,
                ANNOUNCEMENT_GAP => {
                    options.announcement_gap_ms = announcement_gap(value).map_err(EngineError::invalid)?
                }
                _ => {}
            }
        }
        Ok(options)
    }

    fn bridge(&mut self, key: &str, value: &str) -> Result<()> {
        match key {
            "com.docker.network.bridge.name" => {
                interface_name(key, value).map_err(|reason| unusable(key, value, &reason))?;
                self.bridge = Some(value.to_owned());
            }
            "com.docker.network.bridge.enable_ip_masquerade" => self.masquerade = boolean(key, value)?,
            "com.docker.network.bridge.enable_icc" => self.icc = boolean(key, value)?,
            "com.docker.network.bridge.gateway_mode_ipv4" => self.mode_v4 = mode(key, value)?,
            "com.docker.network.bridge.gateway_mode_ipv6" => {
                self.mode_v6 = mode(key, value)?;
                if matches!(self.mode_v6, GatewayMode::Routed | GatewayMode::Isolated) {
                    return Err(EngineError::unimplemented(format!("{key}={value}: not supported yet")));
                }
            }
            "com.docker.network.bridge.inhibit_ipv4" => self.inhibit_v4 = boolean(key, value)?,
            "com.docker.network.bridge.host_binding_ipv4" => self.host_binding = Some(address(key, value)?),
            "com.docker.network.bridge.default_bridge" if boolean(key, value)? => {
                let text = format!("{key}: the default network is made by the engine alone");
                return Err(EngineError::new(corten_types::ErrorKind::PermissionDenied, text));
            }
            "com.docker.network.bridge.trusted_host_interfaces" => {
                self.trusted = value.split(':').filter(|name| !name.is_empty()).map(str::to_owned).collect();
                for name in &self.trusted {
                    interface_name(key, name).map_err(|reason| unusable(key, value, &reason))?;
                }
            }
            "com.docker.network.host_ipv4" => self.leave_as_v4 = Some(address(key, value)?),
            "com.docker.network.host_ipv6" => self.leave_as_v6 = Some(address(key, value)?),
            _ => {}
        }
        Ok(())
    }

    fn macvlan(&mut self, key: &str, value: &str) -> Result<()> {
        match key {
            "parent" => {
                interface_name(key, value).map_err(|reason| unusable(key, value, &reason))?;
                self.parent = Some(value.to_owned());
            }
            "macvlan_mode" => {
                self.macvlan_mode = match value {
                    "" | "bridge" => MacvlanMode::Bridge,
                    "private" => MacvlanMode::Private,
                    "vepa" => MacvlanMode::Vepa,
                    "passthru" => MacvlanMode::Passthru,
                    other => {
                        return Err(EngineError::invalid(format!(
                            "requested macvlan mode '{other}' is not valid, 'bridge' mode is the macvlan driver default"
                        )));
                    }
                };
            }
            _ => {}
        }
        Ok(())
    }
}

/// The boolean of an option.
pub fn boolean(key: &str, value: &str) -> Result<bool> {
    let wrong = || unusable(key, value, &format!("strconv.ParseBool: parsing {value:?}: invalid syntax"));
    parse_bool(value).ok_or_else(wrong)
}

/// A boolean as Go's `strconv.ParseBool` reads it.
pub fn parse_bool(value: &str) -> Option<bool> {
    match value {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Some(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Some(false),
        _ => None,
    }
}

/// Checks what an interface is to be called.
///
/// # Errors
/// Why it cannot be called so.
pub fn interface_name(what: &str, name: &str) -> std::result::Result<(), String> {
    let bad = |character: char| character == '/' || character.is_whitespace() || character.is_control();
    match name {
        "" => Err(format!("{what}: an interface needs a name")),
        "." | ".." => Err(format!("{what}: an interface cannot be called {name}")),
        name if name.len() > INTERFACE_NAME_BYTES => {
            Err(format!("{what}: {name:?} is longer than {INTERFACE_NAME_BYTES} bytes"))
        }
        name if name.contains(bad) || name.contains(':') => {
            Err(format!("{what}: {name:?} has characters that an interface's name cannot have"))
        }
        _ => Ok(()),
    }
}

/// How often addresses are announced.
///
/// # Errors
/// docker's sentence.
pub fn announcements(value: &str) -> std::result::Result<u8, String> {
    let wrong = |_| format!("value for option {ANNOUNCEMENTS} {value:?} must be an integer");
    let number: i64 = value.parse().map_err(wrong)?;
    let fits = u8::try_from(number).ok().filter(|number| *number <= 3);
    fits.ok_or_else(|| format!("{ANNOUNCEMENTS} must be in the range 0 to 3"))
}

/// Milliseconds between two announcements.
///
/// # Errors
/// docker's sentence.
pub fn announcement_gap(value: &str) -> std::result::Result<u16, String> {
    let wrong = |_| format!("value for option {ANNOUNCEMENT_GAP} {value:?} must be integer milliseconds");
    let number: i64 = value.parse().map_err(wrong)?;
    let fits = u16::try_from(number).ok().filter(|number| (100..=2000).contains(number));
    fits.ok_or_else(|| format!("{ANNOUNCEMENT_GAP} must be in the range 100 to 2000"))
}

fn mode(key: &str, value: &str) -> Result<GatewayMode> {
    match value {
        "nat" => Ok(GatewayMode::Nat),
        "nat-unprotected" => Ok(GatewayMode::NatUnprotected),
        "routed" => Ok(GatewayMode::Routed),
        "isolated" => Ok(GatewayMode::Isolated),
        _ => Err(unusable(key, value, &format!("unknown gateway mode {value}"))),
    }
}

fn mtu(key: &str, value: &str) -> Result<Option<u32>> {
    let number: i64 =
        value.parse().map_err(|_| unusable(key, value, &format!("strconv.Atoi: parsing {value:?}: invalid syntax")))?;
    match u32::try_from(number) {
        Ok(0) => Ok(None),
        Ok(number) if MTU.contains(&number) => Ok(Some(number)),
        _ => Err(EngineError::invalid(format!("invalid MTU number: {number}"))),
    }
}

fn address<T: FromStr>(key: &str, value: &str) -> Result<T> {
    value.parse().map_err(|_| unusable(key, value, "nil ip"))
}

fn unusable(key: &str, value: &str, reason: &str) -> EngineError {
    EngineError::invalid(format!("failed to parse {key} value: {value} ({reason})"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(driver: &str, key: &str, value: &str) -> Result<Options> {
        Options::read(driver, &BTreeMap::from([(key.to_owned(), value.to_owned())]))
    }

    #[test]
    fn every_option_is_read() {
        let check = |key: &str, value: &str, seen: fn(&Options) -> bool| {
            assert!(seen(&read("bridge", key, value).unwrap()), "{key}={value}");
        };
        check("com.docker.network.bridge.name", "br9", |options| options.bridge.as_deref() == Some("br9"));
        check("com.docker.network.bridge.enable_ip_masquerade", "false", |options| !options.masquerade);
        check("com.docker.network.bridge.enable_icc", "0", |options| !options.icc);
        check("com.docker.network.bridge.inhibit_ipv4", "true", |options| options.inhibit_v4);
        check("com.docker.network.bridge.gateway_mode_ipv4", "routed", |options| {
            options.mode_v4 == GatewayMode::Routed
        });
        check("com.docker.network.bridge.host_binding_ipv4", "127.0.0.1", |options| options.host_binding.is_some());
        check("com.docker.network.bridge.trusted_host_interfaces", "a:b", |options| options.trusted == ["a", "b"]);
        check("com.docker.network.driver.mtu", "1400", |options| options.mtu == Some(1400));
        check("com.docker.network.host_ipv4", "192.0.2.1", |options| options.leave_as_v4.is_some());
        check("com.docker.network.container_iface_prefix", "net", |options| options.interface_prefix == "net");
        check("com.docker.network.advertise_addr_nmsgs", "0", |options| options.announcements == 0);
        check("com.docker.network.advertise_addr_ms", "250", |options| options.announcement_gap_ms == 250);
        check("nobody.knows.it", "x", |options| *options == Options::default());
        assert_eq!(read("macvlan", "macvlan_mode", "vepa").unwrap().macvlan_mode, MacvlanMode::Vepa);
        assert_eq!(read("macvlan", "parent", "eth0.7").unwrap().parent.as_deref(), Some("eth0.7"));
    }

    #[test]
    fn what_cannot_be_used_is_named_with_docker_s_words() {
        for (key, value, text) in [
            (
                "com.docker.network.bridge.enable_icc",
                "maybe",
                "failed to parse com.docker.network.bridge.enable_icc value: maybe (strconv.ParseBool: parsing \"maybe\": invalid syntax)",
            ),
            ("com.docker.network.driver.mtu", "-1", "invalid MTU number: -1"),
            (
                "com.docker.network.bridge.host_binding_ipv4",
                "x",
                "failed to parse com.docker.network.bridge.host_binding_ipv4 value: x (nil ip)",
            ),
            (
                "com.docker.network.advertise_addr_nmsgs",
                "4",
                "com.docker.network.advertise_addr_nmsgs must be in the range 0 to 3",
            ),
            (
                "com.docker.network.advertise_addr_ms",
                "x",
                "value for option com.docker.network.advertise_addr_ms \"x\" must be integer milliseconds",
            ),
            (
                "com.docker.network.bridge.gateway_mode_ipv4",
                "x",
                "failed to parse com.docker.network.bridge.gateway_mode_ipv4 value: x (unknown gateway mode x)",
            ),
        ] {
            let error = read("bridge", key, value).unwrap_err();
            assert_eq!((error.message().as_str(), error.kind().http_status()), (text, 400));
        }
        assert!(read("bridge", "com.docker.network.bridge.name", "../../etc").is_err());
        assert!(read("bridge", "com.docker.network.bridge.name", "a-name-that-is-too-long").is_err());
        let later = read("bridge", "com.docker.network.bridge.gateway_mode_ipv6", "routed").unwrap_err();
        assert_eq!(later.kind().http_status(), 501);
    }
}

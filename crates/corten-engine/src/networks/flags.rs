//! What the daemon's flags and its file say of networks, as dockerd reads them.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use clap::{Arg, ArgAction};
use corten_network::ipam::Pool;
use corten_network::plan::Mark;
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use serde_json::{Map, Value};

use super::options;
use crate::config::ConfigError;

/// The bridge of the default network where nobody names one.
pub const DEFAULT_BRIDGE: &str = "docker0";

/// A key of the file and the flag that says the same.
pub const KEYS: [(&str, &str); 28] = [
    ("bridge", "bridge"),
    ("bridge-accept-fwmark", "bridge-accept-fwmark"),
    ("bip", "bip"),
    ("bip6", "bip6"),
    ("fixed-cidr", "fixed-cidr"),
    ("fixed-cidr-v6", "fixed-cidr-v6"),
    ("default-gateway", "default-gateway"),
    ("default-gateway-v6", "default-gateway-v6"),
    ("default-address-pools", "default-address-pool"),
    ("default-network-opts", "default-network-opt"),
    ("icc", "icc"),
    ("ip", "ip"),
    ("ip-forward", "ip-forward"),
    ("ip-forward-no-drop", "ip-forward-no-drop"),
    ("ip-masq", "ip-masq"),
    ("iptables", "iptables"),
    ("ip6tables", "ip6tables"),
    ("ipv6", "ipv6"),
    ("mtu", "mtu"),
    ("userland-proxy", "userland-proxy"),
    ("userland-proxy-path", "userland-proxy-path"),
    ("firewall-backend", "firewall-backend"),
    ("allow-direct-routing", "allow-direct-routing"),
    ("dns", "dns"),
    ("dns-opts", "dns-opt"),
    ("dns-search", "dns-search"),
    ("host-gateway-ips", "host-gateway-ip"),
    ("host-gateway-ip", "host-gateway-ip"),
];

/// What is asked of networks.
#[derive(Clone, Debug, PartialEq)]
pub struct Flags {
    /// The bridge of the default network.
    pub bridge: DefaultBridge,
    /// What packets carry that reach containers although nothing is published.
    pub accept_mark: Option<Mark>,
    /// Its address with the subnet's length (`--bip`).
    pub bip: Option<Ipv4Net>,
    /// The same for IPv6 (`--bip6`).
    pub bip6: Option<Ipv6Net>,
    /// The part of its subnet that addresses are given from.
    pub fixed_cidr: Option<Ipv4Net>,
    /// The same for IPv6.
    pub fixed_cidr_v6: Option<Ipv6Net>,
    /// Where the default route of its containers leads.
    pub default_gateway: Option<Ipv4Addr>,
    /// The same for IPv6.
    pub default_gateway_v6: Option<Ipv6Addr>,
    /// Pools in place of docker's own.
    pub pools: Vec<Pool>,
    /// Options of new networks, by driver.
    pub network_options: BTreeMap<String, BTreeMap<String, String>>,
    /// Whether containers of the default network reach each other.
    pub icc: bool,
    /// The host address of ports that name none.
    pub ip: Option<IpAddr>,
    /// Whether forwarding is switched on.
    pub ip_forward: bool,
    /// Whether that leaves foreign packets forwarded.
    pub ip_forward_no_drop: bool,
    /// Whether containers of the default network leave with the host's address.
    pub ip_masq: bool,
    /// Whether rules are made for IPv4.
    pub iptables: bool,
    /// Whether rules are made for IPv6.
    pub ip6tables: bool,
    /// Whether the default network has IPv6.
    pub ipv6: bool,
    /// The largest packet in the default network.
    pub mtu: Option<u32>,
    /// Whether loopback paths are served by a relay; `None`: only those that translation does not reach.
    pub userland_proxy: Option<bool>,
    /// The relay's program.
    pub userland_proxy_path: Option<String>,
    /// Name servers of containers that name none.
    pub dns: Vec<String>,
    /// Their options.
    pub dns_options: Vec<String>,
    /// Their search domains.
    pub dns_search: Vec<String>,
    /// What `host-gateway` stands for.
    pub host_gateways: Vec<IpAddr>,
}

/// Which bridge the default network has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum DefaultBridge {
    /// One that the engine makes.
    #[default]
    Own,
    /// One that somebody else has made.
    Adopted(String),
    /// None: there is no default network.
    None,
}

impl Default for Flags {
    fn default() -> Self {
        Self {
            bridge: DefaultBridge::Own,
            accept_mark: None,
            bip: None,
            bip6: None,
            fixed_cidr: None,
            fixed_cidr_v6: None,
            default_gateway: None,
            default_gateway_v6: None,
            pools: Vec::new(),
            network_options: BTreeMap::new(),
            icc: true,
            ip: None,
            ip_forward: true,
            ip_forward_no_drop: false,
            ip_masq: true,
            iptables: true,
            ip6tables: true,
            ipv6: false,
            mtu: None,
            userland_proxy: None,
            userland_proxy_path: None,
            dns: Vec::new(),
            dns_options: Vec::new(),
            dns_search: Vec::new(),
            host_gateways: Vec::new(),
        }
    }
}

/// The flags, spelled as dockerd's.
pub fn arguments() -> Vec<Arg> {
    let value = |name: &'static str, help: &'static str| Arg::new(name).long(name).value_name("VALUE").help(help);
    let list = |name: &'static str, help: &'static str| value(name, help).action(ArgAction::Append);
    let flag = |name: &'static str, help: &'static str| {
        let arg = Arg::new(name).long(name).num_args(0..=1).require_equals(true);
        arg.default_missing_value("true").value_name("BOOL").help(help)
    };
    vec![
        value("bridge", "Bridge of the default network: a name of one that exists, or none").short('b'),
        value("bridge-accept-fwmark", "Packets with this MARK or MARK/MASK reach containers whatever is published"),
        value("bip", "Address and subnet of the default bridge"),
        value("bip6", "IPv6 address and subnet of the default bridge"),
        value("fixed-cidr", "Part of the default network's subnet that containers get addresses from"),
        value("fixed-cidr-v6", "The same for IPv6"),
        value("default-gateway", "Default route of the default network's containers"),
        value("default-gateway-v6", "The same for IPv6"),
        list("default-address-pool", "Pool that new networks get subnets from, base=RANGE,size=LENGTH"),
        list("default-network-opt", "Option of new networks, DRIVER=KEY=VALUE"),
        flag("icc", "Containers of the default network reach each other (default true)"),
        value("ip", "Host address of published ports that name none"),
        flag("ip-forward", "Switch forwarding on (default true)"),
        flag("ip-forward-no-drop", "Leave foreign packets forwarded where forwarding was switched on"),
        flag("ip-masq", "Containers leave with the host's address (default true)"),
        flag("iptables", "Make rules for IPv4 (default true)"),
        flag("ip6tables", "Make rules for IPv6 (default true)"),
        flag("ipv6", "IPv6 in the default network"),
        value("mtu", "Largest packet in the default network"),
        flag("userland-proxy", "Serve loopback paths of published ports by a relay"),
        value("userland-proxy-path", "The relay's program"),
        value("firewall-backend", "How rules are made: nftables"),
        flag("allow-direct-routing", "Reach containers directly from other hosts"),
        list("dns", "Name server of containers that name none"),
        list("dns-opt", "Resolver option of containers that name none"),
        list("dns-search", "Search domain of containers that name none"),
        list("host-gateway-ip", "What host-gateway stands for in --add-host"),
    ]
}

/// Reads all of it; `values` reads a key from either place, `given` says whether a flag was there.
///
/// # Errors
/// [`ConfigError::Value`] for what cannot be used.
pub fn read(
    file: &Map<String, Value>,
    values: &dyn Fn(&'static str) -> Result<Vec<String>, ConfigError>,
) -> Result<Flags, ConfigError> {
    let one = |key: &'static str| values(key).map(|mut all| all.pop().filter(|value| !value.is_empty()));
    let mut flags = Flags {
        bridge: match one("bridge")?.as_deref() {
            None => DefaultBridge::Own,
            Some("none") => DefaultBridge::None,
            Some(name) => {
                options::interface_name("bridge", name).map_err(|error| wrong("bridge", &error))?;
                DefaultBridge::Adopted(name.to_owned())
            }
        },
        accept_mark: one("bridge-accept-fwmark")?
            .map(|text| text.parse().map_err(|reason: String| wrong("bridge-accept-fwmark", &reason)))
            .transpose()?,
        bip: parsed("bip", one("bip")?)?,
        bip6: parsed("bip6", one("bip6")?)?,
        fixed_cidr: parsed("fixed-cidr", one("fixed-cidr")?)?,
        fixed_cidr_v6: parsed("fixed-cidr-v6", one("fixed-cidr-v6")?)?,
        default_gateway: parsed("default-gateway", one("default-gateway")?)?,
        default_gateway_v6: parsed("default-gateway-v6", one("default-gateway-v6")?)?,
        pools: pools(file, values)?,
        network_options: network_options(file, values)?,
        ip: parsed("ip", one("ip")?)?,
        mtu: parsed("mtu", one("mtu")?)?.filter(|mtu| *mtu != 0),
        userland_proxy: parsed("userland-proxy", one("userland-proxy")?)?,
        userland_proxy_path: one("userland-proxy-path")?,
        dns: values("dns")?,
        dns_options: values("dns-opts")?,
        dns_search: values("dns-search")?,
        ..Flags::default()
    };
    for (field, key) in [
        (&mut flags.icc, "icc"),
        (&mut flags.ip_forward, "ip-forward"),
        (&mut flags.ip_forward_no_drop, "ip-forward-no-drop"),
        (&mut flags.ip_masq, "ip-masq"),
        (&mut flags.iptables, "iptables"),
        (&mut flags.ip6tables, "ip6tables"),
        (&mut flags.ipv6, "ipv6"),
    ] {
        if let Some(value) = parsed(key, one(key)?)? {
            *field = value;
        }
    }
    for address in &flags.dns {
        let _: IpAddr = parsed("dns", Some(address.clone()))?.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
    }
    for key in ["host-gateway-ips", "host-gateway-ip"] {
        if key == "host-gateway-ip" && !flags.host_gateways.is_empty() {
            break;
        }
        for text in values(key)? {
            flags.host_gateways.extend(parsed::<IpAddr>("host-gateway-ips", Some(text))?);
        }
    }
    refuse(&flags, one("firewall-backend")?, parsed("allow-direct-routing", one("allow-direct-routing")?)?)?;
    Ok(flags)
}

/// What contradicts itself, or is not built.
fn refuse(flags: &Flags, backend: Option<String>, direct: Option<bool>) -> Result<(), ConfigError> {
    if let Some(backend) = backend.filter(|backend| backend != "nftables") {
        return Err(wrong("firewall-backend", &format!("{backend:?}: only nftables is supported yet")));
    }
    if direct == Some(true) {
        return Err(wrong("allow-direct-routing", &"not supported yet: use the gateway mode nat-unprotected"));
    }
    if flags.bridge != DefaultBridge::Own && flags.bip.is_some() {
        return Err(wrong("bip", &"You specified -b & --bip, mutually exclusive options. Please specify only one"));
    }
    if flags.bridge != DefaultBridge::Own && flags.bip6.is_some() {
        return Err(wrong("bip6", &"You specified -b & --bip6, mutually exclusive options. Please specify only one"));
    }
    if !flags.icc && !flags.iptables {
        let text = "You specified --iptables=false with --icc=false. ICC=false uses iptables to function. Please set --icc or --iptables to true";
        return Err(wrong("icc", &text));
    }
    if !flags.icc && flags.ipv6 && !flags.ip6tables {
        let text = "You specified --ip6tables=false with --icc=false. ICC=false uses ip6tables to function. Please set --icc or --ip6tables to true";
        return Err(wrong("icc", &text));
    }
    if let Some(mtu) = flags.mtu.filter(|mtu| !(68..=65535).contains(mtu)) {
        return Err(wrong("mtu", &format!("{mtu} is not from 68 to 65535")));
    }
    Ok(())
}

fn pools(
    file: &Map<String, Value>,
    values: &dyn Fn(&'static str) -> Result<Vec<String>, ConfigError>,
) -> Result<Vec<Pool>, ConfigError> {
    let key = "default-address-pools";
    match file.get(key) {
        Some(Value::Array(list)) => list.iter().map(|entry| pool(key, entry)).collect(),
        _ => values(key)?.iter().map(|text| Pool::parse(text).map_err(|error| wrong(key, &error))).collect(),
    }
}

/// An entry of the file: `{"base":"10.0.0.0/8","size":24}`.
fn pool(key: &str, entry: &Value) -> Result<Pool, ConfigError> {
    let base = entry.get("base").and_then(Value::as_str).and_then(|base| base.parse::<IpNet>().ok());
    let size = entry.get("size").and_then(Value::as_u64).and_then(|size| u8::try_from(size).ok());
    match (base, size) {
        (Some(base), Some(size)) => Pool::new(base, size).map_err(|error| wrong(key, &error)),
        _ => Err(wrong(key, &format!("{entry} needs a base, which is a range, and a size, which is a number"))),
    }
}

fn network_options(
    file: &Map<String, Value>,
    values: &dyn Fn(&'static str) -> Result<Vec<String>, ConfigError>,
) -> Result<BTreeMap<String, BTreeMap<String, String>>, ConfigError> {
    let key = "default-network-opts";
    let mut all: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
    if let Some(Value::Object(drivers)) = file.get(key) {
        for (driver, options) in drivers {
            let options = options.as_object().ok_or_else(|| wrong(key, &format!("{driver}: it is not an object")))?;
            for (name, value) in options {
                let value = value.as_str().ok_or_else(|| wrong(key, &format!("{driver}.{name}: it is not a text")))?;
                all.entry(driver.clone()).or_default().insert(name.clone(), value.to_owned());
            }
        }
        return Ok(all);
    }
    for text in values(key)? {
        let mut parts = text.splitn(3, '=');
        match (parts.next(), parts.next(), parts.next()) {
            (Some(driver), Some(name), Some(value)) => {
                all.entry(driver.to_owned()).or_default().insert(name.to_owned(), value.to_owned());
            }
            _ => return Err(wrong(key, &format!("{text:?} is not DRIVER=KEY=VALUE"))),
        }
    }
    Ok(all)
}

fn parsed<T: FromStr>(key: &str, text: Option<String>) -> Result<Option<T>, ConfigError> {
    let parse = |text: String| text.parse().map_err(|_| wrong(key, &format!("{text:?} cannot be read")));
    text.map(parse).transpose()
}

fn wrong(key: &str, reason: &dyn std::fmt::Display) -> ConfigError {
    ConfigError::Value { key: key.to_owned(), reason: reason.to_string() }
}

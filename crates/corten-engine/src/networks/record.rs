//! What a network is: `<data-root>/networks/<id>/network.json`, written before the kernel is touched.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use corten_docker_api::networks::Ipam;
use corten_network::ipam;
use corten_network::plan::{self, GatewayMode};
use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::options::Options;
use crate::clock::Moment;
use crate::errors::Result;

/// The format of the file that this program writes.
pub const FORMAT: u32 = 1;

/// Names of auxiliary addresses that stand for the containers' default route.
const DEFAULT_ROUTE_V4: &str = "DefaultGatewayIPv4";
const DEFAULT_ROUTE_V6: &str = "DefaultGatewayIPv6";

/// What a network is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// [`FORMAT`]; a file of a newer format is set aside, not guessed at.
    pub format: u32,
    /// 64 hexadecimal digits.
    pub id: String,
    /// Its name.
    pub name: String,
    /// When it was made.
    pub created: Moment,
    /// `bridge`, `macvlan`, `host`, `null`.
    pub driver: String,
    /// Whether containers get IPv4 addresses.
    pub enable_ipv4: bool,
    /// Whether containers get IPv6 addresses.
    pub enable_ipv6: bool,
    /// Whether it has no way out.
    pub internal: bool,
    /// Kept for whoever asks.
    pub attachable: bool,
    /// As it was asked for.
    pub ipam: Ipam,
    /// As they were asked for, with the daemon's own added.
    pub options: BTreeMap<String, String>,
    /// As they were asked for.
    pub labels: Option<BTreeMap<String, String>>,
    /// Its subnets, as they were chosen.
    pub subnets: Vec<Subnet>,
    /// The bridge it has.
    #[serde(default)]
    pub bridge: Option<Bridge>,
}

/// A subnet of a network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subnet {
    /// The subnet.
    pub subnet: IpNet,
    /// The part of it that addresses are given from.
    pub range: Option<IpNet>,
    /// The bridge's own address, or the way out.
    pub gateway: Option<IpAddr>,
    /// Addresses in use by others, by name.
    pub reserved: BTreeMap<String, IpAddr>,
}

/// The bridge of a network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bridge {
    /// The interface.
    pub interface: String,
    /// Whether somebody else has made it.
    pub adopted: bool,
}

impl From<ipam::Subnet> for Subnet {
    fn from(subnet: ipam::Subnet) -> Self {
        let ipam::Subnet { subnet, range, gateway, reserved } = subnet;
        Self { subnet, range, gateway, reserved }
    }
}

impl From<&Subnet> for ipam::Subnet {
    fn from(subnet: &Subnet) -> Self {
        let Subnet { subnet, range, gateway, reserved } = subnet.clone();
        Self { subnet, range, gateway, reserved }
    }
}

impl Record {
    /// Whether it has objects in the kernel.
    pub fn has_kernel_objects(&self) -> bool {
        self.driver == "macvlan" || self.bridge.is_some()
    }

    /// Whether every engine has it.
    pub fn is_predefined(&self) -> bool {
        super::is_predefined(&self.name)
    }

    /// Whether containers in it find each other by name.
    pub fn resolves_names(&self) -> bool {
        self.has_kernel_objects() && !self.is_predefined()
    }

    /// Its driver's options, which were checked when it was made.
    ///
    /// # Errors
    /// For a record that somebody has changed.
    pub fn driver_options(&self) -> Result<Options> {
        let mut options = self.options.clone();
        if self.is_predefined() {
            options.remove("com.docker.network.bridge.default_bridge");
        }
        Options::read(&self.driver, &options)
    }

    /// Its subnets of one family.
    pub fn subnets_of(&self, v6: bool) -> Vec<ipam::Subnet> {
        let subnets = self.subnets.iter().filter(|subnet| subnet.subnet.addr().is_ipv6() == v6);
        subnets.map(ipam::Subnet::from).collect()
    }

    /// Whether its subnets were named by its maker, so that containers may name addresses.
    pub fn has_own_subnets(&self) -> bool {
        self.ipam.config.iter().flatten().any(|pool| !pool.subnet.is_empty())
    }

    /// Whether it is shut off from everything outside.
    pub fn is_internal(&self) -> bool {
        self.internal || self.driver_options().is_ok_and(|options| options.internal)
    }

    /// What is to be in the kernel; `None` for a network without objects there.
    ///
    /// # Errors
    /// For a record that somebody has changed.
    pub fn plan(&self) -> Result<Option<plan::Network>> {
        if !self.has_kernel_objects() {
            return Ok(None);
        }
        let options = self.driver_options()?;
        let driver = match &self.bridge {
            Some(bridge) => plan::Driver::Bridge(plan::Bridge {
                interface: bridge.interface.clone(),
                adopted: bridge.adopted,
                icc: options.icc,
                trusted_interfaces: options.trusted.clone(),
            }),
            None => plan::Driver::Macvlan(plan::Macvlan {
                parent: options.parent.clone().unwrap_or_else(|| plan::own_parent(&self.id)),
                mode: options.macvlan_mode,
            }),
        };
        let internal = self.is_internal();
        let v4 = self.subnets.iter().find_map(|subnet| match (subnet.subnet, subnet.gateway) {
            (IpNet::V4(net), gateway) => Some(plan::Family {
                subnet: net,
                gateway: v4_of(gateway),
                on_bridge: self.bridge.is_some()
                    && gateway.is_some()
                    && !options.inhibit_v4
                    && options.mode_v4 != GatewayMode::Isolated,
                default_route: v4_of(subnet.reserved.get(DEFAULT_ROUTE_V4).copied()),
                masquerade: options.masquerade && !internal,
                leave_as: options.leave_as_v4,
                mode: options.mode_v4,
            }),
            _ => None,
        });
        let v6 = self.subnets.iter().find_map(|subnet| match (subnet.subnet, subnet.gateway) {
            (IpNet::V6(net), gateway) => Some(plan::Family {
                subnet: net,
                gateway: v6_of(gateway),
                on_bridge: self.bridge.is_some() && gateway.is_some() && options.mode_v6 != GatewayMode::Isolated,
                default_route: v6_of(subnet.reserved.get(DEFAULT_ROUTE_V6).copied()),
                masquerade: options.masquerade && !internal,
                leave_as: options.leave_as_v6,
                mode: options.mode_v6,
            }),
            _ => None,
        });
        Ok(Some(plan::Network {
            id: self.id.clone(),
            name: self.name.clone(),
            driver,
            v4,
            v6,
            mtu: options.mtu,
            internal,
        }))
    }
}

/// The IPv4 address in it.
pub fn v4_of(address: Option<IpAddr>) -> Option<Ipv4Addr> {
    match address {
        Some(IpAddr::V4(address)) => Some(address),
        _ => None,
    }
}

/// The IPv6 address in it.
pub fn v6_of(address: Option<IpAddr>) -> Option<Ipv6Addr> {
    match address {
        Some(IpAddr::V6(address)) => Some(address),
        _ => None,
    }
}

//! `POST /containers/create`.

use serde::Serialize;

use super::{ContainerConfig, HostConfig, NetworkingConfig};
use crate::json::{DecodeError, body, decode};

body! {
    /// The parts of the body beside the configuration.
    pub struct Beside {
        /// How it runs on this host.
        pub host_config: Option<HostConfig>,
        /// The networks it joins.
        pub networking_config: Option<NetworkingConfig>,
    }
}

/// The body of a create: the configuration's fields with two more beside them.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct ContainerCreate {
    /// What to run.
    #[serde(flatten)]
    pub config: ContainerConfig,
    /// How it runs on this host.
    #[serde(rename = "HostConfig")]
    pub host_config: Option<HostConfig>,
    /// The networks it joins.
    #[serde(rename = "NetworkingConfig")]
    pub networking_config: Option<NetworkingConfig>,
}

impl ContainerCreate {
    /// Reads a body. It is read twice, once for each half, so that an error still names its key.
    ///
    /// # Errors
    /// [`DecodeError`].
    pub fn decode(body: &[u8]) -> Result<Self, DecodeError> {
        let config = decode(body)?;
        let beside: Beside = decode(body)?;
        Ok(Self { config, host_config: beside.host_config, networking_config: beside.networking_config })
    }
}

body! {
    /// The answer to a create.
    pub struct ContainerCreated {
        /// 64 hexadecimal digits.
        pub id: String,
        /// What was asked for and cannot be had; never `null`.
        pub warnings: Vec<String>,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bodies_of_four_clients_are_read() {
        let bodies: [&[u8]; 4] = [
            include_bytes!("fixtures/create-docker-20.10.json"),
            include_bytes!("fixtures/create-docker-28.2.2.json"),
            include_bytes!("fixtures/create-docker-compose-1.29.json"),
            include_bytes!("fixtures/create-docker-py-5.0.json"),
        ];
        for body in bodies {
            let create = ContainerCreate::decode(body).unwrap();
            assert_eq!(create.config.image, "busybox");
            assert_eq!(create.config.cmd.unwrap().0, ["true"]);
            assert!(create.host_config.is_some());
        }
    }

    #[test]
    fn what_docker_sends_is_written_back_the_same() {
        let body = include_str!("fixtures/create-docker-28.2.2.json");
        let create = ContainerCreate::decode(body.as_bytes()).unwrap();
        assert_eq!(String::from_utf8(crate::json::encode(&create).unwrap()).unwrap(), body);
    }
}

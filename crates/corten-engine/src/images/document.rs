//! An image's configuration as it lies in the store (docker image-spec v1.2, OCI image-spec config.md).

use corten_docker_api::containers::ContainerConfig;
use corten_images::Details;
use serde::{Deserialize, Deserializer};

use crate::errors::{EngineError, Result};

/// What of a configuration docker shows.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Document {
    /// RFC 3339.
    #[serde(deserialize_with = "zero_if_null")]
    pub created: String,
    /// Who made it.
    #[serde(deserialize_with = "zero_if_null")]
    pub author: String,
    /// The engine that made it.
    #[serde(deserialize_with = "zero_if_null")]
    pub docker_version: String,
    /// The container it was committed from.
    #[serde(deserialize_with = "zero_if_null")]
    pub container: String,
    /// That container's configuration.
    pub container_config: Option<ContainerConfig>,
    /// What a container made of it inherits.
    pub config: Option<ContainerConfig>,
    /// `linux`.
    #[serde(deserialize_with = "zero_if_null")]
    pub os: String,
    /// The operating system's version.
    #[serde(rename = "os.version", deserialize_with = "zero_if_null")]
    pub os_version: String,
    /// Go's word for the processor.
    #[serde(deserialize_with = "zero_if_null")]
    pub architecture: String,
    /// The processor's variant.
    #[serde(deserialize_with = "zero_if_null")]
    pub variant: String,
    /// How it was made, from the base up.
    #[serde(deserialize_with = "zero_if_null")]
    pub history: Vec<Step>,
}

/// One step of an image's making.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Step {
    /// RFC 3339.
    #[serde(deserialize_with = "zero_if_null")]
    pub created: String,
    /// The command.
    #[serde(deserialize_with = "zero_if_null")]
    pub created_by: String,
    /// What its maker said.
    #[serde(deserialize_with = "zero_if_null")]
    pub comment: String,
    /// It made no layer.
    #[serde(deserialize_with = "zero_if_null")]
    pub empty_layer: bool,
}

fn zero_if_null<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(
    deserializer: D,
) -> std::result::Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

impl Document {
    /// The configuration of an image.
    ///
    /// # Errors
    /// When it is not what a configuration is.
    pub fn of(details: &Details) -> Result<Self> {
        serde_json::from_slice(&details.config_json).map_err(|error| {
            EngineError::internal(format!("understand the configuration of image {}", details.id())).caused_by(error)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_or_null_is_empty() {
        let document: Document =
            serde_json::from_str(r#"{"history":null,"config":{"Env":["A=1"],"Unknown":1},"os.version":"1"}"#).unwrap();
        assert!(document.history.is_empty() && document.author.is_empty());
        assert_eq!(document.config.unwrap().env.unwrap(), ["A=1"]);
        assert_eq!(document.os_version, "1");
    }
}

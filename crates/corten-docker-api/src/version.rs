//! API versions, and `GET /version`.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use crate::json::{body, is_empty, is_zero};

/// A version of the Engine API, such as 1.41.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ApiVersion {
    /// The part before the point.
    pub major: u16,
    /// The part after the point.
    pub minor: u16,
}

/// The oldest version served: what Docker 1.12 spoke, and what clients assume without an answer.
pub const MINIMUM: ApiVersion = ApiVersion::new(1, 24);

/// The newest version served.
pub const MAXIMUM: ApiVersion = ApiVersion::new(1, 51);

impl ApiVersion {
    /// The version `major.minor`.
    pub const fn new(major: u16, minor: u16) -> Self {
        Self { major, minor }
    }
}

impl fmt::Display for ApiVersion {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}.{}", self.major, self.minor)
    }
}

/// A text that is no version.
#[derive(Debug, thiserror::Error)]
#[error("{0} is not a version of the form major.minor")]
pub struct NotAVersion(pub String);

impl FromStr for ApiVersion {
    type Err = NotAVersion;

    fn from_str(text: &str) -> Result<Self, NotAVersion> {
        let number = |part: &str| match part.bytes().all(|byte| byte.is_ascii_digit()) {
            true => part.parse::<u16>().ok(),
            false => None,
        };
        let parsed = text.split_once('.').and_then(|(major, minor)| Some(Self::new(number(major)?, number(minor)?)));
        parsed.ok_or_else(|| NotAVersion(text.to_owned()))
    }
}

body! {
    /// `GET /version`.
    pub struct Version {
        /// The product.
        pub platform: Platform,
        /// The programs it is made of.
        #[serde(skip_serializing_if = "is_empty")]
        pub components: Option<Vec<Component>>,
        /// The engine's version.
        pub version: String,
        /// The newest API version served.
        pub api_version: String,
        /// The oldest API version served.
        #[serde(rename = "MinAPIVersion", skip_serializing_if = "is_zero")]
        pub min_api_version: String,
        /// The source's commit.
        pub git_commit: String,
        /// The compiler; kept because clients print it.
        pub go_version: String,
        /// `linux`.
        pub os: String,
        /// Go's word for the processor.
        pub arch: String,
        /// `uname -r`.
        #[serde(skip_serializing_if = "is_zero")]
        pub kernel_version: String,
        /// Present when experimental features are on.
        #[serde(skip_serializing_if = "is_zero")]
        pub experimental: bool,
        /// When it was built, RFC 3339.
        #[serde(skip_serializing_if = "is_zero")]
        pub build_time: String,
    }
}

body! {
    /// The product an engine belongs to.
    pub struct Platform {
        /// Its name.
        pub name: String,
    }
}

body! {
    /// One program.
    pub struct Component {
        /// Its name.
        pub name: String,
        /// Its version.
        pub version: String,
        /// What else it says of itself.
        #[serde(skip_serializing_if = "is_empty")]
        pub details: Option<BTreeMap<String, String>>,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_compare_as_numbers() {
        assert!("1.9".parse::<ApiVersion>().unwrap() < MINIMUM);
        assert_eq!("1.51".parse::<ApiVersion>().unwrap(), MAXIMUM);
        for bad in ["", "1", "1.", ".1", "1.2.3", "v1.2", "1.-2", "1.+2", "1.99999"] {
            assert!(bad.parse::<ApiVersion>().is_err(), "{bad}");
        }
    }
}

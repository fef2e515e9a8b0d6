//! `/auth`, `/images/search`, `/distribution`.

use crate::images::Descriptor;
use crate::json::{body, is_zero};

body! {
    /// `POST /auth`'s answer.
    pub struct AuthResponse {
        /// `Login Succeeded`.
        pub status: String,
        /// What may be kept in the place of the password.
        pub identity_token: String,
    }
}

body! {
    in "snake_case",
    /// An entry of `GET /images/search`.
    pub struct SearchResult {
        /// How many like it.
        pub star_count: i64,
        /// Whether it is one of Docker's own.
        pub is_official: bool,
        /// Its name.
        pub name: String,
        /// Never true now; kept for old clients.
        pub is_automated: bool,
        /// What its owner says of it.
        pub description: String,
    }
}

body! {
    /// `GET /distribution/{name}/json`.
    pub struct DistributionInspect {
        /// What the name stands for in its registry.
        pub descriptor: Descriptor,
        /// What it runs on.
        pub platforms: Option<Vec<Platform>>,
    }
}

body! {
    in "snake_case",
    /// What an image runs on (image-spec image-index.md).
    pub struct Platform {
        /// `amd64`.
        pub architecture: String,
        /// `linux`.
        pub os: String,
        /// Of Windows.
        #[serde(rename = "os.version", skip_serializing_if = "is_zero")]
        pub os_version: String,
        /// `v7`.
        #[serde(skip_serializing_if = "is_zero")]
        pub variant: String,
    }
}

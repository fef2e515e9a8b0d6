//! `/volumes`.

use std::collections::BTreeMap;

use crate::json::{body, is_empty, is_zero};

body! {
    /// `GET /volumes`.
    pub struct VolumeList {
        /// The volumes.
        pub volumes: Option<Vec<Volume>>,
        /// What went wrong while listing.
        pub warnings: Option<Vec<String>>,
    }
}

body! {
    /// One volume.
    pub struct Volume {
        /// When it was made, RFC 3339.
        #[serde(skip_serializing_if = "is_zero")]
        pub created_at: String,
        /// `local`.
        pub driver: String,
        /// The user's labels.
        pub labels: Option<BTreeMap<String, String>>,
        /// Where it lies on the host.
        pub mountpoint: String,
        /// Its name.
        pub name: String,
        /// The driver's options.
        pub options: Option<BTreeMap<String, String>>,
        /// `local`.
        pub scope: String,
        /// What the driver says of it.
        #[serde(skip_serializing_if = "is_empty")]
        pub status: Option<BTreeMap<String, String>>,
    }
}

//! `GET /system/df`, as it is below 1.52.

use crate::containers::ContainerSummary;
use crate::images::ImageSummary;
use crate::json::{body, is_zero};
use crate::volumes::Volume;

body! {
    /// What there is, and what it takes; `null` for what was not asked.
    pub struct DiskUsage {
        /// Bytes of all layers, each once.
        pub layers_size: i64,
        /// The images, with shared size and users.
        pub images: Option<Vec<ImageSummary>>,
        /// The containers, with their sizes.
        pub containers: Option<Vec<ContainerSummary>>,
        /// The volumes.
        pub volumes: Option<Vec<Volume>>,
        /// Records of the build cache.
        pub build_cache: Option<Vec<serde_json::Value>>,
        /// Their bytes, for old clients.
        #[serde(skip_serializing_if = "is_zero")]
        pub builder_size: i64,
    }
}

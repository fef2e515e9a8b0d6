//! `/images`.

use std::collections::BTreeMap;

use crate::containers::ContainerConfig;
use crate::json::{body, is_empty, is_zero};

body! {
    /// An entry of `GET /images/json`.
    pub struct ImageSummary {
        /// How many containers use it; -1 when not counted.
        pub containers: i64,
        /// When it was made, seconds since 1970.
        pub created: i64,
        /// `sha256:…` of its configuration.
        pub id: String,
        /// Its configuration's labels.
        pub labels: Option<BTreeMap<String, String>>,
        /// The image it was built from on this host.
        pub parent_id: String,
        /// The manifest (1.48).
        #[serde(skip_serializing_if = "Option::is_none")]
        pub descriptor: Option<Descriptor>,
        /// The manifests behind it, when asked (1.47).
        #[serde(skip_serializing_if = "Option::is_none")]
        pub manifests: Option<Vec<ManifestSummary>>,
        /// `name@sha256:…`.
        pub repo_digests: Option<Vec<String>>,
        /// `name:tag`.
        pub repo_tags: Option<Vec<String>>,
        /// Bytes shared with others; -1 when not counted.
        pub shared_size: i64,
        /// Bytes.
        pub size: i64,
        /// Bytes, again; only below 1.44.
        #[serde(skip_serializing_if = "is_zero")]
        pub virtual_size: i64,
    }
}

body! {
    in "camelCase",
    /// An OCI descriptor.
    pub struct Descriptor {
        /// What the bytes are.
        pub media_type: String,
        /// Their digest.
        pub digest: String,
        /// Their number.
        pub size: i64,
        /// What else is said of them.
        #[serde(skip_serializing_if = "is_empty")]
        pub annotations: Option<BTreeMap<String, String>>,
    }
}

body! {
    /// `GET /images/{name}/json`.
    pub struct ImageInspect {
        /// `sha256:…` of its configuration.
        pub id: String,
        /// `name:tag`.
        pub repo_tags: Option<Vec<String>>,
        /// `name@sha256:…`.
        pub repo_digests: Option<Vec<String>>,
        /// The image it was built from on this host.
        pub parent: String,
        /// The last history entry's comment.
        pub comment: String,
        /// When it was made, RFC 3339.
        #[serde(skip_serializing_if = "is_zero")]
        pub created: String,
        /// The container it was committed from; only below 1.45.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub container: Option<String>,
        /// That container's configuration; only below 1.45.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub container_config: Option<ContainerConfig>,
        /// The engine that made it.
        pub docker_version: String,
        /// Who made it.
        pub author: String,
        /// What a container made of it inherits.
        pub config: Option<ContainerConfig>,
        /// Go's word for the processor.
        pub architecture: String,
        /// The processor's variant.
        #[serde(skip_serializing_if = "is_zero")]
        pub variant: String,
        /// `linux`.
        pub os: String,
        /// The operating system's version.
        #[serde(skip_serializing_if = "is_zero")]
        pub os_version: String,
        /// Bytes.
        pub size: i64,
        /// Bytes, again; only below 1.44.
        #[serde(skip_serializing_if = "is_zero")]
        pub virtual_size: i64,
        /// Where its layers lie.
        pub graph_driver: GraphDriver,
        /// Its layers.
        #[serde(rename = "RootFS")]
        pub rootfs: RootFs,
        /// What this host says of it.
        pub metadata: ImageMetadata,
        /// The manifest (1.48).
        #[serde(skip_serializing_if = "Option::is_none")]
        pub descriptor: Option<Descriptor>,
        /// The manifests behind it, when asked (1.48).
        #[serde(skip_serializing_if = "Option::is_none")]
        pub manifests: Option<Vec<ManifestSummary>>,
    }
}

body! {
    /// Where layers lie on the host.
    pub struct GraphDriver {
        /// The driver's own words.
        pub data: Option<BTreeMap<String, String>>,
        /// The driver.
        pub name: String,
    }
}

body! {
    /// The layers of an image.
    pub struct RootFs {
        /// `layers`.
        #[serde(rename = "Type")]
        pub kind: String,
        /// Digests of the uncompressed layers, lowest first.
        #[serde(skip_serializing_if = "is_empty")]
        pub layers: Option<Vec<String>>,
    }
}

body! {
    /// What this host says of an image.
    pub struct ImageMetadata {
        /// When it was last tagged, RFC 3339.
        pub last_tag_time: String,
    }
}

body! {
    /// An entry of `DELETE /images/{name}`'s answer; one of the two is present.
    pub struct ImageDeleted {
        /// A name that was taken away.
        #[serde(skip_serializing_if = "is_zero")]
        pub untagged: String,
        /// An image that was removed.
        #[serde(skip_serializing_if = "is_zero")]
        pub deleted: String,
    }
}

body! {
    /// An entry of `GET /images/{name}/history`.
    pub struct ImageHistory {
        /// The entry's comment.
        pub comment: String,
        /// Seconds since 1970.
        pub created: i64,
        /// The command.
        pub created_by: String,
        /// `sha256:…` or `<missing>`.
        pub id: String,
        /// Bytes of its layer.
        pub size: i64,
        /// Names of the image at this entry.
        pub tags: Option<Vec<String>>,
    }
}

body! {
    /// `POST /images/prune`.
    pub struct ImagesPruned {
        /// What went; `null` for nothing.
        pub images_deleted: Option<Vec<ImageDeleted>>,
        /// Bytes freed.
        pub space_reclaimed: u64,
    }
}

body! {
    in "camelCase",
    /// One object of a progress stream: pull, push, load, import, build.
    pub struct Progress {
        /// A build's output.
        #[serde(skip_serializing_if = "is_zero")]
        pub stream: String,
        /// What is being done.
        #[serde(skip_serializing_if = "is_zero")]
        pub status: String,
        /// How far, in numbers.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub progress_detail: Option<ProgressDetail>,
        /// How far, as a bar.
        #[serde(skip_serializing_if = "is_zero")]
        pub progress: String,
        /// What it is done to.
        #[serde(skip_serializing_if = "is_zero")]
        pub id: String,
        /// Why it failed.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub error_detail: Option<ProgressError>,
        /// The same, for old clients.
        #[serde(skip_serializing_if = "is_zero")]
        pub error: String,
        /// A result for programs.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub aux: Option<serde_json::Value>,
    }
}

body! {
    in "camelCase",
    /// How far something is.
    pub struct ProgressDetail {
        /// Done.
        #[serde(skip_serializing_if = "is_zero")]
        pub current: i64,
        /// Of how many.
        #[serde(skip_serializing_if = "is_zero")]
        pub total: i64,
    }
}

body! {
    in "camelCase",
    /// Why something failed.
    pub struct ProgressError {
        /// An HTTP status, when there is one.
        #[serde(skip_serializing_if = "is_zero")]
        pub code: i64,
        /// One sentence.
        pub message: String,
    }
}

body! {
    /// One manifest behind an image (1.47).
    pub struct ManifestSummary {
        /// Its digest.
        #[serde(rename = "ID")]
        pub id: String,
        /// What refers to it.
        pub descriptor: Descriptor,
        /// Whether all of it is here.
        pub available: bool,
        /// What of it is here.
        pub size: ManifestSize,
        /// `image`, `attestation` or `unknown`.
        pub kind: String,
        /// Of an image.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub image_data: Option<ManifestImageData>,
        /// Of an attestation.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub attestation_data: Option<AttestationData>,
    }
}

body! {
    /// What a manifest takes.
    pub struct ManifestSize {
        /// Bytes of its blobs.
        pub content: i64,
        /// And of its unpacked layers.
        pub total: i64,
    }
}

body! {
    /// What a manifest's image runs on, and who uses it.
    pub struct ManifestImageData {
        /// What it runs on.
        pub platform: Platform,
        /// Ids of containers.
        pub containers: Vec<String>,
        /// What it takes unpacked.
        pub size: UnpackedSize,
    }
}

body! {
    /// What an image takes unpacked.
    pub struct UnpackedSize {
        /// Bytes.
        pub unpacked: i64,
    }
}

body! {
    in "camelCase",
    /// What an image runs on.
    pub struct Platform {
        /// Go's word for the processor.
        pub architecture: String,
        /// `linux`.
        pub os: String,
        /// The processor's variant.
        #[serde(skip_serializing_if = "is_zero")]
        pub variant: String,
    }
}

body! {
    /// What an attestation is about.
    pub struct AttestationData {
        /// The digest of that manifest.
        #[serde(rename = "For")]
        pub subject: String,
    }
}

//! Media types of what images are made of (image-spec media-types.md; distribution, manifest v2 schema 2).

use corten_layers::codec::Codec;

/// An OCI index.
pub const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// An OCI manifest.
pub const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// An OCI configuration.
pub const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
/// docker's index.
pub const DOCKER_INDEX: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
/// docker's manifest.
pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
/// docker's configuration.
pub const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";

/// True of what lists manifests for several platforms.
pub fn is_index(media_type: &str) -> bool {
    matches!(media_type, OCI_INDEX | DOCKER_INDEX)
}

/// True of what describes one image.
pub fn is_manifest(media_type: &str) -> bool {
    matches!(media_type, OCI_MANIFEST | DOCKER_MANIFEST)
}

/// True of the configuration of something that can run.
pub fn is_config(media_type: &str) -> bool {
    matches!(media_type, OCI_CONFIG | DOCKER_CONFIG)
}

/// docker's type of a layer compressed so; zstd has an OCI type only. Nobody has a name for bzip2 and xz, which docker
/// unpacks as well: theirs are made like the others.
pub fn docker_layer(codec: Codec) -> &'static str {
    match codec {
        Codec::Plain => "application/vnd.docker.image.rootfs.diff.tar",
        Codec::Gzip => "application/vnd.docker.image.rootfs.diff.tar.gzip",
        Codec::Bzip2 => "application/vnd.docker.image.rootfs.diff.tar.bzip2",
        Codec::Xz => "application/vnd.docker.image.rootfs.diff.tar.xz",
        Codec::Zstd => oci_layer(codec),
    }
}

/// The OCI type of a layer compressed so.
pub fn oci_layer(codec: Codec) -> &'static str {
    match codec {
        Codec::Plain => "application/vnd.oci.image.layer.v1.tar",
        Codec::Gzip => "application/vnd.oci.image.layer.v1.tar+gzip",
        Codec::Zstd => "application/vnd.oci.image.layer.v1.tar+zstd",
        Codec::Bzip2 => "application/vnd.oci.image.layer.v1.tar+bzip2",
        Codec::Xz => "application/vnd.oci.image.layer.v1.tar+xz",
    }
}

//! From an image and a host configuration to an OCI specification.

//! The OCI runtime: bundle to process in namespaces, state on disk.

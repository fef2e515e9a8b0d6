//! containerd's services: metadata, leases and garbage collection, events, local content, shim supervision.

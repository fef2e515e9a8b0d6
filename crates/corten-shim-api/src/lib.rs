//! The shim protocol: ttrpc both ends, task service, start-up.

//! Checks of the host, each with id, severity, remedy.

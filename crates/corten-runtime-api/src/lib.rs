//! runc's command line, both ends: arguments, log.json, state JSON, pid file, console socket, matched texts.

pub mod caller;

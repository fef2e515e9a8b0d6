//! Signals and unmounts by way of busybox, which every test needs anyway.

use std::{
    path::Path,
    process::{Command, Stdio},
};

use crate::programs;

/// Sends `signal` (`KILL`, `TERM`, …) to `pid`; whether there was such a process.
#[must_use]
pub fn send_signal(pid: u32, signal: &str) -> bool {
    quietly(Command::new(programs::original("busybox")).args(["kill", &format!("-{signal}"), &pid.to_string()]))
}

/// Takes the mount at `target` out of the tree; whether there was one.
#[must_use]
pub fn unmount(target: &Path) -> bool {
    quietly(Command::new(programs::original("busybox")).args(["umount", "-l"]).arg(target))
}

fn quietly(command: &mut Command) -> bool {
    let status = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}

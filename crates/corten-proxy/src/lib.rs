//! Relays published ports from the host to containers, where the kernel's address translation does not reach: from
//! loopback addresses, from containers to the host's own addresses, from IPv6 to IPv4.
//!
//! [`run`] is the program. In docker-proxy's place it has one port: it reads [`arguments`], [`open`]s its socket, tells the
//! engine on [`status`] and [`relay`]s until a signal ends it. For our engine there is one that [`serve`]s: it holds the
//! ports of all containers, and outlives every daemon. [`tcp`] and [`udp`] are the relays themselves: each takes a socket,
//! from wherever, and the container's address; each is a descriptor to wait for and a `turn` to take when it is ready, so
//! that one thread holds many. [`resolver`] answers names in another thread.

pub mod arguments;
pub mod connection;
pub mod open;
pub mod pipes;
pub mod relay;
pub mod resolver;
pub mod serve;
pub mod status;
pub mod tcp;
pub mod udp;

use std::{
    ffi::OsString,
    io::{self, Write},
    os::fd::OwnedFd,
    process::ExitCode,
};

use corten_sys::{rlimit, wait::SignalFd};
use corten_types::Signal;

use crate::{
    arguments::{Call, Request, USAGE},
    open::OpenError,
    relay::Port,
    status::{Parent, complain},
};

/// What a command line that is not understood exits with, as docker-proxy does.
const MISUSED: u8 = 2;

/// Does what `arguments` (without the program's name) say.
pub fn run(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let request = match arguments::parse(arguments) {
        Ok(Call::Relay(request)) => request,
        Ok(Call::Serve(request)) => return serve::serve(&request),
        Ok(Call::Version) => return print(concat!("corten-proxy version ", env!("CARGO_PKG_VERSION"), "\n")),
        Ok(Call::Help) => return print(USAGE),
        Err(error) => {
            complain(format_args!("{error}\n{USAGE}"));
            Parent::inherited().failed(&error);
            return ExitCode::from(MISUSED);
        }
    };
    relay_one(&request)
}

fn relay_one(request: &Request) -> ExitCode {
    // Both before anything else opens a descriptor.
    let parent = Parent::inherited();
    let socket = open::inherited(request);
    let begun = socket.and_then(|socket| begin(request, socket)).and_then(|begun| {
        parent.ready().map_err(OpenError::Tell)?;
        Ok(begun)
    });
    let (stop, port) = match begun {
        Ok(begun) => begun,
        Err(error) => {
            complain(&error);
            parent.failed(&error);
            return ExitCode::FAILURE;
        }
    };
    drop(parent);
    match relay::until(&stop, port) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(format_args!("relay {} to {}: {error}", request.host(), request.container()));
            ExitCode::FAILURE
        }
    }
}

/// All that may fail before the engine is told that the port is served.
fn begin(request: &Request, socket: Option<OwnedFd>) -> Result<(SignalFd, Port), OpenError> {
    // With the limit it was started with it serves fewer clients at once; the others wait in the queue.
    let _ = rlimit::raise_open_files();
    let stop = SignalFd::block(&[Signal::TERM, Signal::INT])?;
    Ok((stop, open::open(request, socket)?))
}

fn print(text: &str) -> ExitCode {
    let written = io::stdout().write_all(text.as_bytes());
    if written.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

//! The daemon: serves the task service until it is told to end.

use std::{env, fs, os::unix::net::UnixListener, path::Path, sync::Arc, time::Duration};

use corten_shim_api::{server, start::Invocation};
use corten_sys::wait::{self, SignalFd};
use corten_types::Signal;

use super::{BootstrapError, failed};
use crate::{events::Target, hub, log, shim::Shim, task::shutdown::shutdown};

/// Time for the last events, before a shim without containers ends: a supervisor that asked for the
/// end is there and takes them at once.
const LAST_EVENTS_WITHIN: Duration = Duration::from_secs(3);
/// Time for attached clients to take their last bytes.
const LAST_BYTES_WITHIN: Duration = Duration::from_secs(10);
/// How long a thread for what may block stays: it is gone before the shim counts as idle.
const THREAD_STAYS: Duration = Duration::from_millis(10);

/// Serves on `listener` and removes `socket` at the end.
pub(super) fn serve(
    invocation: &Invocation,
    listener: UnixListener,
    bundle: &Path,
    socket: &Path,
) -> Result<(), BootstrapError> {
    log::init(bundle, invocation.debug);
    wait::become_subreaper().map_err(failed("become the reaper of orphans"))?;
    // Before any thread, so that all of them have the signals blocked.
    let signals = SignalFd::block(&[Signal::CHLD, Signal::TERM, Signal::INT]).map_err(failed("wait for signals"))?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .thread_keep_alive(THREAD_STAYS)
        .build()
        .map_err(failed("make the event loop"))?;
    let shim = Shim::new(&invocation.namespace);
    runtime.block_on(async {
        let listener = tokio::net::UnixListener::from_std(listener).map_err(failed("serve on the listener"))?;
        tokio::spawn(shim.events.clone().serve(event_target(invocation), shim.reaper.clone()));
        tokio::spawn(shim.reaper.clone().serve(signals, {
            let shim = Arc::clone(&shim);
            move || shutdown(&shim)
        }));
        tokio::select! {
            () = server::serve(listener, Arc::clone(&shim)) => {}
            () = shim.shutdown.notified() => {}
        }
        // Nobody finds us any more.
        let _ = fs::remove_file(socket);
        let _ = tokio::time::timeout(LAST_EVENTS_WITHIN, shim.events.flushed()).await;
        let _ = tokio::time::timeout(LAST_BYTES_WITHIN, hub::flushed()).await;
        Ok(())
    })
}

fn event_target(invocation: &Invocation) -> Target {
    match env::var_os("TTRPC_ADDRESS").filter(|address| !address.is_empty()) {
        Some(address) => Target::Ttrpc(address.into()),
        None => {
            Target::Binary { program: invocation.publish_binary.clone().into(), address: invocation.address.clone() }
        }
    }
}

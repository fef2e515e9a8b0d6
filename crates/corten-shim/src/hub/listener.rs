//! Taking over the clients that an engine hands over, as long as the process lives.

use std::{
    io,
    os::fd::{AsFd, OwnedFd},
    rc::Rc,
};

use corten_stdio::{StdinMode, attach};
use corten_sys::sockets;

use crate::readiness;

use super::{
    client::{Client, InputEnd},
    pump::Process,
};

/// Accepts connections until it is dropped.
pub(super) async fn serve(listener: OwnedFd, process: Rc<Process>) {
    let Ok(listener) = readiness::register(listener) else { return };
    while let Ok(mut ready) = listener.readable().await {
        match sockets::accept(listener.get_ref()) {
            Ok(connection) => {
                tokio::task::spawn_local(take_over(connection, Rc::clone(&process)));
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => ready.clear_ready(),
            Err(error) => {
                tracing::warn!(%error, "an attached client could not be accepted");
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            }
        }
    }
}

/// Takes over one client, and serves it until it leaves or the process has ended.
async fn take_over(connection: OwnedFd, process: Rc<Process>) {
    let Ok(connection) = readiness::register(connection) else { return };
    if connection.readable().await.is_err() {
        return;
    }
    let handed_over = match attach::receive(connection.get_ref().as_fd()) {
        Ok(Some(handed_over)) => handed_over,
        Ok(None) => return,
        Err(error) => {
            tracing::warn!(%error, "a client was not handed over");
            return;
        }
    };
    let can_detach = handed_over.request.detach_keys.is_some();
    let (client, read_ahead) = match Client::new(handed_over) {
        Ok(client) => client,
        Err(error) => {
            tracing::warn!(%error, "a client cannot be served");
            return;
        }
    };
    process.add(Rc::clone(&client));
    // From here on it gets every byte. An engine that has left in the meantime needs no answer.
    let _ = attach::acknowledge(connection.get_ref().as_fd());
    // Who can detach is told of; everybody else needs no connection any more.
    let connection = can_detach.then_some(connection);
    let writer = tokio::task::spawn_local({
        let client = Rc::clone(&client);
        async move { client.write().await }
    });
    let mode = process.stdin_mode();
    if client.has_stdin() && mode.is_some() {
        let reading = tokio::task::spawn_local({
            let (client, process) = (Rc::clone(&client), Rc::clone(&process));
            async move {
                let end = client.read(read_ahead, &process.input).await;
                if let (InputEnd::Detached, Some(connection)) = (end, connection) {
                    // An engine that has left in the meantime tells nobody.
                    let _ = attach::tell_detached(connection.get_ref().as_fd());
                }
                on_input_end(end, &client, &process).await;
            }
        });
        // Ends with the writer: the client is gone, or the process is.
        let _ = writer.await;
        reading.abort();
        // A client that vanished is one that left.
        if mode == Some(StdinMode::Once) && !process.terminal {
            process.input.close().await;
        }
    } else {
        let _ = writer.await;
    }
    process.remove(&client);
}

/// The end of a client's input ends the process's only with `StdinOnce` and without a terminal, as in
/// dockerd; its output goes on. Detaching lets the client go.
async fn on_input_end(end: InputEnd, client: &Client, process: &Process) {
    match end {
        InputEnd::Detached => client.end(),
        InputEnd::Refused => {}
        InputEnd::Closed => {
            if process.stdin_mode() == Some(StdinMode::Once) && !process.terminal {
                process.input.close().await;
            }
            // It may have closed the whole socket, not just its side.
            client.look();
        }
    }
}

//! Signals that this program gets, passed on to a container.

use crate::cli::Cli;
use corten_docker_api::client::{Query, encode_segment};
use corten_types::Signal;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

/// Signals that are not passed on: the kernel forbids to catch KILL and STOP, a fault is our own, CHLD
/// and PIPE are about us, URG carries nothing.
const OWN: [u8; 9] = [4, 8, 9, 11, 13, 17, 19, 23, 7];

/// Last standard signal (signal(7)).
const LAST_STANDARD: u8 = 31;

/// Signals as they arrive.
#[derive(Debug)]
pub struct Signals(mpsc::UnboundedReceiver<Signal>);

impl Signals {
    /// Catches every signal that can be passed on.
    pub fn catch(cli: &Cli) -> Self {
        cli.forwards_signals.set(true);
        let (sender, receiver) = mpsc::unbounded_channel();
        for number in (1..=LAST_STANDARD).filter(|number| !OWN.contains(number)) {
            let Some(name) = Signal::from_number(u32::from(number)) else { continue };
            let Ok(mut stream) = signal(SignalKind::from_raw(i32::from(number))) else { continue };
            let sender = sender.clone();
            tokio::spawn(async move { while stream.recv().await.is_some() && sender.send(name).is_ok() {} });
        }
        Self(receiver)
    }

    /// Passes signals on to the container `id`; never ends.
    pub async fn forward(mut self, cli: &Cli, id: &str) {
        while let Some(signal) = self.0.recv().await {
            let query = Query::new().with("signal", signal_name(signal).as_str());
            // A container that has just ended cannot get it; its end is seen elsewhere.
            let _ = cli.client.post(&format!("/containers/{}/kill{}", encode_segment(id), query.as_str())).await;
        }
        std::future::pending().await
    }
}

/// The name as docker sends it: `TERM`.
fn signal_name(signal: Signal) -> String {
    signal.to_string().trim_start_matches("SIG").to_owned()
}

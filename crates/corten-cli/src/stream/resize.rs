//! The size of a container's terminal follows ours.

use crate::cli::Cli;
use corten_docker_api::client::{Query, encode_segment};
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};

/// Whose terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Of {
    /// A container's.
    Container,
    /// An exec's.
    Exec,
}

/// How often the first resize is tried: right after a start the terminal may not be there yet.
const FIRST_TRIES: u32 = 10;

/// Sets the size now and whenever ours changes; never ends.
pub async fn follow(cli: &Cli, of: Of, id: &str) {
    let changes = signal(SignalKind::window_change());
    let mut is_set = resize(cli, of, id).await;
    for attempt in 1..=FIRST_TRIES {
        if is_set {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10) * attempt).await;
        is_set = resize(cli, of, id).await;
    }
    if !is_set {
        cli.warn("failed to resize tty, using default size");
    }
    if let Ok(mut changes) = changes {
        while changes.recv().await.is_some() {
            resize(cli, of, id).await;
        }
    }
    std::future::pending().await
}

/// Sets the size once; false when the daemon refused.
pub async fn resize(cli: &Cli, of: Of, id: &str) -> bool {
    let Some(size) = corten_terminal::window_size(std::io::stdout()) else { return true };
    if size.rows == 0 && size.columns == 0 {
        return true;
    }
    let kind = match of {
        Of::Container => "containers",
        Of::Exec => "exec",
    };
    let query = Query::new().with("h", &size.rows.to_string()).with("w", &size.columns.to_string());
    cli.client.post(&format!("/{kind}/{}/resize{}", encode_segment(id), query.as_str())).await.is_ok()
}

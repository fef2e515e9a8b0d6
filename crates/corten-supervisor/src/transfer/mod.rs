//! Images from one place to another, as containerd's clients ask for it.
//!
//! [`place`] is what a transfer goes between, [`progress`] what is told on the way. The work itself is
//! `corten-images`', over the stores of this process ([`LocalStore`](crate::local::LocalStore)).

mod export;
mod import;
mod names;
mod place;
mod progress;
mod pull;
mod push;
mod registry;
mod service;
mod tag;

pub use service::TransferService;

use std::sync::Arc;

use tracing::{info, warn};

use crate::{Supervisor, caller::Caller, error::Result, local::LocalStore, snapshots::OVERLAYFS};

/// Whose work transfers are.
const OWNER: &str = "supervisor";

/// Ends the leases that transfers of a killed process left; what was fetched so far stays for the next attempt.
pub async fn settle(supervisor: Arc<Supervisor>) {
    let namespaces = supervisor.metadata.read(|c| {
        let mut statement = c.prepare("SELECT DISTINCT namespace FROM leases")?;
        let names = statement.query_map([], |row| row.get(0))?.collect::<Result<Vec<String>, _>>()?;
        Ok(names)
    });
    for namespace in namespaces.unwrap_or_default() {
        let caller = Caller { namespace: namespace.clone(), lease: None };
        let local = LocalStore::new(supervisor.clone(), caller, OVERLAYFS);
        match corten_images::lease::settle(&local, OWNER).await {
            Ok(0) => {}
            Ok(ended) => info!(namespace, ended, "leases of broken-off transfers were ended"),
            Err(error) => warn!(namespace, %error, "leases of broken-off transfers stay until they expire"),
        }
    }
}

//! Forgetting tracked connections. The kernel looks through its whole table for that, which takes it milliseconds however
//! few there are: of endpoints that go it is done aside, for all that went meanwhile at once.

use std::collections::HashSet;
use std::mem;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use corten_netlink::{Socket, conntrack};

/// Addresses whose connections are to be forgotten.
#[derive(Debug, Default)]
pub struct Connections(Arc<Mutex<Pending>>);

#[derive(Debug, Default)]
struct Pending {
    addresses: HashSet<IpAddr>,
    /// Whether a thread is at it.
    running: bool,
}

impl Connections {
    /// Has the connections from and to these addresses forgotten soon. What is not forgotten ends by itself.
    pub fn forget(&self, addresses: impl IntoIterator<Item = IpAddr>) {
        let mut pending = lock(&self.0);
        pending.addresses.extend(addresses);
        if pending.running || pending.addresses.is_empty() {
            return;
        }
        let shared = Arc::clone(&self.0);
        // The thread is in the network namespace of this one.
        pending.running = thread::Builder::new().name("connections".to_owned()).spawn(move || work(&shared)).is_ok();
    }
}

fn work(shared: &Mutex<Pending>) {
    loop {
        let addresses = {
            let mut pending = lock(shared);
            if pending.addresses.is_empty() {
                pending.running = false;
                return;
            }
            mem::take(&mut pending.addresses)
        };
        let Ok(mut socket) = Socket::netfilter() else { continue };
        let ours = |connection: &conntrack::Connection| {
            let ends = [connection.original.source, connection.reply.source];
            ends.iter().any(|end| addresses.contains(end))
        };
        for six in [false, true] {
            if let Some(&like) = addresses.iter().find(|address| address.is_ipv6() == six) {
                let _ = conntrack::forget(&mut socket, like, ours); // they end by themselves
            }
        }
    }
}

fn lock(pending: &Mutex<Pending>) -> MutexGuard<'_, Pending> {
    pending.lock().unwrap_or_else(PoisonError::into_inner)
}

//! When to collect: shortly after the start and after deletions, at the end of a lease, or now.
//!
//! Only deletions, relabelling and expiring leases make garbage, so nothing else triggers, and an idle
//! supervisor does not wake.

use std::{
    sync::{Arc, Mutex, PoisonError, Weak},
    time::{Duration, SystemTime},
};

use corten_proto::containerd::services::leases::v1::Lease;
use tokio::{
    sync::Notify,
    time::{Instant, sleep},
};
use tracing::warn;

use super::{collect::collect, mark};
use crate::{Supervisor, error::Result, metadata::records::LEASES};

/// From the start to the first collection (containerd: startup_delay).
const STARTUP_DELAY: Duration = Duration::from_millis(100);
/// From a deletion to its collection: one removal of many objects is collected once.
const REST: Duration = Duration::from_millis(100);
/// Collecting takes at most a fiftieth of the time (containerd: pause_threshold 0.02).
const SHARE: u32 = 49;

/// The clock of the collections.
#[derive(Debug, Default)]
pub struct Schedule {
    wanted: Notify,
    /// The earliest end of a lease came nearer.
    changed: Notify,
    /// The earliest end of a lease.
    expiry: Mutex<Option<SystemTime>>,
    running: tokio::sync::Mutex<()>,
}

impl Schedule {
    /// Something was deleted or relabelled: there may be garbage.
    pub fn deleted(&self) {
        self.wanted.notify_one();
    }

    /// A lease exists and may end by itself.
    pub fn expires(&self, lease: &Lease) {
        let Some(expiry) = mark::expiry(&lease.labels) else { return };
        let mut earliest = self.expiry.lock().unwrap_or_else(PoisonError::into_inner);
        if earliest.is_none_or(|known| expiry < known) {
            *earliest = Some(expiry);
            self.changed.notify_one();
        }
    }

    /// Collects before it answers: what `sync` in a request asks for.
    ///
    /// # Errors
    /// The database's, or a record that does not decode.
    pub async fn collect_now(&self, supervisor: &Arc<Supervisor>) -> Result<()> {
        let _one_at_a_time = self.running.lock().await;
        collect(supervisor).await
    }

    fn until_expiry(&self) -> Duration {
        let earliest = *self.expiry.lock().unwrap_or_else(PoisonError::into_inner);
        // The far future stands for never.
        let never = Duration::from_hours(24 * 365);
        earliest.map_or(never, |expiry| expiry.duration_since(SystemTime::now()).unwrap_or_default().min(never))
    }

    /// Runs for as long as the supervisor does.
    pub async fn run(supervisor: Weak<Supervisor>) {
        let mut rest = STARTUP_DELAY;
        loop {
            sleep(rest).await;
            let Some(supervisor_now) = supervisor.upgrade() else { return };
            let schedule = &supervisor_now.gc;
            *schedule.expiry.lock().unwrap_or_else(PoisonError::into_inner) = None;
            let begun = Instant::now();
            if let Err(error) = schedule.collect_now(&supervisor_now).await {
                warn!(%error, "garbage is not collected");
            }
            rest = REST.max(begun.elapsed() * SHARE);
            let noted = supervisor_now.metadata.read(|c| {
                LEASES.each_everywhere(c, |_, _, lease| {
                    schedule.expires(&lease);
                    Ok(())
                })
            });
            if let Err(error) = noted {
                warn!(%error, "ends of leases are not known");
            }
            loop {
                tokio::select! {
                    () = schedule.changed.notified() => continue,
                    () = schedule.wanted.notified() => break,
                    () = sleep(schedule.until_expiry()) => break,
                }
            }
        }
    }
}

//! States and statistics, asked of every shim at once; one that does not answer costs itself only.

use std::{borrow::Cow, sync::Arc};

use corten_proto::containerd::{
    task::v2::{StateRequest, StatsRequest},
    types::Metric,
    v1::types::Process,
};
use futures_util::future::join_all;
use tracing::warn;

use super::{STATE_TIMEOUT, refused};
use crate::{
    Supervisor,
    error::Result,
    filter::{Fields, Filter, non_empty},
    moment,
    shims::Shim,
};

/// The state of one process.
///
/// # Errors
/// `NotFound`, or that the shim did not answer in time.
pub(super) async fn get(supervisor: &Supervisor, namespace: &str, id: &str, exec_id: &str) -> Result<Process> {
    let shim = supervisor.tasks.get(namespace, id).await?;
    state(&shim, exec_id).await
}

/// The state of every task of a namespace that answers in time.
pub(super) async fn list(supervisor: &Supervisor, namespace: &str) -> Vec<Process> {
    let shims = supervisor.tasks.all(namespace).await;
    let states = join_all(shims.iter().map(|shim| state(shim, ""))).await;
    let answered = states.into_iter().zip(&shims).filter_map(|(state, shim)| match state {
        Ok(process) => Some(process),
        Err(error) => {
            warn!(ns = shim.namespace(), id = shim.id(), %error, "task is left out of the list");
            None
        }
    });
    answered.collect()
}

/// The statistics of every task that the filters accept and that answers in time.
///
/// # Errors
/// `InvalidArgument` for filters that do not parse.
pub(super) async fn metrics(supervisor: &Supervisor, namespace: &str, filters: &[String]) -> Result<Vec<Metric>> {
    let filter = Filter::parse(filters)?;
    let shims = supervisor.tasks.all(namespace).await;
    let wanted = shims.iter().filter(|shim| filter.accepts(&**shim));
    Ok(join_all(wanted.map(stats)).await.into_iter().flatten().collect())
}

async fn state(shim: &Shim, exec_id: &str) -> Result<Process> {
    let asked = StateRequest { id: shim.id().to_owned(), exec_id: exec_id.to_owned() };
    let state = shim.client.state(&asked, Some(STATE_TIMEOUT)).await.map_err(refused)?;
    Ok(Process {
        container_id: String::new(),
        id: if exec_id.is_empty() { shim.id() } else { exec_id }.to_owned(),
        pid: state.pid,
        status: state.status,
        stdin: state.stdin,
        stdout: state.stdout,
        stderr: state.stderr,
        terminal: state.terminal,
        exit_status: state.exit_status,
        exited_at: state.exited_at,
    })
}

async fn stats(shim: &Arc<Shim>) -> Option<Metric> {
    let asked = StatsRequest { id: shim.id().to_owned() };
    match shim.client.stats(&asked, Some(STATE_TIMEOUT)).await {
        Ok(answer) => Some(Metric { timestamp: Some(moment::now()), id: shim.id().to_owned(), data: answer.stats }),
        Err(error) => {
            if !error.is_not_found() {
                warn!(ns = shim.namespace(), id = shim.id(), %error, "statistics are left out");
            }
            None
        }
    }
}

impl Fields for Arc<Shim> {
    fn field(&self, path: &[&str]) -> Option<Cow<'_, str>> {
        match path {
            ["id"] => non_empty(self.id()),
            ["namespace"] => non_empty(self.namespace()),
            _ => None,
        }
    }
}

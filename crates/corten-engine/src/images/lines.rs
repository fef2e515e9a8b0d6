//! The lines a long operation shows, for every client that follows it.
//!
//! One pull serves all who ask for the same image: each reads the lines so far and then the new ones. Of a layer's bar
//! only the newest is kept, so a slow client costs nothing. The last client to leave ends the operation.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use corten_docker_api::images::{Progress, ProgressDetail, ProgressError};
use futures_util::stream;
use tokio::sync::watch;
use tokio::task::AbortHandle;

use crate::errors::{EngineError, Result};
use crate::http::Answer;

/// What was shown so far.
#[derive(Debug)]
pub struct Lines {
    state: Mutex<State>,
    /// Number of the newest line; grows with each.
    newest: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct State {
    next: u64,
    lines: Vec<(u64, Progress)>,
    /// How it ended: kind and sentence of what went wrong.
    outcome: Option<std::result::Result<(), (corten_types::ErrorKind, String)>>,
}

impl Default for Lines {
    fn default() -> Self {
        Self { state: Mutex::default(), newest: watch::channel(0).0 }
    }
}

impl Lines {
    fn state(&self) -> MutexGuard<'_, State> {
        // Lines are whole: each change below is one push.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Shows a line; of a bar, in the place of the one before.
    pub fn show(&self, line: Progress) {
        let mut state = self.state();
        if is_bar(&line)
            && let Some(old) = state.lines.iter().rposition(|(_, old)| old.id == line.id)
            && is_bar(&state.lines[old].1)
        {
            state.lines.remove(old);
        }
        state.next += 1;
        let number = state.next;
        state.lines.push((number, line));
        drop(state);
        self.newest.send_replace(number);
    }

    /// Shows a line that is only a status.
    pub fn status(&self, id: &str, status: impl Into<String>) {
        self.show(Progress { id: id.to_owned(), status: status.into(), ..Progress::default() });
    }

    /// Tells that it is over.
    pub fn end(&self, outcome: Result<()>) {
        let mut state = self.state();
        state.outcome = Some(outcome.map_err(|error| (error.kind(), error.message())));
        state.next += 1;
        let number = state.next;
        drop(state);
        self.newest.send_replace(number);
    }

    /// The lines after number `seen`, and whether it is over.
    pub(super) fn after(&self, seen: u64) -> (u64, Vec<Progress>, bool) {
        let state = self.state();
        let lines = state.lines.iter().filter(|(number, _)| *number > seen).map(|(_, line)| line.clone()).collect();
        (state.next, lines, state.outcome.is_some())
    }

    fn failure(&self) -> Option<(corten_types::ErrorKind, String)> {
        self.state().outcome.clone().and_then(std::result::Result::err)
    }
}

fn is_bar(line: &Progress) -> bool {
    line.progress_detail.as_ref().is_some_and(|detail| *detail != ProgressDetail::default())
}

/// An operation and those who follow it.
#[derive(Debug)]
pub struct Job {
    lines: Arc<Lines>,
    task: AbortHandle,
}

impl Drop for Job {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Job {
    /// Runs `work`, which shows its lines as it goes, until it is done or nobody follows.
    pub fn start<F>(work: impl FnOnce(Arc<Lines>) -> F) -> Arc<Self>
    where
        F: Future<Output = Result<()>> + Send + 'static,
    {
        let lines = Arc::new(Lines::default());
        let (running, work) = (lines.clone(), work(lines.clone()));
        let task = tokio::spawn(async move {
            // Lives in a task of its own so that a panic ends the clients' wait, too.
            let outcome = work.await;
            running.end(outcome);
        });
        let (ended, watched) = (lines.clone(), task.abort_handle());
        tokio::spawn(async move {
            if let Err(error) = task.await
                && error.is_panic()
            {
                ended.end(Err(EngineError::internal("the operation ended unexpectedly").caused_by(error)));
            }
        });
        Arc::new(Self { lines, task: watched })
    }

    /// Whether it is over.
    pub fn is_over(&self) -> bool {
        self.lines.state().outcome.is_some()
    }

    /// The answer for one client: what fails before the first line is the call's failure, later it is a line.
    ///
    /// # Errors
    /// What the operation answered before it showed anything.
    pub async fn answer(self: Arc<Self>) -> Result<Answer> {
        let mut newest = self.lines.newest.subscribe();
        // Fails only without the sender, which this job holds.
        let _ = newest.wait_for(|number| *number > 0).await;
        let (_, lines, is_over) = self.lines.after(0);
        if lines.is_empty()
            && is_over
            && let Some((kind, text)) = self.lines.failure()
        {
            return Err(EngineError::new(kind, text));
        }
        let chunks = stream::unfold((self, newest, 0, false), |(job, mut newest, seen, ended)| async move {
            if ended {
                return None;
            }
            let _ = newest.wait_for(|number| *number > seen).await;
            let (seen, mut lines, is_over) = job.lines.after(seen);
            if let Some((_, text)) = is_over.then(|| job.lines.failure()).flatten() {
                lines.push(failed(text));
            }
            Some((Ok(encode(&lines)), (job, newest, seen, is_over)))
        });
        Ok(Answer::stream("application/json", Box::pin(chunks)))
    }
}

fn failed(message: String) -> Progress {
    Progress {
        error: message.clone(),
        error_detail: Some(ProgressError { message, ..ProgressError::default() }),
        ..Progress::default()
    }
}

/// Objects one after the other, each ended as docker ends them.
pub fn encode(lines: &[Progress]) -> Bytes {
    let mut body = Vec::new();
    for line in lines {
        // Texts and numbers only: this cannot fail.
        body.extend(serde_json::to_vec(line).unwrap_or_default());
        body.extend_from_slice(b"\r\n");
    }
    body.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bar(id: &str, current: i64) -> Progress {
        let detail = ProgressDetail { current, total: 10 };
        Progress { id: id.into(), status: "Downloading".into(), progress_detail: Some(detail), ..Progress::default() }
    }

    #[test]
    fn of_a_bar_only_the_newest_is_kept_and_statuses_all() {
        let lines = Lines::default();
        lines.status("a", "Pulling fs layer");
        lines.show(bar("a", 1));
        lines.show(bar("b", 1));
        lines.show(bar("a", 2));
        lines.status("a", "Download complete");
        let (seen, all, is_over) = lines.after(0);
        let shown: Vec<_> = all.iter().map(|line| (line.id.as_str(), line.status.as_str())).collect();
        let expected =
            [("a", "Pulling fs layer"), ("b", "Downloading"), ("a", "Downloading"), ("a", "Download complete")];
        assert_eq!((shown.as_slice(), is_over), (expected.as_slice(), false));
        lines.end(Ok(()));
        assert_eq!(lines.after(seen).1.len(), 0);
        assert!(lines.after(seen).2);
    }

    #[tokio::test]
    async fn what_fails_before_the_first_line_is_the_calls_failure() {
        let job = Job::start(|_| async { Err(EngineError::not_found("no")) });
        assert_eq!(job.answer().await.err().map(|error| error.message()), Some("no".to_owned()));
    }
}

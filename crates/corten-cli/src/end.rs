//! How a container or an exec ended, also when the daemon that was asked dies meanwhile.
//!
//! A container and its attached client go on without a daemon; only the exit code is the daemon's to
//! tell. So who waits for it asks the next daemon, for as long as there is output, and a while longer.

use crate::cli::Cli;
use corten_docker_api::client::{ClientError, Response};
use corten_docker_api::containers::WaitResponse;
use std::cell::Cell;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// How long after the last output a daemon that went away may take to come back.
const BACK_WITHIN: Duration = Duration::from_secs(30);

/// The first pause between two looks for it; nothing announces a daemon, which may be on another host.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// The longest such pause: a tenth of what starting a daemon takes on a slow machine.
const LOOK_AGAIN_AT_MOST: Duration = Duration::from_millis(320);

/// Whether output still comes: then a daemon that is away is waited for without end.
#[derive(Debug, Default)]
pub struct Output(Cell<Option<Instant>>);

impl Output {
    /// The last byte has come.
    pub fn ended(&self) {
        self.0.set(Some(Instant::now()));
    }

    /// Whether a daemon that has been away for that long is waited for any longer.
    fn is_worth_waiting(&self, away: Duration, now: Instant) -> bool {
        away <= BACK_WITHIN || self.0.get().is_none_or(|ended| now.duration_since(ended) <= BACK_WITHIN)
    }
}

/// The answer of `ask`, which is asked again when the daemon went away instead of answering.
///
/// # Errors
/// What the daemon answers; the last try's when it stays away.
pub async fn across<T>(
    output: &Output,
    mut ask: impl AsyncFnMut() -> Result<T, ClientError>,
) -> Result<T, ClientError> {
    let mut answer = ask().await;
    let away_since = Instant::now();
    let mut pause = LOOK_AGAIN;
    loop {
        match &answer {
            Err(error) if error.is_daemon_gone() => {}
            _ => return answer,
        }
        let now = Instant::now();
        if !output.is_worth_waiting(now.duration_since(away_since), now) {
            return answer;
        }
        sleep(pause).await;
        pause = (pause * 2).min(LOOK_AGAIN_AT_MOST);
        answer = ask().await;
    }
}

/// How the container `id` ended: what `waiting` is told, or what the next daemon knows.
///
/// # Errors
/// Those of [`across`].
pub async fn of_container(
    cli: &Cli,
    id: &str,
    waiting: Result<Response, ClientError>,
    output: &Output,
) -> Result<WaitResponse, ClientError> {
    let mut waiting = Some(waiting);
    across(output, async || {
        let waiting = match waiting.take() {
            Some(waiting) => waiting,
            None => cli.client.container_wait(id, "not-running").await,
        };
        waiting?.json::<WaitResponse>().await
    })
    .await
}

/// As [`of_container`], as an exit status; 125 when it cannot be known, and then standard error says why.
pub async fn status(cli: &Cli, id: &str, waiting: Result<Response, ClientError>, output: &Output) -> u8 {
    match of_container(cli, id, waiting, output).await {
        Ok(WaitResponse { error: Some(error), .. }) if !error.message.is_empty() => {
            cli.warn(&format!("Error waiting for container: {}", error.message));
            125
        }
        Ok(answer) => u8::try_from(answer.status_code & 0xff).unwrap_or(125),
        Err(error) => {
            cli.warn(&format!("error waiting for container: {error}"));
            125
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use corten_docker_api::client::{Client, Host};

    async fn gone() -> ClientError {
        let client = Client::new(Host::Unix("/nonexistent/socket".into()), "test");
        client.get("/_ping").await.expect_err("nobody is there")
    }

    #[test]
    fn a_daemon_that_is_away_is_waited_for_while_output_comes_and_a_while_longer() {
        let now = Instant::now();
        let output = Output::default();
        assert!(output.is_worth_waiting(BACK_WITHIN * 100, now), "output may come");
        output.ended();
        assert!(output.is_worth_waiting(BACK_WITHIN * 100, now), "it has just ended");
        let later = now + BACK_WITHIN * 2;
        assert!(output.is_worth_waiting(BACK_WITHIN, later), "the daemon has just left");
        assert!(!output.is_worth_waiting(BACK_WITHIN * 2, later));
    }

    #[tokio::test]
    async fn the_next_daemon_s_answer_counts() {
        let (mut asked, output) = (0, Output::default());
        let answer = across(&output, async || {
            asked += 1;
            if asked < 5 { Err(gone().await) } else { Ok(7) }
        });
        assert_eq!(answer.await.expect("answered"), 7);
    }
}

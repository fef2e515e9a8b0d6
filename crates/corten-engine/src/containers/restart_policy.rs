//! Whether a container that has ended is started again, and when.

use std::sync::Arc;
use std::time::Duration;

use corten_docker_api::containers::RestartPolicy;
use tracing::warn;

use super::record::State;
use super::{Container, exit, start};
use crate::clock::Moment;
use crate::engine::Engine;
use crate::events::Kind;
use crate::execs::Exit;

/// The first pause.
pub const BACK_OFF_FIRST: Duration = Duration::from_millis(100);

/// The longest pause.
const BACK_OFF_AT_MOST: Duration = Duration::from_secs(60);

/// A container that ran this long starts over with the first pause.
const RAN_WELL: Duration = Duration::from_secs(10);

/// What follows from an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is started again after a pause.
    StartAgain {
        /// The pause.
        after: Duration,
    },
    /// It is left as it is.
    Rest,
}

/// What `policy` says about a container that has ended in `ended` after running for `ran_for`; the
/// pause before its last start was `last`, nothing when it was started by somebody.
pub fn judge(policy: &RestartPolicy, ended: &State, ran_for: Duration, last: Option<Duration>) -> Verdict {
    let starts_again = match policy.name.as_str() {
        "always" | "unless-stopped" => true,
        "on-failure" => {
            let tries_left =
                policy.maximum_retry_count == 0 || i64::from(ended.restart_count) < policy.maximum_retry_count;
            ended.exit_code != 0 && tries_left
        }
        _ => false,
    };
    if !starts_again || ended.stopped_by_user || ended.removing {
        return Verdict::Rest;
    }
    let after = match last {
        Some(last) if ran_for < RAN_WELL => (last * 2).min(BACK_OFF_AT_MOST),
        _ => BACK_OFF_FIRST,
    };
    Verdict::StartAgain { after }
}

/// Whether a container that does not run is started when the engine comes up. `always` means also
/// after somebody stopped it; `unless-stopped` does not.
pub fn starts_with_engine(policy: &RestartPolicy, state: &State) -> bool {
    let has_run = state.started_at.is_some();
    let policy_says = match policy.name.as_str() {
        "always" => true,
        "unless-stopped" => !state.stopped_by_user,
        "on-failure" => {
            let tries_left =
                policy.maximum_retry_count == 0 || i64::from(state.restart_count) < policy.maximum_retry_count;
            !state.stopped_by_user && state.exit_code != 0 && tries_left
        }
        _ => false,
    };
    has_run && policy_says && !state.removing && !state.dead
}

/// Starts a container that waits for its next start, unless somebody stops, starts or removes it
/// before. A start that fails counts as an end, and the policy judges again.
pub fn start_later(engine: &Arc<Engine>, container: &Arc<Container>, after: Duration) {
    let (engine, container) = (Arc::clone(engine), Arc::clone(container));
    let expected = container.view().state.restart_count;
    tokio::spawn(async move {
        tokio::time::sleep(after).await;
        while engine.containerd.linked().await.is_err() {}
        let turn = container.turn().await;
        let state = turn.view().state.clone();
        if !state.restarting || state.restart_count != expected {
            return;
        }
        if let Err(error) = start::launch(&engine, &turn).await {
            warn!(id = turn.id, error = error.message(), "start a container again");
            let view = turn.view();
            let status = u32::try_from(view.state.exit_code).unwrap_or(128);
            engine.events.publish(Kind::Container, "die", &turn.id, view.record.event_attributes());
            // As if it had run for no time at all.
            turn.change(|state| state.started_at = Some(Moment::now()));
            exit::record(&engine, &container, turn, Exit { pid: 0, status, at: Moment::now() });
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(name: &str, maximum_retry_count: i64) -> RestartPolicy {
        RestartPolicy { name: name.to_owned(), maximum_retry_count }
    }

    fn ended(exit_code: i64, restart_count: u32, stopped_by_user: bool) -> State {
        State { exit_code, restart_count, stopped_by_user, started_at: Some(Moment::from_nanos(1)), ..State::default() }
    }

    #[test]
    fn policies_say_who_starts_again() {
        let again = |policy: &RestartPolicy, state: &State| judge(policy, state, Duration::ZERO, None) != Verdict::Rest;
        for (name, max, state, expected) in [
            ("no", 0, ended(1, 0, false), false),
            ("always", 0, ended(0, 9, false), true),
            ("always", 0, ended(0, 0, true), false),
            ("unless-stopped", 0, ended(0, 0, false), true),
            ("on-failure", 0, ended(0, 0, false), false),
            ("on-failure", 0, ended(1, 99, false), true),
            ("on-failure", 2, ended(1, 1, false), true),
            ("on-failure", 2, ended(1, 2, false), false),
        ] {
            assert_eq!(again(&policy(name, max), &state), expected, "{name} {state:?}");
        }
    }

    #[test]
    fn the_pause_doubles_up_to_a_minute_and_starts_over_after_a_good_run() {
        let pause = |ran_for, last| match judge(&policy("always", 0), &ended(1, 0, false), ran_for, last) {
            Verdict::StartAgain { after } => after.as_millis(),
            Verdict::Rest => 0,
        };
        assert_eq!(pause(Duration::ZERO, None), 100);
        assert_eq!(pause(Duration::ZERO, Some(Duration::from_millis(100))), 200);
        assert_eq!(pause(Duration::ZERO, Some(Duration::from_secs(50))), 60_000);
        assert_eq!(pause(Duration::from_secs(10), Some(Duration::from_secs(50))), 100);
    }

    #[test]
    fn only_always_forgets_at_the_engines_start_that_somebody_stopped_it() {
        assert!(starts_with_engine(&policy("always", 0), &ended(0, 0, true)));
        assert!(!starts_with_engine(&policy("unless-stopped", 0), &ended(0, 0, true)));
        assert!(starts_with_engine(&policy("unless-stopped", 0), &ended(0, 0, false)));
        assert!(!starts_with_engine(&policy("always", 0), &State::default()));
        assert!(!starts_with_engine(&policy("no", 0), &ended(1, 0, false)));
    }
}

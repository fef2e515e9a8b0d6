//! `ctr run`.

use super::containers::{make, remove};
use super::tasks::run_task;
use crate::session::{Outcome, Session, log_error, sentence};

/// Makes a container, starts it and, unless detached, stays with it to its end.
pub async fn run(session: &Session) -> Outcome {
    if session.is_set("rm") && session.is_set("detach") {
        return Err(sentence("flags --detach and --rm cannot be specified together"));
    }
    let container = make(session).await?;
    let terminal = session.is_set("tty");
    let ran = run_task(session, &container, terminal).await;
    if session.is_set("rm")
        && let Err(error) = remove(session, &container, true).await
    {
        log_error(format!("failed to delete container {:?}", container.id), &error);
    }
    ran
}

//! Announcing that a container ran out of memory.
//!
//! The watch begins when the container is created and before it is started. The task waits for two
//! things only: memory running out, and the container's end, when it looks once more. So the event is
//! always out before the exit.

use std::sync::Arc;

use corten_cgroups::OomWatch;
use corten_proto::containerd::events::TaskOom;
use tokio::{io::unix::AsyncFd, sync::oneshot};

use crate::{container::Container, events::Events, readiness};

/// A watch; asking it to look once more ends it.
#[derive(Debug)]
pub struct Watching {
    last_look: oneshot::Sender<()>,
    task: tokio::task::JoinHandle<()>,
}

impl Watching {
    /// Looks once more, announces what there is, and ends.
    pub async fn finish(self) {
        // The task has ended by itself when the cgroup is gone.
        let _ = self.last_look.send(());
        let _ = self.task.await;
    }
}

/// Watches the memory of `container` and announces its end; `None` where memory is not controlled.
pub fn watch(container: &Arc<Container>, events: &Events) -> Option<Watching> {
    let watch = match container.cgroup()?.watch_oom() {
        Ok(watch) => readiness::register(watch?),
        Err(error) => {
            let error = corten_types::error::chain(&error);
            tracing::warn!(id = container.id, error, "running out of memory will not be announced");
            return None;
        }
    };
    let (last_look, asked) = oneshot::channel();
    let task = tokio::spawn(serve(watch.ok()?, asked, container.id.clone(), events.clone()));
    Some(Watching { last_look, task })
}

async fn serve(mut watch: AsyncFd<OomWatch>, mut asked: oneshot::Receiver<()>, id: String, events: Events) {
    loop {
        let is_last = tokio::select! {
            ready = watch.readable() => match ready {
                Ok(mut ready) => { ready.clear_ready(); false }
                Err(_) => return,
            },
            _ = &mut asked => true,
        };
        match watch.get_mut().take() {
            Ok(true) => events.publish("/tasks/oom", &TaskOom { container_id: id.clone() }),
            Ok(false) => {}
            // The cgroup is gone.
            Err(_) => return,
        }
        if is_last {
            return;
        }
    }
}

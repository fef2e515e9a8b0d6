//! What happens when a container's init ends.

use std::sync::Arc;

use crate::engine::Engine;
use crate::execs::Exit;

/// Records the end.
pub async fn on_exit(_engine: &Arc<Engine>, _id: &str, _exit: Exit) {}

/// Notes that the kernel killed for memory.
pub async fn on_oom(_engine: &Arc<Engine>, _id: &str) {}

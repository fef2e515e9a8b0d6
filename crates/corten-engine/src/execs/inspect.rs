//! `GET /exec/{id}/json`.

use std::sync::Arc;

use corten_docker_api::exec::ExecInspect;

use super::task::Reality;
use super::{Phase, exit, task};
use crate::attach;
use crate::engine::Engine;
use crate::errors::Result;

/// What an exec is and how far it is.
///
/// An attached client sees the end of its streams from the shim, possibly before the event of the
/// exit reaches the engine, and asks at once for the exit code: so one that seems to run is looked at.
///
/// # Errors
/// 404 for an unknown exec.
pub async fn inspect(engine: &Arc<Engine>, id: &str) -> Result<ExecInspect> {
    let exec = engine.execs.find(id)?;
    engine.containers.find(&exec.container_id)?;
    if matches!(exec.phase(), Phase::Running { .. })
        && let Ok(Reality::Stopped(exit)) = task::look(engine, &exec).await
    {
        exit::end(engine, &exec, exit);
    }
    let keys = attach::parse_detach_keys(&exec.config.detach_keys).unwrap_or_default();
    Ok(exec.inspect((!keys.is_empty()).then(|| base64(&keys))))
}

/// Go prints bytes in base64.
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let group = chunk.iter().enumerate().fold(0u32, |all, (at, byte)| all | u32::from(*byte) << (16 - 8 * at));
        for at in 0..4 {
            let digit = ALPHABET[(group >> (18 - 6 * at) & 63) as usize];
            text.push(if at <= chunk.len() { char::from(digit) } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_printed_as_go_prints_them() {
        for (bytes, text) in [(&b"\x10\x11"[..], "EBE="), (b"a", "YQ=="), (b"abc", "YWJj"), (b"abcd", "YWJjZA==")] {
            assert_eq!(base64(bytes), text);
        }
    }
}

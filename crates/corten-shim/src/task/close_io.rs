//! Closing the standard input of a process.

use corten_proto::containerd::task::v2::CloseIoRequest;

use crate::{error::TaskError, shim::Shim};

/// Closes the standard input once its client has left as well.
///
/// # Errors
/// [`TaskError::NoContainer`], [`TaskError::NoProcess`].
pub fn close_io(shim: &Shim, request: &CloseIoRequest) -> Result<(), TaskError> {
    let process = shim.container(&request.id)?.process(&request.exec_id)?;
    if request.stdin
        && let Some(streams) = process.streams()
    {
        streams.close_stdin();
    }
    Ok(())
}

//! Setting the size of a terminal.

use corten_proto::containerd::task::v2::ResizePtyRequest;
use corten_sys::termios::{self, WindowSize};

use crate::{error::TaskError, shim::Shim};

/// Sets the size of the process's terminal. A process without one, or whose terminal is gone, is fine:
/// clients send sizes without knowing.
///
/// # Errors
/// [`TaskError::Invalid`] for a size no terminal has.
pub fn resize_pty(shim: &Shim, request: &ResizePtyRequest) -> Result<(), TaskError> {
    let process = shim.container(&request.id)?.process(&request.exec_id)?;
    let Some(terminal) = process.terminal() else { return Ok(()) };
    let too_large = |_| TaskError::Invalid(format!("a terminal of {} × {} cells", request.width, request.height));
    let size = WindowSize {
        rows: request.height.try_into().map_err(too_large)?,
        columns: request.width.try_into().map_err(too_large)?,
    };
    termios::set_window_size(&*terminal, size).map_err(TaskError::io("resize the terminal of", &request.id))
}

//! What a container has said already, for a client that asks for it before what comes.

use std::io;
use std::path::PathBuf;

use corten_stdio::logs::Options;

use super::client::Client;
use crate::logs::text::Printer;

/// Writes the whole log at `path` to `client`, as fast as it reads.
///
/// # Errors
/// When the log cannot be read or the client is gone.
pub async fn replay(client: &mut Client, path: PathBuf, printer: Printer) -> io::Result<()> {
    let mut chunks = crate::logs::read(path, Options::default(), printer)?;
    while let Some(chunk) = chunks.receiver.recv().await {
        client.write(&chunk?).await?;
    }
    Ok(())
}

//! Asking before something is removed.

use crate::cli::Cli;
use crate::failure::Failure;
use std::io::{self, BufRead, Read};

/// Longest answer that is read.
const LONGEST_ANSWER_BYTES: u64 = 1 << 10;

/// Asks `question`; anything but `y` or `yes` is a no, and so is the end of standard input.
///
/// # Errors
/// When standard input cannot be read.
pub async fn confirm(cli: &Cli, question: &str) -> Result<bool, Failure> {
    cli.print(&format!("{question} [y/N] "));
    // A thread of its own reads, so that signals still end the command.
    let read = || {
        let mut line = String::new();
        io::stdin().lock().take(LONGEST_ANSWER_BYTES).read_line(&mut line).map(|_| line)
    };
    let answer = tokio::task::spawn_blocking(read).await.map_err(io::Error::other).flatten();
    let answer = answer.map_err(|error| Failure::new(format!("read standard input: {error}")))?;
    Ok(matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
}

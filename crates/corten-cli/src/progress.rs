//! The daemon's progress messages, a line each.

use crate::failure::Failure;
use corten_docker_api::client::ResponseBody;
use corten_docker_api::images::Progress;

/// Reads progress to its end and hands what is to be shown to `print`.
///
/// # Errors
/// What the daemon reports in the stream.
pub async fn show(mut body: ResponseBody, mut print: impl FnMut(&str)) -> Result<(), Failure> {
    let mut pending = Vec::new();
    while let Some(chunk) = body.chunk().await? {
        pending.extend_from_slice(&chunk);
        let mut messages = serde_json::Deserializer::from_slice(&pending).into_iter::<Progress>();
        let mut used = 0;
        let mut failure = None;
        while let Some(message) = messages.next() {
            match message {
                Ok(message) => {
                    used = messages.byte_offset();
                    match line(&message) {
                        Ok(text) => print(&text),
                        Err(error) => failure = Some(error),
                    }
                }
                Err(error) if error.is_eof() => break,
                Err(error) => return Err(Failure::new(format!("the daemon's progress is not understood: {error}"))),
            }
        }
        if let Some(failure) = failure {
            return Err(failure);
        }
        pending.drain(..used);
    }
    Ok(())
}

/// One message as docker prints it where no terminal shows bars; percentages are left out.
fn line(message: &Progress) -> Result<String, Failure> {
    if let Some(error) = &message.error_detail {
        return Err(Failure::new(error.message.clone()));
    }
    if !message.error.is_empty() {
        return Err(Failure::new(message.error.clone()));
    }
    let has_bar = message.progress_detail.as_ref().is_some_and(|detail| detail.current != 0 || detail.total != 0);
    if has_bar || (!message.progress.is_empty() && message.stream.is_empty()) {
        return Ok(String::new());
    }
    if !message.stream.is_empty() {
        return Ok(message.stream.clone());
    }
    if message.status.is_empty() {
        return Ok(String::new());
    }
    let id = if message.id.is_empty() { String::new() } else { format!("{}: ", message.id) };
    Ok(format!("{id}{}\n", message.status))
}

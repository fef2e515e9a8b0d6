//! The daemon's progress: a line for each thing at work on a terminal, plain lines elsewhere.
//!
//! A pull, push, load or import answers with a stream of JSON objects ([`message`]). On a terminal one
//! that names a thing (`id`) and says how far it is is written over that thing's line, with a bar
//! ([`bar`]); elsewhere bars are left out. The bytes are docker's, which scripts and people's eyes know.

mod bar;
mod message;

use crate::cli::{Cli, write_or_leave};
use crate::failure::Failure;
use corten_docker_api::client::ResponseBody;
use message::Message;
use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::{self, IsTerminal};

/// Longest single message. An error with a registry's whole answer in it is some kilobytes.
const LONGEST_MESSAGE_BYTES: usize = 4 << 20;

/// Most lines that are gone back to. An image has at most some hundred layers; beyond this the lines begin anew.
const MOST_LINES: usize = 10_000;

/// Where progress is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum To {
    /// Standard output.
    Output,
    /// Standard error.
    Errors,
    /// Nowhere; only what fails is told.
    Nowhere,
}

/// Reads progress to its end and shows it.
///
/// # Errors
/// What the daemon reports in the stream; a stream that breaks off.
pub async fn show(body: ResponseBody, to: To) -> Result<(), Failure> {
    show_with_results(body, to, |_| {}).await
}

/// [`show`], which hands results for programs (`aux`) to `result`.
///
/// # Errors
/// As [`show`].
pub async fn show_with_results(
    mut body: ResponseBody,
    to: To,
    mut result: impl FnMut(&serde_json::Value),
) -> Result<(), Failure> {
    let mut screen = Screen::new(to);
    let mut pending = Vec::new();
    while let Some(chunk) = body.chunk().await? {
        pending.extend_from_slice(&chunk);
        let mut messages = serde_json::Deserializer::from_slice(&pending).into_iter::<Message>();
        let mut used = 0;
        while let Some(message) = messages.next() {
            let message = match message {
                Ok(message) => message,
                Err(error) if error.is_eof() => break,
                Err(error) => return Err(Failure::new(format!("the daemon's progress is not understood: {error}"))),
            };
            used = messages.byte_offset();
            match &message.aux {
                Some(aux) => result(aux),
                None => screen.show(&message)?,
            }
        }
        pending.drain(..used);
        if pending.len() > LONGEST_MESSAGE_BYTES {
            return Err(Failure::new(format!(
                "the daemon's progress is not understood: a message is longer than {LONGEST_MESSAGE_BYTES} bytes"
            )));
        }
    }
    if pending.iter().all(u8::is_ascii_whitespace) { Ok(()) } else { Err(Failure::new("unexpected EOF")) }
}

/// What progress is written on, and which line belongs to what.
#[derive(Debug)]
struct Screen {
    to: To,
    is_terminal: bool,
    /// The line of each id, counted from the first.
    lines: HashMap<String, usize>,
}

impl Screen {
    fn new(to: To) -> Self {
        let is_terminal = match to {
            To::Output => io::stdout().is_terminal(),
            To::Errors => io::stderr().is_terminal(),
            To::Nowhere => false,
        };
        Self { to, is_terminal, lines: HashMap::new() }
    }

    /// Shows one message.
    ///
    /// # Errors
    /// The one it carries.
    fn show(&mut self, message: &Message) -> Result<(), Failure> {
        let width = self.width();
        let mut text = String::new();
        let shown = self.place(&mut text, message, width);
        match self.to {
            To::Output => write_or_leave(&mut io::stdout().lock(), text.as_bytes()),
            To::Errors => write_or_leave(&mut io::stderr().lock(), text.as_bytes()),
            To::Nowhere => {}
        }
        shown
    }

    /// The message at its place: up to its line and down again.
    fn place(&mut self, text: &mut String, message: &Message, width: usize) -> Result<(), Failure> {
        let mut below = 0;
        if !message.id.is_empty() && (message.progress_detail.is_some() || !message.progress.is_empty()) {
            if self.lines.len() >= MOST_LINES {
                self.lines.clear();
            }
            let next = self.lines.len();
            let line = *self.lines.entry(message.id.clone()).or_insert(next);
            if self.is_terminal {
                if line == next {
                    text.push('\n');
                }
                below = self.lines.len() - line;
                // Writing to a String cannot fail, here and below.
                let _ = write!(text, "\x1b[{below}A");
            }
        } else {
            // What stands alone pushes the lines above it out of reach.
            self.lines.clear();
        }
        let written = message.write(text, self.is_terminal, width);
        if below > 0 {
            let _ = write!(text, "\x1b[{below}B");
        }
        written
    }

    /// Cells in a line; docker takes 200 where there is no terminal.
    fn width(&self) -> usize {
        let size = match self.to {
            To::Output => corten_terminal::window_size(io::stdout()),
            To::Errors => corten_terminal::window_size(io::stderr()),
            To::Nowhere => None,
        };
        size.map_or(200, |size| size.columns.into())
    }
}

/// A remark for people, as docker sets it off: `i Info →` and the text, indented.
pub fn note(cli: &Cli, text: &str) {
    cli.print(&note_text(text, cli.output_is_terminal()));
}

/// The text of a [`note`].
pub fn note_text(text: &str, is_terminal: bool) -> String {
    const PLAIN: &str = " Info -> ";
    const FANCY: &str = "\x1b[1m\x1b[106m\x1b[30mi\x1b[0m\x1b[0m \x1b[96mInfo → \x1b[0m\x1b[0m";
    /// Cells of `i Info → `.
    const FANCY_WIDTH: usize = 9;

    let (header, indent) = if is_terminal { (FANCY, FANCY_WIDTH) } else { (PLAIN, PLAIN.len()) };
    let mut shown = format!("\n{header}");
    let text = if is_terminal { text.replace("--platform", "\x1b[1m--platform\x1b[0m") } else { text.to_owned() };
    for (index, line) in text.split('\n').enumerate() {
        if index > 0 {
            shown.push_str(&" ".repeat(indent));
        }
        if is_terminal {
            let _ = writeln!(shown, "\x1b[3m{line}\x1b[0m");
        } else {
            let _ = writeln!(shown, "{line}");
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(messages: &[&str], is_terminal: bool, width: usize) -> String {
        let mut screen = Screen { to: To::Nowhere, is_terminal, lines: HashMap::new() };
        let mut text = String::new();
        for message in messages {
            let message: Message = serde_json::from_str(message).expect("a message of the table");
            screen.place(&mut text, &message, width).expect("no message of the table is an error");
        }
        text
    }

    const PULL: &[&str] = &[
        r#"{"status":"Pulling from library/a","id":"latest"}"#,
        r#"{"status":"Pulling fs layer","progressDetail":{},"id":"aa"}"#,
        r#"{"status":"Pulling fs layer","progressDetail":{},"id":"bb"}"#,
        r#"{"status":"Downloading","progressDetail":{"current":50,"total":100},"id":"aa"}"#,
        r#"{"status":"Done"}"#,
    ];

    #[test]
    fn each_thing_keeps_its_line_on_a_terminal() {
        let expected = "latest: Pulling from library/a\n\
                        \n\x1b[1A\x1b[2K\raa: Pulling fs layer \r\x1b[1B\
                        \n\x1b[1A\x1b[2K\rbb: Pulling fs layer \r\x1b[1B\
                        \x1b[2A\x1b[2K\raa: Downloading      50B/100B\r\x1b[2B\
                        Done\n";
        assert_eq!(shown(PULL, true, 80), expected);
    }

    #[test]
    fn bars_are_left_out_elsewhere() {
        let expected = "latest: Pulling from library/a\naa: Pulling fs layer\nbb: Pulling fs layer\nDone\n";
        assert_eq!(shown(PULL, false, 200), expected);
    }
}

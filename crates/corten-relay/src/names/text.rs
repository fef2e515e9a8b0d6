//! Lines of words.

use std::fmt::Write as _;

use super::{FORMAT, NamesError};

/// The first line.
pub(super) fn head() -> String {
    format!("corten-names {FORMAT}\n")
}

/// The lines after the first, each with its number and its words.
pub(super) fn lines(text: &str) -> Result<impl Iterator<Item = (usize, &str)>, NamesError> {
    let mut lines = text.lines().enumerate().map(|(index, line)| (index + 1, line));
    let (word, format) = lines.next().and_then(|(_, line)| line.split_once(' ')).ok_or(NamesError::Head)?;
    if word != "corten-names" || format.parse() != Ok(FORMAT) {
        return Err(NamesError::Head);
    }
    Ok(lines)
}

/// Appends ` word`, escaped.
pub(super) fn push_word(text: &mut String, word: &str) {
    text.push(' ');
    push_escaped(text, word);
}

/// Appends `word` so that it has neither space nor `,` nor `=`.
pub(super) fn push_escaped(text: &mut String, word: &str) {
    for letter in word.chars() {
        if letter <= ' ' || matches!(letter, '%' | ',' | '=' | '\x7f') {
            let _ = write!(text, "%{:02x}", u32::from(letter)); // writing to a String cannot fail
        } else {
            text.push(letter);
        }
    }
}

/// The word that was escaped; `None` when it was not by us, is empty, or is longer than `most` bytes.
pub(super) fn unescape(word: &str, most: usize) -> Option<String> {
    let mut parts = word.split('%');
    let mut text = parts.next()?.to_owned();
    for part in parts {
        let (digits, rest) = part.split_at_checked(2)?;
        let byte = u8::from_str_radix(digits, 16).ok().filter(u8::is_ascii)?;
        text.push(char::from(byte));
        text.push_str(rest);
    }
    (!text.is_empty() && text.len() <= most).then_some(text)
}

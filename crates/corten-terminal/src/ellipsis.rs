//! Cutting a text to a width of cells.

use unicode_width::UnicodeWidthChar;

/// Cuts `text` to `width` cells; a cut text ends in `…`.
#[must_use]
pub fn ellipsis(text: &str, width: usize) -> String {
    if width == 0 {
        return String::new();
    }
    if width == 1 {
        return text.chars().take(1).collect();
    }
    let total: usize = text.chars().map(cells).sum();
    if total <= width {
        return text.to_owned();
    }
    let mut used = 0;
    let mut cut: String = text
        .chars()
        .take_while(|letter| {
            used += cells(*letter);
            used < width
        })
        .collect();
    cut.push('…');
    cut
}

/// Cells of a letter; docker counts every narrow letter, control characters too, as one.
fn cells(letter: char) -> usize {
    letter.width().unwrap_or(1).max(1)
}

#[cfg(test)]
mod tests {
    use super::ellipsis;

    #[test]
    fn a_long_text_ends_in_an_ellipsis() {
        assert_eq!(ellipsis("sleep 1000", 20), "sleep 1000");
        assert_eq!(ellipsis("sh -c 'while true; do :; done'", 20), "sh -c 'while true; …");
        assert_eq!(ellipsis("日本語", 4), "日…");
        assert_eq!(ellipsis("abc", 1), "a");
        assert_eq!(ellipsis("abc", 0), "");
    }
}

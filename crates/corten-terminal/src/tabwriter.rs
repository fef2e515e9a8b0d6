//! Columns as Go's text/tabwriter lays them out, which is how docker's tables look.
//!
//! A cell is what a tab ends; what follows the last tab of a line is no cell and gets no padding.
//! A column is a block of consecutive lines that have that cell; its width is the widest cell plus
//! the padding, but at least the minimum.

use unicode_width::UnicodeWidthChar;

/// Layout of a table.
#[derive(Debug, Clone, Copy)]
pub struct Layout {
    /// Narrowest column, padding included.
    pub minimum_width: usize,
    /// Cells between a column's widest text and the next column.
    pub padding: usize,
}

/// docker's tables of containers, images and the like.
pub const DOCKER_TABLE: Layout = Layout { minimum_width: 10, padding: 3 };

/// Replaces the tabs of `text` by spaces.
#[must_use]
pub fn align(text: &str, layout: Layout) -> String {
    let mut lines: Vec<Vec<&str>> = text.split('\n').map(|line| line.split('\t').collect()).collect();
    // Text after the last newline is a line of its own, possibly empty.
    let last_is_empty = lines.last().is_some_and(|line| line == &[""]);
    if last_is_empty {
        lines.pop();
    }
    let mut widths: Vec<Vec<usize>> = lines.iter().map(|line| vec![0; line.len().saturating_sub(1)]).collect();
    let columns = widths.iter().map(Vec::len).max().unwrap_or(0);
    for column in 0..columns {
        let mut first = 0;
        while first < lines.len() {
            let block = widths[first..].iter().take_while(|line| line.len() > column).count();
            let cells = lines[first..first + block].iter().map(|line| line_width(line[column]));
            let widest = cells.max().unwrap_or(0);
            let width = (widest + layout.padding).max(layout.minimum_width);
            // A column of empty cells takes no room in Go only with a flag docker does not set.
            for line in &mut widths[first..first + block] {
                line[column] = width;
            }
            first += block.max(1);
        }
    }
    let mut aligned = String::with_capacity(text.len() * 2);
    let count = lines.len();
    for (index, (line, widths)) in lines.iter().zip(&widths).enumerate() {
        for (cell, width) in line.iter().zip(widths) {
            aligned.push_str(cell);
            aligned.extend(std::iter::repeat_n(' ', width - line_width(cell)));
        }
        aligned.push_str(line.last().copied().unwrap_or_default());
        if index + 1 < count || last_is_empty {
            aligned.push('\n');
        }
    }
    aligned
}

fn line_width(text: &str) -> usize {
    text.chars().map(|letter| letter.width().unwrap_or(0)).sum()
}

#[cfg(test)]
mod tests {
    use super::{DOCKER_TABLE, Layout, align};

    #[test]
    fn columns_are_padded_to_the_widest_cell() {
        let check = |text: &str, expected: &str| assert_eq!(align(text, DOCKER_TABLE), expected);
        check("ID\tNAME\nabc\tlonger than ten\tx\n", "ID        NAME\nabc       longer than ten   x\n");
        check("A\tB\n", "A         B\n");
        check("", "");
        check("no tab", "no tab");
    }

    #[test]
    fn a_line_without_the_cell_ends_the_column() {
        let layout = Layout { minimum_width: 20, padding: 1 };
        assert_eq!(
            align(" a:\tx\nno cell\n looooooooooooooooooooong:\ty\n", layout),
            " a:                 x\nno cell\n looooooooooooooooooooong: y\n"
        );
    }

    #[test]
    fn wide_letters_count_two_cells() {
        assert_eq!(align("日本\tx\n", DOCKER_TABLE), "日本      x\n");
    }
}

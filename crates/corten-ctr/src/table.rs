//! Tables as ctr lays them out: Go's text/tabwriter, with three different layouts, and its numbers.

use corten_terminal::tabwriter::{Layout, align};

/// Images, snapshots, leases, namespaces: one blank between columns.
pub const TIGHT: Layout = Layout { minimum_width: 1, padding: 1 };
/// Containers, tasks, plugins: four blanks, columns of at least four.
pub const WIDE: Layout = Layout { minimum_width: 4, padding: 4 };
/// Processes of a task: four blanks.
pub const PROCESSES: Layout = Layout { minimum_width: 1, padding: 4 };

/// Prints lines of cells, each cell ended by a tab but the last.
pub fn print(text: &str, layout: Layout) {
    print!("{}", align(text, layout));
}

/// Content and its transfers: columns filled up with tabs to multiples of eight.
pub fn align_with_tabs(text: &str) -> String {
    const STOP: usize = 8;
    let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split('\t').collect()).collect();
    let columns = lines.iter().map(|line| line.len() - 1).max().unwrap_or(0);
    // Every line of these tables has the same cells, so a column is all lines.
    let width = |column: usize| {
        let widest = lines.iter().filter(|line| column + 1 < line.len()).map(|line| line[column].chars().count()).max();
        (widest.unwrap_or(0) + 1).next_multiple_of(STOP)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut aligned = String::new();
    for line in &lines {
        let (last, cells) = line.split_last().unwrap_or((&"", &[]));
        for (cell, width) in cells.iter().zip(&widths) {
            aligned.push_str(cell);
            let missing = width - cell.chars().count();
            aligned.extend(std::iter::repeat_n('\t', missing.div_ceil(STOP)));
        }
        aligned.push_str(last);
        aligned.push('\n');
    }
    aligned
}

/// A size as ctr's progress bars print it: one decimal, powers of 1024.
pub fn bytes(size: u64) -> String {
    const UNITS: [&str; 7] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    #[expect(clippy::cast_precision_loss, reason = "one decimal is printed")]
    let mut value = size as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tabs_fill_up_to_the_widest_cell() {
        let long = "sha256:22807eb4f27e14e5da374ab25f2c983d5d3e32c92ad9d341a58b4275c31bb7e4";
        let text = format!("DIGEST\tSIZE\tAGE\tLABELS\n{long}\t10.24kB\tLess than a second\t-\n");
        let expected =
            format!("DIGEST\t\t\t\t\t\t\t\t\tSIZE\tAGE\t\t\tLABELS\n{long}\t10.24kB\tLess than a second\t-\n");
        assert_eq!(align_with_tabs(&text), expected);
        assert_eq!(align_with_tabs("REF\tSIZE\tAGE\t\n"), "REF\tSIZE\tAGE\t\n");
    }

    #[test]
    fn sizes_have_one_decimal() {
        for (size, expected) in [(0, "0.0 B"), (354, "354.0 B"), (4096, "4.0 KiB"), (3_984_293, "3.8 MiB")] {
            assert_eq!(bytes(size), expected);
        }
    }
}

//! Counts that may only fall: what we would rather not have, and do not allow to grow.

use std::{collections::BTreeMap, env, fs};

use crate::sources;

const COMMITTED: &str = "integration-tests/tests/tidy/ratchet.txt";
const REWRITE: &str = "CORTEN_REWRITE";
/// A function longer than this is a story that could be told in steps.
const LONG_FUNCTION_LINES: usize = 80;
/// A file longer than this is probably two subjects.
const LONG_FILE_LINES: usize = 600;

#[test]
fn counts_only_fall() {
    let counts = count();
    let text: String = counts.iter().map(|(name, count)| format!("{name} {count}\n")).collect();
    if env::var_os(REWRITE).is_some() {
        fs::write(sources::root().join(COMMITTED), &text).expect("the source tree is writable");
    }
    let committed = sources::read(COMMITTED);
    for (name, count) in counts {
        let allowed = committed.lines().find_map(|line| line.strip_prefix(name)?.trim().parse::<usize>().ok());
        let allowed = allowed.unwrap_or(0);
        assert!(count <= allowed, "{name}: {count}, and {COMMITTED} allows {allowed}");
    }
}

fn count() -> BTreeMap<&'static str, usize> {
    let mut counts = BTreeMap::from([("unwraps outside tests", 0), ("long functions", 0), ("long files", 0)]);
    let ours = sources::rust_files().into_iter().filter(|file| {
        let name = sources::relative(file);
        !name.starts_with("integration-tests") && !name.contains("/tests/") && !name.ends_with("tests.rs")
    });
    for file in ours {
        let text = sources::read(sources::relative(&file));
        let code = text.split("#[cfg(test)]").next().unwrap_or(&text);
        *counts.entry("unwraps outside tests").or_default() += code.matches(".unwrap()").count();
        let long = long_functions(code);
        if long > 0 {
            // Shown when the test fails, so that it says where to look.
            println!("{}: {long} long functions", sources::relative(&file));
        }
        *counts.entry("long functions").or_default() += long;
        *counts.entry("long files").or_default() += usize::from(text.lines().count() > LONG_FILE_LINES);
    }
    counts
}

/// Functions of more than the allowed lines, from `fn` to the brace of the same indentation.
fn long_functions(code: &str) -> usize {
    let lines: Vec<&str> = code.lines().collect();
    let mut long = 0;
    for (number, line) in lines.iter().enumerate() {
        let trimmed = line.trim_start();
        let declares = ["fn ", "pub fn ", "pub(crate) fn ", "async fn ", "pub async fn ", "pub(crate) async fn "];
        if !declares.iter().any(|start| trimmed.starts_with(start)) || trimmed.ends_with(';') {
            continue;
        }
        let end = format!("{}}}", &line[..line.len() - trimmed.len()]);
        let length = lines[number..].iter().position(|line| *line == end).unwrap_or(0);
        long += usize::from(length > LONG_FUNCTION_LINES);
    }
    long
}

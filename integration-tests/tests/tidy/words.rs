//! The tree speaks of the product, never of where or by whom it was made.

use std::process::Command;

use crate::sources;

/// Words that do not belong into the tree, in halves, so that this file does not hold them.
const FOREIGN: [(&str, &str); 8] = [
    ("/work", "/"),
    ("../sha", "red"),
    ("ARCHITEC", "TURE.md"),
    ("STY", "LE.md"),
    ("PEE", "RS.md"),
    ("notes/runtime", ".md"),
    ("fou", "nder"),
    ("BRI", "EF.md"),
];

#[test]
fn no_workplace_is_named() {
    let listed = Command::new("git").args(["ls-files", "-z"]).current_dir(sources::root()).output();
    let Ok(listed) = listed else { return };
    let mut found = Vec::new();
    for name in String::from_utf8_lossy(&listed.stdout).split('\0').filter(|name| !name.is_empty()) {
        let Ok(text) = std::fs::read_to_string(sources::root().join(name)) else { continue };
        for (first, second) in FOREIGN {
            let word = format!("{first}{second}");
            let lines = text.lines().enumerate().filter(|(_, line)| line.contains(&word));
            found.extend(lines.map(|(number, line)| format!("{name}:{}: {}", number + 1, line.trim())));
        }
    }
    assert!(found.is_empty(), "{found:#?}");
}

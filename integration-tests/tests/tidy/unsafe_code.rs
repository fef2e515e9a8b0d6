//! Unsafe code stands in `corten-sys` and nowhere else.

use crate::sources;

const ONLY_HERE: &str = "crates/corten-sys/";

#[test]
fn every_other_package_takes_the_lints_of_the_workspace() {
    let forbids = sources::read("Cargo.toml").lines().any(|line| line.trim() == "unsafe_code = \"forbid\"");
    assert!(forbids, "the workspace no longer forbids unsafe code");
    for directory in ["crates", "bins", "integration-tests"] {
        for manifest in sources::files(directory, "Cargo.toml") {
            let name = sources::relative(&manifest);
            let takes = sources::read(&name).contains("[lints]\nworkspace = true");
            assert!(takes || name.starts_with(ONLY_HERE), "{name} does not take the workspace's lints");
        }
    }
}

#[test]
fn the_word_unsafe_opens_a_block_only_in_corten_sys() {
    let openings = ["unsafe {", "unsafe fn", "unsafe impl", "unsafe extern", "allow(unsafe_code)"];
    // The openings above stand in this very file.
    let own = file!().rsplit('/').next().expect("a file has a name");
    for file in sources::rust_files() {
        let name = sources::relative(&file);
        if name.starts_with(ONLY_HERE) || name.ends_with(own) {
            continue;
        }
        for (number, line) in sources::read(&name).lines().enumerate() {
            let code = line.split("//").next().unwrap_or(line);
            assert!(!openings.iter().any(|opening| code.contains(opening)), "{name}:{}: {line}", number + 1);
        }
    }
}

#[test]
fn every_unsafe_block_of_corten_sys_says_why_it_is_sound() {
    for file in sources::files(ONLY_HERE, ".rs") {
        let name = sources::relative(&file);
        let text = sources::read(&name);
        let lines: Vec<&str> = text.lines().collect();
        for (number, line) in lines.iter().enumerate() {
            if !line.contains("unsafe {") || line.trim_start().starts_with("//") {
                continue;
            }
            let above = &lines[number.saturating_sub(8)..=number];
            assert!(above.iter().any(|line| line.contains("SAFETY:")), "{name}:{}: no SAFETY above", number + 1);
        }
    }
}

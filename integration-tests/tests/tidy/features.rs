//! What `corten-runtime features` claims is proven by tests that exist.

use crate::sources;

const TABLE: &str = "integration-tests/tests/runtime/features.txt";

#[test]
fn every_feature_names_a_test_that_exists() {
    let table = sources::read(TABLE);
    let mut missing = Vec::new();
    let mut rows = 0;
    for row in table.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        rows += 1;
        let proof = row.split_once(' ').and_then(|(_, proof)| proof.split_once("::"));
        if !proof.is_some_and(|(file, name)| is_a_test(file, name)) {
            missing.push(row);
        }
    }
    assert!(missing.is_empty(), "{TABLE}: no such test: {missing:#?}");
    assert!(rows > 20, "{TABLE} has no rows");
}

/// Whether `name` is a test in `file`: a file of tests/runtime, or with its path below the root.
fn is_a_test(file: &str, name: &str) -> bool {
    let path = if file.contains('/') { file.to_owned() } else { format!("integration-tests/tests/runtime/{file}") };
    if !sources::root().join(&path).is_file() {
        return false;
    }
    let text = sources::read(path);
    // `#[ignore]` may stand in between: what needs another kernel runs in the virtual machine.
    let before = text.split_once(&format!("fn {name}()")).map_or("", |(before, _)| before);
    before.lines().rev().take_while(|line| !line.is_empty() && *line != "}").any(|line| line.trim() == "#[test]")
}

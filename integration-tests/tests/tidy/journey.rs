//! The functions of the journey on the map exist where the map says.

use std::path::PathBuf;

use crate::sources;

#[test]
fn every_function_of_the_journey_exists() {
    let map = sources::read("crates/README.md");
    let rows = map.lines().filter(|line| line.starts_with("| `corten") && line.contains("::"));
    let mut missing = Vec::new();
    let mut looked_up = 0;
    for row in rows {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        let package = cells[0].trim_matches('`');
        let names = cells[1..].iter().flat_map(|cell| cell.split(", ")).filter(|name| !name.is_empty());
        for name in names.map(|name| name.trim_matches('`')) {
            looked_up += 1;
            if !exists(package, name) {
                missing.push(format!("{package} {name}"));
            }
        }
    }
    assert!(missing.is_empty(), "on the map but not in the code: {missing:#?}");
    assert!(looked_up > 20, "the journey on the map was not found");
}

/// `module::…::function`, `Type::method` or `module::CONSTANT` of `package`.
fn exists(package: &str, name: &str) -> bool {
    let mut path: Vec<&str> = name.split("::").collect();
    let item = path.pop().expect("a name has a last part");
    let source = format!("crates/{package}/src");
    let owner = path.last().copied().unwrap_or("");
    let is_type = owner.chars().next().is_some_and(char::is_uppercase);
    let candidates: Vec<PathBuf> = if is_type {
        sources::files(&source, ".rs")
    } else {
        let module = path.join("/");
        let directory = sources::root().join(&source);
        // A module may also be named inside another one: the item is then in a file of the module's directory.
        let mut files = vec![directory.join(format!("{module}.rs")), directory.join(format!("{module}/mod.rs"))];
        files.extend(sources::files(&format!("{source}/{module}"), ".rs"));
        files
    };
    let texts: Vec<String> = candidates.iter().filter(|file| file.is_file()).map(sources::read).collect();
    let says = |wanted: &[String]| texts.iter().any(|text| wanted.iter().any(|wanted| text.contains(wanted)));
    // Methods that differ in a name only are written by a macro from a table: `create = "Create": …`.
    let item = says(
        &["fn {}(", "fn {}<", "static {}:", "const {}:", "{} = \"", "\n    {}: "]
            .map(|pattern| pattern.replace("{}", item)),
    );
    let owner = says(&["struct {}", "enum {}", "impl {} {"].map(|pattern| pattern.replace("{}", owner)));
    item && (owner || !is_type)
}

//! The map names every package of the workspace, and only those.

use std::collections::{BTreeMap, BTreeSet};

use crate::sources;

/// What the map says a package may use: package → packages.
pub fn allowed() -> BTreeMap<String, BTreeSet<String>> {
    let map = sources::read("crates/README.md");
    let rows = map.lines().filter(|line| line.starts_with("| `corten") || line.starts_with("| `integration-tests`"));
    let mut allowed = BTreeMap::new();
    for row in rows {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        let name = cells[0].trim_matches('`').to_owned();
        // The journey's table begins its rows with the same names.
        if cells.iter().skip(1).any(|cell| cell.contains("::")) || cells.last() == Some(&"") {
            continue;
        }
        let uses = cells.last().expect("a row has cells");
        let uses = uses.split(' ').filter(|word| *word != "–").map(|word| format!("corten-{word}")).collect();
        assert!(allowed.insert(name.clone(), uses).is_none(), "the map has two rows for {name}");
    }
    allowed
}

/// Our dependencies of each package: (package, dependency, kind); the kind is "normal", "dev" or "build".
pub fn dependencies() -> Vec<(String, String, String)> {
    let packages = sources::metadata()["packages"].as_array().expect("metadata lists packages");
    let mut found = Vec::new();
    for package in packages {
        for dependency in package["dependencies"].as_array().expect("a package lists dependencies") {
            let text = |value: &serde_json::Value| value.as_str().unwrap_or("normal").to_owned();
            if !dependency["path"].is_null() {
                found.push((text(&package["name"]), text(&dependency["name"]), text(&dependency["kind"])));
            }
        }
    }
    found
}

fn packages() -> BTreeSet<String> {
    let packages = sources::metadata()["packages"].as_array().expect("metadata lists packages");
    packages.iter().map(|package| package["name"].as_str().expect("a package has a name").to_owned()).collect()
}

#[test]
fn every_package_is_on_the_map_and_the_map_names_no_other() {
    let mapped: BTreeSet<String> = allowed().into_keys().collect();
    assert_eq!(mapped, packages());
}

#[test]
fn every_directory_of_crates_and_bins_is_a_package_of_its_name() {
    for (directory, suffix) in [("crates", ""), ("bins", "-bin")] {
        for manifest in sources::files(directory, "Cargo.toml") {
            let name = manifest.parent().and_then(|parent| parent.file_name()).expect("it is in a directory");
            let package = format!("{}{suffix}", name.to_string_lossy());
            assert!(packages().contains(&package), "{} is no package {package}", sources::relative(&manifest));
        }
    }
}

#[test]
fn our_crates_have_no_cargo_features() {
    for package in sources::metadata()["packages"].as_array().expect("metadata lists packages") {
        let features = package["features"].as_object().expect("a package lists features");
        assert!(features.is_empty(), "{} has features {features:?}", package["name"]);
    }
}

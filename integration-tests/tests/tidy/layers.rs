//! Who uses whom: only what the map allows, without a cycle, and never across an arrow.

use std::collections::{BTreeMap, BTreeSet};

use crate::map::{allowed, dependencies};

/// The crates at the two ends of each arrow.
const ARROWS: [(&str, &str); 4] = [
    ("corten-cli", "corten-engine"),
    ("corten-engine", "corten-supervisor"),
    ("corten-supervisor", "corten-shim"),
    ("corten-shim", "corten-runtime"),
];

#[test]
fn a_package_uses_only_what_the_map_allows() {
    let allowed = allowed();
    let broken: Vec<String> = dependencies()
        .into_iter()
        .filter(|(package, dependency, _)| !allowed.get(package).is_some_and(|uses| uses.contains(dependency)))
        .filter(|(_, _, kind)| kind != "dev")
        .map(|(package, dependency, kind)| format!("{package} uses {dependency} ({kind})"))
        .collect();
    assert!(broken.is_empty(), "not allowed by crates/README.md: {broken:#?}");
}

#[test]
fn the_map_has_no_cycle_and_names_only_crates() {
    let allowed = allowed();
    for (package, uses) in &allowed {
        for used in uses {
            assert!(allowed.contains_key(used), "the map lets {package} use {used}, which it does not have");
            assert!(!reachable(&allowed, used).contains(package), "{package} and {used} use each other");
        }
    }
}

#[test]
fn a_dev_dependency_never_points_at_a_crate_that_uses_you() {
    let allowed = allowed();
    for (package, dependency, kind) in dependencies() {
        let back = reachable(&allowed, &dependency).contains(&package);
        assert!(kind != "dev" || !back, "{package} is tested with {dependency}, which uses it");
    }
}

#[test]
fn the_two_ends_of_an_arrow_never_meet() {
    let allowed = allowed();
    for (left, right) in ARROWS {
        assert!(!reachable(&allowed, left).contains(right), "{left} uses {right}");
        assert!(!reachable(&allowed, right).contains(left), "{right} uses {left}");
    }
}

/// Everything that `package` uses, directly or through others.
fn reachable(allowed: &BTreeMap<String, BTreeSet<String>>, package: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut next = vec![package.to_owned()];
    while let Some(package) = next.pop() {
        for used in allowed.get(&package).into_iter().flatten() {
            if found.insert(used.clone()) {
                next.push(used.clone());
            }
        }
    }
    found
}

//! A change of the wire format must be seen in review: it changes `proto/descriptor.txt`.

use std::{env, fs, path::Path};

const BUILT: &str = include_str!(concat!(env!("OUT_DIR"), "/descriptor.txt"));
const REWRITE: &str = "CORTEN_REWRITE";

#[test]
fn the_committed_descriptor_is_what_is_built() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../proto/descriptor.txt");
    if env::var_os(REWRITE).is_some() {
        fs::write(&path, BUILT).expect("the source tree is writable");
    }
    let committed = fs::read_to_string(&path).unwrap_or_default();
    let missing: Vec<&str> = BUILT.lines().filter(|line| !committed.lines().any(|other| other == *line)).collect();
    let gone: Vec<&str> = committed.lines().filter(|line| !BUILT.lines().any(|other| other == *line)).collect();
    assert!(
        missing.is_empty() && gone.is_empty(),
        "the wire format changed; if that is meant, run this test with {REWRITE}=1\nnew: {missing:#?}\ngone: {gone:#?}"
    );
}

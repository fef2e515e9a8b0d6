//! Layers of strangers, written into a directory: nothing outside it changes, nothing outside comes in.

use std::{fs, os::unix::fs::symlink};

use corten_layers::{
    Target,
    diff::{Source, diff},
};
use integration_tests::{
    TempRoot,
    hostile::{self, Outside},
};

use crate::{
    each_of,
    mutate::{Random, bytes},
};

/// A layer below, whose links lead out, and something outside to attack.
struct Host {
    root: TempRoot,
    outside: Outside,
    lower: Outside,
}

impl Host {
    fn new() -> Host {
        let root = TempRoot::new();
        let outside = Outside::make(&root.make("outside"));
        let lower = root.make("lower");
        fs::create_dir_all(lower.join("a/b")).unwrap();
        fs::write(lower.join("a/file"), "lower").unwrap();
        symlink(outside.path(), lower.join("abs")).unwrap();
        symlink("../outside", lower.join("up")).unwrap();
        symlink("../../outside/secret", lower.join("a/link")).unwrap();
        fs::create_dir(lower.join("own")).unwrap();
        let lower = Outside::make(&lower);
        // The lower layer's own files say something else than the host's.
        Host { root, outside, lower }
    }

    /// Applies `layer` both ways and looks around.
    fn apply(&self, layer: &[u8], what: &str) {
        for is_overlay in [true, false] {
            let upper = self.root.make("upper");
            let target = match is_overlay {
                true => Target::overlay(&upper, vec![self.lower.path().to_owned()]),
                false => Target::plain(&upper),
            };
            if !is_overlay {
                fs::write(upper.join("d"), "there before").unwrap();
                symlink(self.outside.path(), upper.join("out")).unwrap();
            }
            let applied = corten_layers::apply(layer, &target);
            self.outside.assert_untouched(what);
            self.lower.assert_untouched(what);
            if !is_overlay {
                hostile::assert_no_secret_in(&upper, what);
            }
            if applied.is_ok() {
                // What was made can be made into a layer again.
                let source = if is_overlay { Source::Upper(upper.clone()) } else { Source::Trees(None, upper.clone()) };
                diff(&source, &mut std::io::sink()).unwrap_or_else(|error| panic!("{what}: {error}"));
            }
            fs::remove_dir_all(&upper).unwrap();
        }
    }
}

#[test]
fn hostile_layers_change_nothing_outside() {
    let host = Host::new();
    each_of(500, "hostile layers", |random: &mut Random| {
        let seed = random.next();
        host.apply(&hostile::layer(seed, host.outside.path()), &format!("the layer of seed {seed}"));
    });
}

#[test]
fn damaged_layers_end_in_an_error() {
    let host = Host::new();
    let mut good = tar::Builder::new(Vec::new());
    for (name, kind, link) in [
        ("a/", tar::EntryType::Directory, ""),
        ("a/file", tar::EntryType::Regular, ""),
        ("a/.wh.link", tar::EntryType::Regular, ""),
        ("own/.wh..wh..opq", tar::EntryType::Regular, ""),
        ("second", tar::EntryType::Link, "a/file"),
        ("sym", tar::EntryType::Symlink, "a"),
    ] {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(0o755);
        header.set_size(0);
        if link.is_empty() {
            good.append_data(&mut header, name, std::io::empty()).unwrap();
        } else {
            good.append_link(&mut header, name, link).unwrap();
        }
    }
    let good = good.into_inner().unwrap();
    each_of(200, "damaged layers", |random: &mut Random| {
        let damaged = bytes(random, &good);
        host.apply(&damaged, "a damaged layer");
    });
}

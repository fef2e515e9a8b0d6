//! `load`, `import` and `save`: archives from and to files, and from standard input.

use crate::pair::Pair;
use integration_tests::{Kind, busybox};

#[test]
fn uploads_on_dockerd_are_docker_s() {
    compare(Kind::Original);
}

#[test]
fn uploads_on_cortend_are_docker_s() {
    compare(Kind::Ours);
}

fn compare(kind: Kind) {
    let mut pair = Pair::start(kind);
    let archive = busybox::docker_archive_file(pair.stack.root(), &["busybox:latest", "other:1"]);
    let layer = busybox::layer_file(pair.stack.root());
    let bytes = std::fs::read(&archive).expect("the archive was just written");
    let layer_bytes = std::fs::read(&layer).expect("the layer was just written");
    let (archive, layer) = (archive.display().to_string(), layer.display().to_string());
    pair.same(&["load", "-i", &archive]);
    pair.same(&["load", "-q", "--input", &archive]);
    pair.same_with_input(&["load"], &bytes);
    pair.same_with_input(&["load"], b"this is no archive");
    pair.same_with_input(&["load"], &bytes[..bytes.len() / 2]);
    pair.same(&["import", &layer]);
    pair.same(&["import", "-c", "CMD [\"sh\"]", "-m", "by hand", &layer, "imported:1"]);
    pair.same_with_input(&["import", "-", "imported:2"], &layer_bytes);
    // Small enough to be sent whole: docker reports a broken pipe when a large one is refused early.
    pair.same_with_input(&["import", "-c", "BOGUS x", "-"], b"this is no archive");
    pair.same(&["inspect", "-f", "{{.Config.Cmd}} {{.Comment}}", "imported:1"]);
    pair.same_with_input(&["import", "-", "imported:3"], b"this is no archive");
    let saved = pair.stack.root().join("saved.tar").display().to_string();
    pair.same(&["save", "-o", &saved, "busybox", "other:1"]);
    pair.same(&["load", "-i", &saved]);
    pair.same(&["image", "save", "-o", "/nowhere/at/all.tar", "busybox"]);
    pair.same(&["save", "-o", &pair.stack.root().path().display().to_string(), "busybox"]);
    pair.same(&["save", "-o", &saved, "nobody:1"]);
    pair.finish();
}

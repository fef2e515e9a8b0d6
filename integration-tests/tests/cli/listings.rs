//! `ps` and `images`: tables, templates, filters.

use crate::pair::Pair;
use integration_tests::Kind;

#[test]
fn listings_on_dockerd_are_docker_s() {
    compare(Kind::Original);
}

#[test]
fn listings_on_cortend_are_docker_s() {
    compare(Kind::Ours);
}

fn compare(kind: Kind) {
    let mut pair = Pair::start(kind);
    pair.same(&["ps", "-a"]);
    pair.prepare(&["run", "-d", "--name", "a1", "-l", "x=y", "-l", "com.foo.bar-baz=1", "busybox", "sleep", "1000"]);
    let _ =
        pair.docker.run(&["run", "--name", "a2", "busybox", "sh", "-c", "echo a long command line; exit 3"]).code(3);
    pair.prepare(&["create", "--name", "a3", "-v", "/tmp:/x", "-e", "A=b", "busybox", "sh"]);
    // One repository only: docker shows several of one image in the random order of a Go map.
    pair.prepare(&["tag", "busybox", "busybox:1.0-test"]);
    let formats = [
        "json",
        "{{json .}}",
        "raw",
        "table",
        "{{.Names}}|{{.Label \"x\"}}|{{.Labels}}|{{.Mounts}}|{{.Networks}}|{{.LocalVolumes}}|{{.State}}|{{.Platform}}",
        "table {{.ID}}\t{{.Names}}\t{{.Label \"com.foo.bar-baz\"}}",
        "table {{.Names}}\\t{{upper .Image}}\\t{{.CreatedAt}}\\t{{.Size}}",
        "{{pad .Names 2 3}}|{{truncate .ID 3}}|{{json .Names}}|{{join (split .Names \"a\") \"-\"}}|{{title .Names}}|{{println .Names}}",
        "{{if eq .State \"running\"}}up{{else if eq .State \"created\"}}new{{else}}{{.State}}{{end}}",
        "{{range $i, $part := split .Labels \",\"}}{{$i}}={{$part}};{{end}}",
        "{{printf \"%-20s|%q|%5d|%x\" .Names .Image 42 .ID}}",
        "{{.Foo}}",
        "{{.ID",
        "{{foo .ID}}",
        "{{len .Names}} {{slice .ID 0 4}} {{index (split .Image \":\") 0}}",
    ];
    for format in formats {
        pair.same(&["ps", "-a", "--format", format]);
        pair.same(&["ps", "-a", "--no-trunc", "--format", format]);
    }
    for arguments in [
        &["ps"][..],
        &["ps", "-a"],
        &["ps", "-aq"],
        &["ps", "-a", "--no-trunc"],
        &["ps", "-as"],
        &["ps", "-n", "1"],
        &["ps", "-n", "2", "-q"],
        &["ps", "-l"],
        &["ps", "-q", "--format", "x"],
        &["ps", "-a", "-s", "--format", "raw"],
        &["ps", "-f", "name=a1"],
        &["ps", "-a", "-f", "status=exited"],
        &["ps", "-a", "-f", "label=x=y", "-f", "name=a"],
        &["ps", "-f", "status=bogus"],
        &["ps", "-f", "bogus=1"],
        &["container", "ls", "-a"],
        &["container", "list", "-a"],
        &["container", "ps", "-q"],
        &["images"],
        &["images", "-a"],
        &["images", "-q"],
        &["images", "--digests"],
        &["images", "--no-trunc"],
        &["images", "busybox"],
        &["images", "nope"],
        &["images", "ls"],
        &["images", "--format", "json"],
        &[
            "images",
            "--format",
            "{{.Repository}}:{{.Tag}} {{.VirtualSize}} {{.SharedSize}} {{.UniqueSize}} {{.Containers}}",
        ],
        &["images", "--format", "table {{.Repository}}", "--digests"],
        &["images", "--format", "raw"],
        &["images", "--format", "raw", "--digests"],
        &["images", "--format", "{{.Nope}}"],
        &["images", "-f", "dangling=true"],
        &["images", "-f", "reference=busy*"],
        &["image", "ls"],
        &["image", "list", "-q"],
    ] {
        pair.same(arguments);
    }
    pair.finish();
}

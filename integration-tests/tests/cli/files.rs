//! `diff`, `commit`, `export`, `cp`, `history`, `system df` and `image prune`, beside docker's.

use crate::pair::Pair;
use integration_tests::{DEADLINE, Kind, wait_for};

#[test]
fn files_and_images_on_dockerd_are_docker_s() {
    compare(Kind::Original);
}

#[test]
fn files_and_images_on_cortend_are_docker_s() {
    compare(Kind::Ours);
}

fn compare(kind: Kind) {
    let mut pair = Pair::start(kind);
    let script = "echo x >/etc/one; touch /tmp/ready; sleep 1000";
    pair.prepare(&["run", "-d", "--name", "web", "--network", "none", "busybox", "sh", "-c", script]);
    wait_for("the container to have changed its files", DEADLINE, || {
        pair.docker.run(&["exec", "web", "test", "-e", "/tmp/ready"]).code == 0
    });
    pair.prepare(&["commit", "-m", "a comment", "-a", "me", "web", "made:1"]);
    pair.prepare(&["create", "--name", "rest", "--network", "none", "made:1"]);
    for arguments in [
        &["history", "busybox"][..],
        &["history", "--no-trunc", "made:1"],
        &["history", "-q", "made:1"],
        &["history", "--human=false", "made:1"],
        &["history", "--format", "{{.ID}} {{.CreatedAt}} {{.CreatedBy}} {{.Size}} {{.Comment}}", "made:1"],
        &["history", "--format", "json", "made:1"],
        &["image", "history", "made:1"],
        &["history", "none"],
        &["history"],
        &["system", "df"],
        &["system", "df", "--format", "{{.Type}}: {{.TotalCount}} {{.Active}} {{.Size}} {{.Reclaimable}}"],
        &["system", "df", "--format", "json"],
        &["system", "df", "-v"],
        &["system", "df", "-v", "--format", "json"],
        &["system", "df", "-v", "--format", "raw"],
        &["system", "df", "-v", "--format", "{{range .Images}}{{.ID}} {{.Repository}}\\n{{end}}{{len .Volumes}}"],
        &["system", "df", "-v", "--format", "{{.Nothing}}"],
        &["system", "df", "-v", "--format", "{{"],
        &["system", "df", "x"],
        &["diff", "none"],
        &["diff"],
        &["commit", "none"],
        &["commit"],
        &["commit", "a", "b", "c"],
        &["commit", "-c", "BOGUS x", "web"],
        &["export", "none"],
        &["export", "-o", "/none/x", "web"],
        &["cp"],
        &["cp", "a", "b"],
        &["cp", "web:/a", "rest:/b"],
        &["cp", "", "b"],
        &["cp", "web:/none", "/tmp"],
        &["cp", "none:/x", "/tmp"],
        &["cp", "/none", "web:/"],
        &["cp", "web:/etc", "/none/x"],
        &["cp", "/etc/passwd", "web:/dev/null"],
        &["image", "prune", "-f", "--filter", "until=1h"],
        &["image", "prune", "-f", "--filter", "bogus=1"],
        &["image", "prune", "x"],
    ] {
        pair.same(arguments);
    }
    pair.same_with_input(&["image", "prune"], b"n\n");
    pair.same_with_input(&["image", "prune", "-a"], b"no\n");
    pair.finish();
}

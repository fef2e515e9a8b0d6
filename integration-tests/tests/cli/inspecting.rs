//! `inspect`, `logs`, `top`, `info`, `version`, `events`, `stats`.

use crate::pair::Pair;
use integration_tests::Kind;

#[test]
fn inspections_on_dockerd_are_docker_s() {
    compare(Kind::Original);
}

#[test]
fn inspections_on_cortend_are_docker_s() {
    compare(Kind::Ours);
}

fn compare(kind: Kind) {
    let mut pair = Pair::start(kind);
    pair.prepare(&["run", "-d", "--name", "a1", "-l", "x=<y>", "-e", "A=b c", "busybox", "sleep", "1000"]);
    let _ = pair.docker.run(&["run", "--name", "a2", "busybox", "sh", "-c", "echo out; echo err >&2; exit 3"]).code(3);
    for arguments in [
        &["inspect", "a1"][..],
        &["inspect", "a1", "a2"],
        &["inspect", "busybox"],
        &["inspect", "nope"],
        &["inspect", "a1", "nope"],
        &["inspect", "bridge"],
        &["inspect", "--type", "image", "nope"],
        &["inspect", "--type", "container", "nope"],
        &["inspect", "--type", "bogus", "nope"],
        &["inspect", "--type", "", "nope"],
        &["inspect", "-f", "json", "a1"],
        &["inspect", "-f", "{{json .State}}", "a1"],
        &["inspect", "-f", "{{.State}} {{.Config.Labels}} {{.Config.Env}} {{.HostConfig.RestartPolicy}}", "a1"],
        &["inspect", "-f", "{{.Id}} {{.ID}} {{.Name}} {{.State.Health}} {{.Config.Entrypoint}}", "a1", "a2"],
        &["inspect", "-f", "{{range $k, $v := .Config.Labels}}{{$k}}={{html $v}}{{end}}", "a1"],
        &["inspect", "-f", "{{.Nope}}", "a1"],
        &["inspect", "-f", "{{.State.Nope}}", "a1"],
        &["inspect", "-f", "{{foo}}", "a1"],
        &["inspect", "-f", "{{", "a1"],
        &["inspect", "-f", "{{.Architecture}} {{.Os}} {{.Config.Cmd}} {{len .RootFS.Layers}}", "busybox"],
        &["inspect", "-s", "-f", "{{.SizeRootFs}} {{.SizeRw}}", "a2"],
        &["inspect", "-s", "busybox"],
        &["container", "inspect", "a1"],
        &["image", "inspect", "busybox"],
        &["image", "inspect", "a1"],
        &["container", "inspect", "busybox"],
        &["logs", "a2"],
        &["logs", "-t", "a2"],
        &["logs", "--tail", "1", "a2"],
        &["logs", "-n", "0", "a2"],
        &["logs", "-f", "a2"],
        &["logs", "nope"],
        &["logs", "--since", "x", "a2"],
        &["logs", "--since", "1h", "a2"],
        &["logs", "--until", "2006-01-02T15:04:05", "a2"],
        &["logs", "--until", "2006-01-02", "a2"],
        // Without the column C, which is a share of the time so far.
        &["top", "a1", "-o", "uid,pid,ppid,stime,tty,cmd"],
        &["top", "a1", "-eo", "pid,comm"],
        &["top", "a2"],
        &["top", "nope"],
        &["stats", "--no-stream", "--format", "{{.Name}} {{.ID}} {{.PIDs}}"],
        &["stats", "--no-stream", "--format", "table {{.Name}}\t{{.Container}}\t{{.PIDs}}", "a1"],
        &["stats", "--no-stream", "--no-trunc", "--format", "{{.ID}}", "a1"],
        &["stats", "--no-stream", "nope"],
        &["stats", "--no-stream", "a2"],
        &["version", "--format", "{{.Server.Version}} {{.Server.Os}}"],
        &["version", "--format", "{{.Server.Foo}}"],
        &["version", "--format", "{{range .Server.Components}}{{.Name}} {{.Version}};{{end}}"],
        &["version", "-f", "{{"],
        &["info", "-f", "{{.ServerVersion}} {{.Driver}} {{.Swarm.LocalNodeState}} {{.SecurityOptions}}"],
        &["info", "-f", "{{.Foo}}"],
        &["events", "--since", "1h", "--until", "0s"],
        &["events", "--since", "1h", "--until", "0s", "--format", "json"],
        &[
            "events",
            "--since",
            "1h",
            "--until",
            "0s",
            "--format",
            "{{.Type}} {{.Action}} {{.Actor.Attributes.name}}",
            "-f",
            "container=a2",
        ],
        &["events", "--since", "1h", "--until", "0s", "--format", "{{.Foo}}"],
        &["events", "--since", "x"],
        &["events", "-f", "type=image", "--since", "1h", "--until", "0s"],
    ] {
        pair.same(arguments);
    }
    pair.finish();
}

#[test]
fn info_shows_the_server_as_docker_shows_it() {
    for kind in [Kind::Original, Kind::Ours] {
        let pair = Pair::start(kind);
        // docker lists runtimes in the random order of a Go map; the figures of a debugging daemon change; what comes
        // before the server is each program's own.
        let server = |text: &str| {
            let changing =
                [" Runtimes:", "  File Descriptors:", "  Goroutines:", "  System Time:", "  EventsListeners:"];
            let lines = text.lines().skip_while(|line| *line != "Server:");
            let lines = lines.filter(|line| !changing.iter().any(|start| line.starts_with(start)));
            lines.map(str::to_owned).collect::<Vec<_>>()
        };
        let (theirs, ours) = (pair.docker.run(&["info"]).ok(), pair.corten.run(&["info"]).ok());
        assert_eq!(server(&ours.stdout), server(&theirs.stdout), "{kind:?}");
        assert_eq!(ours.stderr, theirs.stderr, "{kind:?}");
        let (theirs, ours) = (pair.docker.run(&["version"]).ok(), pair.corten.run(&["version"]).ok());
        let server = |text: &str| text.split_once("\nServer:").map(|(_, server)| server.to_owned());
        assert_eq!(server(&ours.stdout), server(&theirs.stdout), "{kind:?}");
    }
}

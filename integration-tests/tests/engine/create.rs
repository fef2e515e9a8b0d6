//! Creating containers: what four clients send, what inspect shows, what is refused.

use serde_json::{Value, json};

use crate::{busybox, create, delete, engine, expect, get, post, refusal};

const BODIES: [(&str, &str); 4] = [
    (
        "docker-20.10",
        include_str!("../../../crates/corten-docker-api/src/containers/fixtures/create-docker-20.10.json"),
    ),
    (
        "docker-28.2.2",
        include_str!("../../../crates/corten-docker-api/src/containers/fixtures/create-docker-28.2.2.json"),
    ),
    (
        "compose",
        include_str!("../../../crates/corten-docker-api/src/containers/fixtures/create-docker-compose-1.29.json"),
    ),
    ("docker-py", include_str!("../../../crates/corten-docker-api/src/containers/fixtures/create-docker-py-5.0.json")),
];

#[test]
fn the_bodies_of_four_clients_are_taken_and_shown_as_docker_28_shows_them() {
    let stack = engine();
    for (client, body) in BODIES {
        let body: Value = serde_json::from_str(body).unwrap();
        let answer = expect(post(&stack, &format!("/containers/create?name={client}"), &body), 201);
        assert_eq!(answer.json()["Warnings"], json!([]), "{client}");
        let id = answer.json()["Id"].as_str().unwrap().to_owned();
        let shown = get(&stack, &format!("/containers/{id}/json")).json();
        assert_eq!(shown["Name"], format!("/{client}"));
        assert_eq!((&shown["Path"], &shown["Args"]), (&json!("true"), &json!([])));
        let state = &shown["State"];
        assert_eq!((&state["Status"], &state["StartedAt"]), (&json!("created"), &json!("0001-01-01T00:00:00Z")));
        let host = &shown["HostConfig"];
        assert_eq!(host["NetworkMode"], if client == "compose" { "none" } else { "bridge" });
        assert_eq!(host["RestartPolicy"], json!({ "Name": "no", "MaximumRetryCount": 0 }));
        assert_eq!(host["LogConfig"], json!({ "Type": "json-file", "Config": {} }));
        assert_eq!((&host["ShmSize"], &host["IpcMode"]), (&json!(67_108_864), &json!("private")));
        assert_eq!((&host["MemorySwappiness"], &host["PidsLimit"]), (&Value::Null, &Value::Null));
        assert_eq!(host["MaskedPaths"].as_array().unwrap().len(), 12);
        assert_eq!(shown["Config"]["Hostname"], id[..12]);
        assert_eq!(shown["LogPath"], "");
        expect(delete(&stack, &format!("/containers/{id}")), 204);
    }
    assert_eq!(get(&stack, "/containers/json?all=1").text(), "[]\n");
}

#[test]
fn what_cannot_be_is_refused_and_leaves_nothing() {
    let stack = engine();
    let with = |host: Value| {
        let mut body = busybox(&["true"]);
        for (key, value) in host.as_object().unwrap() {
            body["HostConfig"][key] = value.clone();
        }
        post(&stack, "/containers/create", &body)
    };
    for (host, status, message) in [
        (json!({ "Memory": 1 }), 400, "Minimum memory limit allowed is 6MB"),
        (
            json!({ "AutoRemove": true, "RestartPolicy": { "Name": "always" } }),
            400,
            "can't create 'AutoRemove' container with restart policy",
        ),
        (
            json!({ "LogConfig": { "Type": "json-file", "Config": { "foo": "1" } } }),
            400,
            "unknown log opt 'foo' for json-file log driver",
        ),
        (
            json!({ "Mounts": [{ "Type": "bind", "Source": "/nope", "Target": "/x" }] }),
            400,
            "invalid mount config for type \"bind\": bind source path does not exist: /nope",
        ),
        (json!({ "Binds": ["/tmp:/x", "/var:/x"] }), 400, "Duplicate mount point: /x"),
        (json!({ "Links": ["a:"] }), 400, "bad format for links: a:"),
        (
            json!({ "PortBindings": { "80/sctp": [{ "HostPort": "1" }] } }),
            501,
            "port 80/sctp: SCTP is not supported yet",
        ),
        (json!({ "Binds": ["name:/x"] }), 501, "named volume \"name\": volumes are not supported yet"),
    ] {
        assert_eq!(refusal(with(host.clone()), status), message, "{host}");
    }
    let missing = post(&stack, "/containers/create?name=taken", &json!({ "Image": "missing", "Cmd": ["x"] }));
    assert_eq!(refusal(missing, 404), "No such image: missing:latest");

    // The image is looked for before the name: the CLI pulls on 404 only.
    let id = create(&stack, "taken", &busybox(&["true"]));
    let missing = post(&stack, "/containers/create?name=taken", &json!({ "Image": "missing", "Cmd": ["x"] }));
    assert_eq!(refusal(missing, 404), "No such image: missing:latest");
    let taken = refusal(post(&stack, "/containers/create?name=taken", &busybox(&["true"])), 409);
    assert_eq!(
        taken,
        format!(
            "Conflict. The container name \"/taken\" is already in use by container \"{id}\". You have to remove (or rename) that container to be able to reuse that name."
        )
    );
    let snapshots = stack.ctr().run(&["snapshots", "ls"]).ok();
    assert_eq!(snapshots.out().matches("Active").count(), 1, "{}", snapshots.out());
    expect(delete(&stack, &format!("/containers/{id}")), 204);
}

#[test]
fn limits_mounts_and_rights_reach_the_process() {
    let stack = engine();
    let source = stack.root().make("source");
    std::fs::write(source.join("file"), "from the host").unwrap();
    let script = "cat /bound/file; echo; touch /bound/x 2>/dev/null || echo bound-read-only; \
                  touch /x 2>/dev/null || echo root-read-only; touch /scratch/x && echo scratch; \
                  id -u; id -g; hostname; grep CapEff /proc/self/status | tr -d '\\t'; ulimit -n; cat /proc/sys/kernel/msgmax; \
                  test -c /dev/fuse && echo fuse; echo $GREETING; pwd; wc -c < /etc/hosts > /dev/null && echo hosts";
    let mut body = busybox(&["sh", "-c", script]);
    body["Hostname"] = json!("inside");
    body["Env"] = json!(["GREETING=hello"]);
    // Neither is there: the user is a bare number, the directory is made.
    body["User"] = json!("1000:1000");
    body["WorkingDir"] = json!("/made/for/it");
    body["HostConfig"] = json!({
        "NetworkMode": "none", "ReadonlyRootfs": true, "Binds": [format!("{}:/bound:ro", source.display())],
        "Tmpfs": { "/scratch": "size=1m" }, "CapDrop": ["ALL"], "CapAdd": ["net_admin"],
        "Ulimits": [{ "Name": "nofile", "Soft": 100, "Hard": 200 }], "Sysctls": { "kernel.msgmax": "9000" },
        "Devices": [{ "PathOnHost": "/dev/fuse", "PathInContainer": "/dev/fuse", "CgroupPermissions": "rwm" }],
        "Memory": 64 << 20, "NanoCpus": 500_000_000, "PidsLimit": 50,
    });
    let id = create(&stack, "limited", &body);
    let ran = stack.docker().run(&["start", "--attach", "limited"]).ok();
    assert_eq!(
        ran.out().lines().collect::<Vec<_>>(),
        [
            "from the host",
            "bound-read-only",
            "root-read-only",
            "scratch",
            "1000",
            "1000",
            "inside",
            "CapEff:0000000000000000",
            "100",
            "9000",
            "fuse",
            "hello",
            "/made/for/it",
            "hosts"
        ]
    );
    let shown = get(&stack, &format!("/containers/{id}/json")).json();
    assert_eq!(shown["HostConfig"]["MemorySwap"], 128 << 20);
    assert_eq!(shown["HostConfig"]["CapAdd"], json!(["CAP_NET_ADMIN"]));
    assert_eq!(shown["Mounts"][0]["Destination"], "/bound");
    assert_eq!(shown["Mounts"][0]["RW"], false);
}

#[test]
fn a_container_has_dockers_mark_which_is_no_change_of_its() {
    let stack = engine();
    let script = "test -f /.dockerenv && ! test -s /.dockerenv && rm /.dockerenv && echo marked > /mark";
    let id = crate::start(&stack, "web", &busybox(&["sh", "-c", script]));
    let ended = expect(post(&stack, "/containers/web/wait", &Value::Null), 200).json();
    assert_eq!(ended["StatusCode"], json!(0));
    expect(get(&stack, &format!("/containers/{id}/archive?path=/mark")), 200);
    let fresh = create(&stack, "fresh", &busybox(&["true"]));
    assert_eq!(expect(get(&stack, &format!("/containers/{fresh}/changes")), 200).json(), Value::Null);
    // One image, which both have.
    assert_eq!(expect(get(&stack, "/info"), 200).json()["Images"], json!(1));
    for id in [id, fresh] {
        expect(delete(&stack, &format!("/containers/{id}")), 204);
    }
}

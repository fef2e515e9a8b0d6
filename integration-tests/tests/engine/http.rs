//! The frame around every call: versions, headers, bodies, unknown paths.

use integration_tests::{Kind, Stack};
use serde_json::{Value, json};

use crate::{expect, get, post, refusal};

#[test]
fn the_frame_is_docker_s() {
    let stack = Stack::start(Kind::Ours);

    let ping = expect(get(&stack, "/_ping"), 200);
    assert_eq!(ping.text(), "OK");
    for header in ["Api-Version: 1.51", "Ostype: linux", "Server: Docker/", "Builder-Version: 1", "Swarm: inactive"] {
        assert!(ping.headers.contains(header), "{header} is not in {}", ping.headers);
    }
    let head = stack.api().request("HEAD", "/_ping", &Value::Null).unwrap();
    assert_eq!((head.status, head.body.len()), (200, 0));

    for (path, status, message) in [
        ("/nope", 404, "page not found"),
        ("/v1.41/nope", 404, "page not found"),
        ("/containers/create", 404, "page not found"),
        ("/v1.99/info", 400, "client version 1.99 is too new. Maximum supported API version is 1.51"),
        (
            "/v1.12/info",
            400,
            "client version 1.12 is too old. Minimum supported API version is 1.24, please upgrade your client to a newer version",
        ),
        ("/networks/x", 404, "network x not found"),
        ("/volumes/x", 404, "get x: no such volume"),
        ("/plugins/x/json", 404, "plugin \"x\" not found"),
        (
            "/services",
            503,
            "This node is not a swarm manager. Use \"docker swarm init\" or \"docker swarm join\" to connect this node to swarm and try again.",
        ),
        ("/containers/x/json", 404, "No such container: x"),
        ("/events?filters=%7B%22x%22%3A%5B%22y%22%5D%7D", 400, "invalid filter 'x'"),
        ("/containers/json?filters=oops", 400, "invalid filter"),
        ("/containers/json?filters=%7B%22x%22%3A%5B%22y%22%5D%7D", 400, "invalid filter 'x'"),
    ] {
        assert_eq!(refusal(get(&stack, path), status), message, "{path}");
    }
    assert_eq!(get(&stack, "//info").status, 301);
    let firewall = |version: &str| get(&stack, &format!("/v{version}/info")).json().get("FirewallBackend").cloned();
    assert_eq!((firewall("1.48"), firewall("1.49")), (None, Some(json!({ "Driver": "nftables" }))));
    assert_eq!(get(&stack, "/plugins").text(), "[]\n");
    assert_eq!(get(&stack, "/volumes").text(), "{\"Volumes\":[],\"Warnings\":null}\n");
    let networks = get(&stack, "/networks").json();
    let names: Vec<_> = networks.as_array().unwrap().iter().map(|network| network["Name"].as_str().unwrap()).collect();
    assert_eq!(names, ["bridge", "host", "none"]);
}

#[test]
fn bad_bodies_are_refused_and_harm_nobody() {
    let stack = Stack::start(Kind::Ours);
    let api = stack.api();
    let send = |content_type: &str, body: &[u8]| api.send("POST", "/containers/create", content_type, body).unwrap();
    let json = "application/json";

    for (content_type, body, message) in [
        (json, &b""[..], "invalid JSON: got EOF while reading request body"),
        (json, b"{}", "config cannot be empty in order to create a container"),
        ("text/plain", b"{}", "unsupported Content-Type header (text/plain): must be 'application/json'"),
        (json, b"{} {}", "unexpected content after JSON"),
        (json, b"{\"HostConfig\":{\"Memory\":\"x\"}}", "invalid JSON: Memory: invalid type: string \"x\""),
        (json, b"{\"Cmd\":7}", "invalid JSON: Cmd: invalid type: integer"),
        (json, b"{\"Cmd\":", "invalid JSON: EOF while parsing"),
        (json, b"[]", "invalid JSON:"),
    ] {
        let refused = refusal(send(content_type, body), 400);
        assert!(refused.starts_with(message), "{refused}");
    }
    let deep = [b"{\"x\":".repeat(100_000), b"1".to_vec()].concat();
    assert_eq!(send(json, &deep).status, 400);
    // What the engine would have to hold is bounded, announced or not.
    let long = vec![b' '; 8 << 20];
    assert_eq!(refusal(send(json, &long), 413), "request body is longer than 1048576 bytes");
    for name in ["-bad", "a%20b", "a%2Fb", "x", "%00"] {
        let refused =
            refusal(post(&stack, &format!("/containers/create?name={name}"), &serde_json::json!({"Image": "a"})), 400);
        assert!(refused.starts_with("Invalid container name"), "{refused}");
    }
    assert_eq!(get(&stack, "/_ping").status, 200);
}

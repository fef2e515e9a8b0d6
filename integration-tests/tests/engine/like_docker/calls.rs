//! Every call about networks with every field, filter and mistake, in versions of the API between the first and the last:
//! status and text of each answer.

use serde_json::{Value, json};

use super::{Recorded, Subject, compare};

/// What is answered in another way: the call, our answer, and why.
const OURS: [(&str, &str, &str); 20] = [
    (
        r#"POST /v1.51/networks/create {"ConfigFrom":{"Network":"nobody"},"IPAM":{"Config":[{"Subnet":"10.83.0.0/24"}]},"Name":"n"} (1)"#,
        r#"501 ConfigFrom: not supported yet"#,
        r#"not built, refused by name"#,
    ),
    (
        r#"POST /v1.51/networks/create {"ConfigOnly":true,"IPAM":{"Config":[{"Subnet":"10.83.0.0/24"}]},"Name":"n"} (1)"#,
        r#"501 ConfigOnly: not supported yet"#,
        r#"not built, refused by name"#,
    ),
    (
        r#"POST /v1.51/networks/create {"IPAM":{"Config":[{"Subnet":"10.83.0.0/24"}]},"Name":"n","Scope":"global"} (1)"#,
        r#"501 Scope: not supported yet"#,
        r#"docker keeps a word that means nothing to one engine"#,
    ),
    (
        r#"POST /v1.51/networks/create {"IPAM":{"Config":[{"Subnet":"10.83.0.0/24"}]},"Name":"n","Scope":"nope"} (1)"#,
        r#"501 Scope: not supported yet"#,
        r#"docker keeps a word that means nothing to anybody"#,
    ),
    (
        r#"POST /v1.51/networks/create {"IPAM":{"Config":[{"Subnet":"10.80.0.0/25"}]},"Name":"n"} (1)"#,
        r#"403 invalid pool request: Pool overlaps with other one on this address space: network bridge has 10.80.0.0/24"#,
        r#"whose it is is said, too"#,
    ),
    (
        r#"POST /v1.51/networks/create {"IPAM":{"Config":[{"Subnet":"10.82.0.0/16"}]},"Name":"n"} (1)"#,
        r#"403 invalid pool request: Pool overlaps with other one on this address space: network taken has 10.82.0.0/24"#,
        r#"whose it is is said, too"#,
    ),
    (
        r#"POST /v1.51/networks/create {"IPAM":{"Config":[{"Subnet":"10.83.0.0/24"},{"Subnet":"10.83.0.0/24"}]},"Name":"n"} (1)"#,
        r#"403 invalid pool request: Pool overlaps with other one on this address space: network it itself has 10.83.0.0/24"#,
        r#"whose it is is said, too"#,
    ),
    (
        r#"POST /v1.51/networks/create {"IPAM":{"Config":[{"Subnet":"10.83.0.0/24"}]},"Name":"n","Options":{"com.docker.network.bridge.gateway_mode_ipv4":"isolated"}} (1)"#,
        r#"400 gateway mode 'isolated' can only be used for an internal network"#,
        r#"it is the caller's mistake"#,
    ),
    (
        r#"POST /v1.51/networks/create {"IPAM":{"Config":[{"Subnet":"10.83.0.0/31"}]},"Name":"n"} (1)"#,
        r#"201 {"Attachable":false,"ConfigFrom":{"Network":""},"ConfigOnly":false,"Containers":{},"Driver":"bridge","EnableIPv4":true,"EnableIPv6":false,"IPAM":{"Config":[{"Subnet":"10.83.0.0/31"}],"Driver":"default","Options":null},"Ingress":false,"Internal":false,"Labels":{},"Name":"n","Options":{},"Scope":"local"}"#,
        r#"docker names an overlap where there is none"#,
    ),
    (
        r#"POST /v1.51/networks/create {"IPAM":{"Config":[{"Subnet":"10.83.0.0/32"}]},"Name":"n"} (1)"#,
        r#"201 {"Attachable":false,"ConfigFrom":{"Network":""},"ConfigOnly":false,"Containers":{},"Driver":"bridge","EnableIPv4":true,"EnableIPv6":false,"IPAM":{"Config":[{"Subnet":"10.83.0.0/32"}],"Driver":"default","Options":null},"Ingress":false,"Internal":false,"Labels":{},"Name":"n","Options":{},"Scope":"local"}"#,
        r#"docker names an overlap where there is none"#,
    ),
    (
        r#"ls {"dangling":["0"],"type":["custom"]}"#,
        r#"200 taken"#,
        r#"docker does not look for containers in a list since 1.28, so that all are said to have none"#,
    ),
    (r#"ls {"dangling":["true"]}"#, r#"200 "#, r#"the same: a container runs in it"#),
    (r#"ls {"name":["^take.$"]}"#, r#"200 "#, r#"of regular expressions the ends alone are read"#),
    (r#"ls {"type":["nope"]}"#, r#"400 "invalid filter: 'type'='nope'""#, r#"it is the caller's mistake"#),
    (
        r#"place of off in 1.24"#,
        r#"{"Aliases":["one","two","<short>","me"],"DNSNames":null,"DriverOpts":{"com.docker.network.endpoint.sysctls":"net.ipv4.conf.IFNAME.log_martians=1"},"Gateway":"","GlobalIPv6Address":"","GlobalIPv6PrefixLen":0,"GwPriority":7,"IPAMConfig":{"IPv4Address":"10.82.0.77","LinkLocalIPs":["169.254.7.7"]},"IPAddress":"","IPPrefixLen":0,"IPv6Gateway":"","Links":["other:there"],"MacAddress":"02:00:00:00:00:07"}"#,
        r#"names are chosen when a container is started"#,
    ),
    (
        r#"place of off in 1.43"#,
        r#"{"Aliases":["one","two","<short>","me"],"DNSNames":null,"DriverOpts":{"com.docker.network.endpoint.sysctls":"net.ipv4.conf.IFNAME.log_martians=1"},"Gateway":"","GlobalIPv6Address":"","GlobalIPv6PrefixLen":0,"GwPriority":7,"IPAMConfig":{"IPv4Address":"10.82.0.77","LinkLocalIPs":["169.254.7.7"]},"IPAddress":"","IPPrefixLen":0,"IPv6Gateway":"","Links":["other:there"],"MacAddress":"02:00:00:00:00:07"}"#,
        r#"names are chosen when a container is started"#,
    ),
    (
        r#"place of off in 1.44"#,
        r#"{"Aliases":["one","two","<short>","me"],"DNSNames":null,"DriverOpts":{"com.docker.network.endpoint.sysctls":"net.ipv4.conf.IFNAME.log_martians=1"},"Gateway":"","GlobalIPv6Address":"","GlobalIPv6PrefixLen":0,"GwPriority":7,"IPAMConfig":{"IPv4Address":"10.82.0.77","LinkLocalIPs":["169.254.7.7"]},"IPAddress":"","IPPrefixLen":0,"IPv6Gateway":"","Links":["other:there"],"MacAddress":"02:00:00:00:00:07"}"#,
        r#"names are chosen when a container is started"#,
    ),
    (
        r#"place of off in 1.45"#,
        r#"{"Aliases":["one","two"],"DNSNames":null,"DriverOpts":{"com.docker.network.endpoint.sysctls":"net.ipv4.conf.IFNAME.log_martians=1"},"Gateway":"","GlobalIPv6Address":"","GlobalIPv6PrefixLen":0,"GwPriority":7,"IPAMConfig":{"IPv4Address":"10.82.0.77","LinkLocalIPs":["169.254.7.7"]},"IPAddress":"","IPPrefixLen":0,"IPv6Gateway":"","Links":["other:there"],"MacAddress":"02:00:00:00:00:07"}"#,
        r#"names are chosen when a container is started"#,
    ),
    (
        r#"place of off in 1.51"#,
        r#"{"Aliases":["one","two"],"DNSNames":null,"DriverOpts":{"com.docker.network.endpoint.sysctls":"net.ipv4.conf.IFNAME.log_martians=1"},"Gateway":"","GlobalIPv6Address":"","GlobalIPv6PrefixLen":0,"GwPriority":7,"IPAMConfig":{"IPv4Address":"10.82.0.77","LinkLocalIPs":["169.254.7.7"]},"IPAddress":"","IPPrefixLen":0,"IPv6Gateway":"","Links":["other:there"],"MacAddress":"02:00:00:00:00:07"}"#,
        r#"names are chosen when a container is started"#,
    ),
    (
        r#"prune {"until":["2006-01-02"]}"#,
        r#"400 "failed to parse value as time or duration: \"2006-01-02\"""#,
        r#"a day without a zone is nobody's in particular"#,
    ),
];

/// What is recorded so far.
struct Calls<'a> {
    subject: &'a Subject,
    found: Recorded,
}

impl Calls<'_> {
    /// Does a call, and keeps what came of it under its words.
    fn call(&mut self, method: &str, path: &str, body: &Value) -> (String, Value) {
        let api = self.subject.api();
        let answer = match method {
            "GET" => api.get(path),
            "DELETE" => api.delete(path),
            _ => api.post(path, body),
        };
        let answer = answer.unwrap_or_else(|error| panic!("{method} {path}: {error}"));
        let value = if answer.text().trim_start().starts_with(['{', '[']) { answer.json() } else { Value::Null };
        let shown = match value.get("message") {
            Some(message) if answer.status >= 400 => message.as_str().unwrap_or_default().to_owned(),
            _ if value.is_null() => answer.text().trim().to_owned(),
            _ => plain(&value).to_string(),
        };
        let body = if body.is_null() { String::new() } else { format!(" {body}") };
        let key = format!("{method} {path}{body}");
        let key = (1..).map(|time| format!("{key} ({time})")).find(|key| !self.found.contains_key(key)).unwrap();
        self.found.insert(key.clone(), format!("{} {}", answer.status, without_ids(&shown)));
        (key, value)
    }

    fn get(&mut self, path: &str) {
        let _ = self.call("GET", path, &Value::Null);
    }

    fn delete(&mut self, path: &str) {
        let _ = self.call("DELETE", path, &Value::Null);
    }

    /// Makes a network whose name is a letter and takes it away again; `more` is looked at in between.
    fn create(&mut self, version: &str, body: &Value) {
        let (key, made) = self.call("POST", &format!("/v{version}/networks/create"), body);
        if let Some(id) = made["Id"].as_str() {
            let shown = self.subject.api().get(&format!("/v{version}/networks/{id}")).unwrap().json();
            self.found.insert(key, format!("201 {}", plain(&shown)));
            let gone = self.subject.api().delete(&format!("/networks/{id}")).unwrap();
            assert_eq!(gone.status, 204, "{}", gone.text());
        }
    }
}

/// A value without what is another each time.
fn plain(value: &Value) -> Value {
    const RANDOM: [&str; 7] = ["Id", "Created", "NetworkID", "EndpointID", "SandboxID", "SandboxKey", "Warning"];
    match value {
        Value::Object(fields) => fields
            .iter()
            .filter(|(key, _)| !RANDOM.contains(&key.as_str()))
            .map(|(key, value)| match value {
                Value::String(text) if key == "MacAddress" && !text.starts_with("02:00") && !text.is_empty() => {
                    (key.clone(), json!("<some>"))
                }
                value => (without_ids(key), plain(value)),
            })
            .collect(),
        Value::Array(list) => list.iter().map(plain).collect(),
        Value::String(text) => json!(without_ids(text)),
        other => other.clone(),
    }
}

/// A text whose ids, long and short, are words for them.
fn without_ids(text: &str) -> String {
    let mut shown = String::new();
    let mut word = String::new();
    for letter in text.chars().chain(['\n']) {
        if letter.is_ascii_alphanumeric() {
            word.push(letter);
            continue;
        }
        let is_id = word.chars().all(|letter| letter.is_ascii_digit() || ('a'..='f').contains(&letter));
        shown.push_str(match word.len() {
            64 if is_id => "<id>",
            12 if is_id => "<short>",
            10 if is_id => "<stringid>",
            _ => &word,
        });
        word.clear();
        shown.push(letter);
    }
    let _ = shown.pop();
    in_order(&shown)
}

/// Who is in a network stands in the order of ids, which are others each time: here in that of names.
fn in_order(text: &str) -> String {
    const LIST: &str = "has active endpoints (";
    let Some((before, rest)) = text.split_once(LIST) else { return text.to_owned() };
    let Some((list, after)) = rest.split_once(')') else { return text.to_owned() };
    let mut list: Vec<_> = list.split(", ").collect();
    list.sort_unstable();
    format!("{before}{LIST}{}){after}", list.join(", "))
}

fn pool(config: Value) -> Value {
    json!({ "Name": "n", "IPAM": { "Config": config } })
}

fn creates(calls: &mut Calls<'_>) {
    for name in ["", " ", "bridge", "host", "none", "default", "a b", "a/b", ".", "-x", "taken"] {
        calls.create("1.51", &json!({ "Name": name }));
    }
    for version in ["1.24", "1.43", "1.44", "1.51"] {
        for check in [true, false] {
            calls.create(version, &json!({ "Name": "taken", "CheckDuplicate": check }));
        }
    }
    for (version, field, value) in [
        ("1.51", "Driver", json!("nope")),
        ("1.51", "Driver", json!("host")),
        ("1.51", "Driver", json!("null")),
        ("1.51", "Driver", json!("overlay")),
        ("1.51", "Driver", json!("")),
        ("1.47", "EnableIPv4", json!(false)),
        ("1.48", "EnableIPv4", json!(false)),
        ("1.48", "EnableIPv4", json!(true)),
        ("1.24", "EnableIPv6", json!(false)),
        ("1.51", "Internal", json!(true)),
        ("1.51", "Attachable", json!(true)),
        ("1.51", "Ingress", json!(true)),
        ("1.51", "Scope", json!("local")),
        ("1.51", "Scope", json!("swarm")),
        ("1.51", "Scope", json!("global")),
        ("1.51", "Scope", json!("nope")),
        ("1.51", "ConfigOnly", json!(true)),
        ("1.51", "ConfigFrom", json!({ "Network": "nobody" })),
        ("1.51", "ConfigFrom", json!({ "Network": "" })),
        ("1.51", "Labels", json!({ "a": "", "b": "c" })),
        ("1.51", "Labels", json!({})),
        ("1.51", "Labels", Value::Null),
        ("1.51", "Options", json!({})),
        ("1.51", "Options", Value::Null),
        ("1.51", "Options", json!({ "com.docker.network.enable_ipv4": "maybe" })),
        ("1.51", "Options", json!({ "com.docker.network.enable_ipv6": "maybe" })),
        ("1.51", "Options", json!({ "com.docker.network.driver.mtu": "-1" })),
        ("1.51", "Options", json!({ "com.docker.network.driver.mtu": "x" })),
        ("1.51", "Options", json!({ "com.docker.network.bridge.enable_icc": "maybe" })),
        ("1.51", "Options", json!({ "com.docker.network.bridge.gateway_mode_ipv4": "x" })),
        ("1.51", "Options", json!({ "com.docker.network.bridge.gateway_mode_ipv4": "isolated" })),
        ("1.51", "Options", json!({ "com.docker.network.bridge.host_binding_ipv4": "x" })),
        ("1.51", "Options", json!({ "nobody.knows": "it" })),
        ("1.51", "IPAM", Value::Null),
        ("1.51", "IPAM", json!({ "Driver": "nope" })),
        ("1.51", "IPAM", json!({ "Driver": "default", "Options": {} })),
        ("1.51", "IPAM", json!({ "Driver": "default", "Config": [] })),
        ("1.51", "Nobody", json!("knows")),
    ] {
        let mut body = json!({ "Name": "n" });
        // Its subnet is not chosen, which would be another one next time.
        if !matches!(field, "IPAM") {
            body["IPAM"] = json!({ "Config": [{ "Subnet": "10.83.0.0/24" }] });
        }
        body[field] = value;
        calls.create(version, &body);
    }
    pools(calls);
}

fn pools(calls: &mut Calls<'_>) {
    for config in [
        json!([{ "Subnet": "x" }]),
        json!([{ "Subnet": "10.83.0.1/24" }]),
        json!([{ "Subnet": "10.83.0.0/33" }]),
        json!([{ "Subnet": "10.83.0.0/24", "Gateway": "x" }]),
        json!([{ "Subnet": "10.83.0.0/24", "Gateway": "10.84.0.1" }]),
        json!([{ "Subnet": "10.83.0.0/24", "Gateway": "10.83.0.0" }]),
        json!([{ "Subnet": "10.83.0.0/24", "Gateway": "10.83.0.9", "AuxiliaryAddresses": { "a": "10.83.0.9" } }]),
        json!([{ "Subnet": "10.83.0.0/24", "IPRange": "x" }]),
        json!([{ "Subnet": "10.83.0.0/24", "IPRange": "10.84.0.0/25" }]),
        json!([{ "Subnet": "10.83.0.0/24", "IPRange": "10.83.0.0/16" }]),
        json!([{ "Subnet": "10.83.0.0/24", "IPRange": "10.83.0.9/25" }]),
        json!([{ "Subnet": "10.83.0.0/24", "AuxiliaryAddresses": { "a": "x" } }]),
        json!([{ "Subnet": "10.83.0.0/24", "AuxiliaryAddresses": { "a": "10.84.0.9" } }]),
        json!([{ "Subnet": "10.83.0.0/24", "AuxiliaryAddresses": { "a": "10.83.0.9" } }]),
        json!([{ "Subnet": "10.83.0.0/24" }, { "Subnet": "10.84.0.0/24" }]),
        json!([{ "Subnet": "10.83.0.0/24" }, { "Subnet": "10.83.0.0/24" }]),
        json!([{ "Subnet": "10.80.0.0/25" }]),
        json!([{ "Subnet": "10.82.0.0/16" }]),
        json!([{ "Subnet": "fd83::/64" }]),
        json!([{ "Gateway": "10.83.0.9" }]),
        json!([{ "IPRange": "10.83.0.0/24" }]),
        json!([{ "Subnet": "x", "Gateway": "y", "IPRange": "z", "AuxiliaryAddresses": { "a": "b" } }]),
        json!([{ "Subnet": "10.83.0.0/31" }]),
        json!([{ "Subnet": "10.83.0.0/32" }]),
        json!([{ "Subnet": "127.0.0.0/24" }]),
    ] {
        calls.create("1.51", &pool(config));
    }
}

fn looks(calls: &mut Calls<'_>) {
    for filters in [
        r#"{"driver":["bridge"]}"#,
        r#"{"driver":["brid"]}"#,
        r#"{"driver":{"host":true,"null":true}}"#,
        r#"{"name":["taken"]}"#,
        r#"{"name":["ake"]}"#,
        r#"{"name":["^ake"]}"#,
        r#"{"name":["^take.$"]}"#,
        r#"{"name":["taken","host"]}"#,
        r#"{"id":["nobody"]}"#,
        r#"{"scope":["local"],"name":["taken"]}"#,
        r#"{"scope":["swarm"]}"#,
        r#"{"type":["builtin"]}"#,
        r#"{"type":["custom"]}"#,
        r#"{"type":["nope"]}"#,
        r#"{"dangling":["true"]}"#,
        r#"{"dangling":["0"],"type":["custom"]}"#,
        r#"{"dangling":["maybe"]}"#,
        r#"{"dangling":["true","false"]}"#,
        r#"{"label":["a"]}"#,
        r#"{"label":["a=b"]}"#,
        r#"{"label":["a=c"]}"#,
        r#"{"label":["a=b","c"]}"#,
        r#"{"nope":["x"]}"#,
        "oops",
    ] {
        let encoded: String = filters.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let answer = calls.subject.api().get(&format!("/networks?filters={encoded}")).unwrap();
        let value = answer.json();
        let names = |list: &Vec<Value>| {
            let mut names: Vec<&str> = list.iter().map(|one| one["Name"].as_str().unwrap_or_default()).collect();
            names.sort_unstable();
            names.join(" ")
        };
        let shown = value.as_array().map_or_else(|| value["message"].to_string(), names);
        calls.found.insert(format!("ls {filters}"), format!("{} {shown}", answer.status));
    }
    for query in ["?verbose=1", "?verbose=x", "?scope=local", "?scope=swarm", "?scope=nope"] {
        calls.get(&format!("/networks/taken{query}"));
    }
    for version in ["1.24", "1.27", "1.28", "1.47", "1.48"] {
        calls.get(&format!("/v{version}/networks/taken"));
        calls.get(&format!("/v{version}/networks?filters=%7B%22name%22%3A%5B%22taken%22%5D%7D"));
    }
    for name in ["nobody", "tak"] {
        calls.get(&format!("/networks/{name}"));
    }
}

fn places(calls: &mut Calls<'_>) {
    let connect = |calls: &mut Calls<'_>, to: &str, who: &str, config: Value| {
        let body = json!({ "Container": who, "EndpointConfig": config });
        let _ = calls.call("POST", &format!("/networks/{to}/connect"), &body);
    };
    let disconnect = |calls: &mut Calls<'_>, from: &str, who: &str, force: bool| {
        let body = json!({ "Container": who, "Force": force });
        let _ = calls.call("POST", &format!("/networks/{from}/disconnect"), &body);
    };
    for (to, who) in [("nobody", "runs"), ("taken", "nobody"), ("host", "runs"), ("none", "runs"), ("taken", "alone")] {
        connect(calls, to, who, Value::Null);
    }
    connect(calls, "taken", "hosted", Value::Null);
    connect(calls, "bridge", "runs", Value::Null);
    for config in [
        json!({ "IPAMConfig": { "IPv4Address": "10.84.0.9" } }),
        json!({ "IPAMConfig": { "IPv4Address": "x" } }),
        json!({ "IPAMConfig": { "IPv4Address": "10.82.0.1" } }),
        json!({ "IPAMConfig": { "IPv6Address": "x" } }),
        json!({ "IPAMConfig": { "IPv6Address": "fd99::1" } }),
        json!({ "IPAMConfig": { "LinkLocalIPs": ["x"] } }),
        json!({ "MacAddress": "x" }),
        json!({ "DriverOpts": { "com.docker.network.endpoint.sysctls": "kernel.x=1" } }),
        json!({ "Links": ["nobody:there"] }),
    ] {
        connect(calls, "taken", "runs", config);
    }
    for config in [
        json!({ "Aliases": ["x"] }),
        json!({ "IPAMConfig": { "IPv4Address": "10.80.0.77" } }),
        json!({ "MacAddress": "02:00:00:00:00:77" }),
    ] {
        connect(calls, "bridge", "off", config);
    }
    let whole = json!({
        "IPAMConfig": { "IPv4Address": "10.82.0.77", "LinkLocalIPs": ["169.254.7.7"] }, "Links": ["other:there"],
        "Aliases": ["one", "two"], "MacAddress": "02:00:00:00:00:07", "GwPriority": 7,
        "DriverOpts": { "com.docker.network.endpoint.sysctls": "net.ipv4.conf.IFNAME.log_martians=1" },
    });
    for who in ["runs", "off"] {
        connect(calls, "taken", who, whole.clone());
        connect(calls, "taken", who, whole.clone());
    }
    for version in ["1.24", "1.43", "1.44", "1.45", "1.51"] {
        for who in ["runs", "off"] {
            let shown = calls.subject.api().get(&format!("/v{version}/containers/{who}/json")).unwrap().json();
            let place = plain(&shown["NetworkSettings"]["Networks"]["taken"]).to_string();
            calls.found.insert(format!("place of {who} in {version}"), place);
        }
    }
    calls.delete("/networks/taken");
    for (from, who, force) in [
        ("nobody", "runs", false),
        ("nobody", "runs", true),
        ("taken", "nobody", false),
        ("taken", "nobody", true),
        ("host", "hosted", false),
        ("taken", "runs", false),
        ("taken", "runs", false),
        ("taken", "off", true),
        ("taken", "off", false),
        ("taken", "other", true),
    ] {
        disconnect(calls, from, who, force);
    }
}

fn ends(calls: &mut Calls<'_>) {
    for name in ["bridge", "host", "none", "nobody"] {
        calls.delete(&format!("/networks/{name}"));
    }
    for filters in [
        r#"{"until":["24h"]}"#,
        r#"{"until":["2006-01-02"]}"#,
        r#"{"until":["1"]}"#,
        r#"{"until":["oops"]}"#,
        r#"{"until":["1h","2h"]}"#,
        r#"{"label":["nobody"]}"#,
        r#"{"label!":["a"]}"#,
        r#"{"dangling":["true"]}"#,
        r#"{"label":["a=b"]}"#,
        "{}",
    ] {
        let encoded: String = filters.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let answer = calls.subject.api().post(&format!("/networks/prune?filters={encoded}"), &Value::Null).unwrap();
        let value = answer.json();
        let shown = if answer.status < 400 { value.to_string() } else { value["message"].to_string() };
        calls.found.insert(format!("prune {filters}"), format!("{} {shown}", answer.status));
    }
}

#[test]
fn every_call_about_networks_is_answered_as_docker_answers_it() {
    let subject = Subject::start("true", &["--bip=10.80.0.1/24"]);
    let mut calls = Calls { subject: &subject, found: Recorded::new() };
    let api = subject.api();
    let taken = json!({
        "Name": "taken", "Labels": { "a": "b" },
        "IPAM": { "Config": [{ "Subnet": "10.82.0.0/24", "IPRange": "10.82.0.128/25" }] },
    });
    assert_eq!(api.post("/networks/create", &taken).unwrap().status, 201);
    creates(&mut calls);
    for (name, mode, starts) in [
        ("runs", "bridge", true),
        ("other", "taken", true),
        ("off", "bridge", false),
        ("alone", "none", false),
        ("hosted", "host", true),
    ] {
        let body = json!({
            "Image": "busybox", "Cmd": ["sleep", "1000"], "Hostname": if mode == "host" { "" } else { "me" },
            "HostConfig": { "NetworkMode": mode },
        });
        assert_eq!(api.post(&format!("/containers/create?name={name}"), &body).unwrap().status, 201);
        if starts {
            assert_eq!(api.post(&format!("/containers/{name}/start"), &Value::Null).unwrap().status, 204);
        }
    }
    looks(&mut calls);
    places(&mut calls);
    ends(&mut calls);
    let found = calls.found;
    let ours: Vec<(&str, &str)> = OURS.iter().map(|(call, answer, _)| (*call, *answer)).collect();
    compare(&subject, "calls", &found, &ours);
}

//! Every flag about networks, and every mistake with one: what docker's command line asks of the daemon, and prints.

use serde_json::Value;

use crate::fake::Fake;

/// A body without what says nothing: Go leaves other empty fields out than we do.
fn plain(body: &str) -> String {
    fn whole(value: &Value) -> Option<Value> {
        match value {
            Value::Null | Value::Bool(false) => None,
            Value::String(text) if text.is_empty() => None,
            Value::Number(number) if number.as_i64() == Some(0) => None,
            // What is exposed or bound to nothing in particular is said all the same.
            Value::Object(fields) => {
                let some = |(key, value): (&String, &Value)| {
                    let keeps = key.contains('/') || ["web", "other"].contains(&key.as_str());
                    whole(value).or_else(|| keeps.then_some(Value::Null)).map(|value| (key.clone(), value))
                };
                let fields: serde_json::Map<_, _> = fields.iter().filter_map(some).collect();
                (!fields.is_empty()).then_some(Value::Object(fields))
            }
            Value::Array(list) => {
                let list: Vec<Value> = list.iter().filter_map(whole).collect();
                (!list.is_empty()).then_some(Value::Array(list))
            }
            other => Some(other.clone()),
        }
    }
    let mut value: Value = serde_json::from_str(body).unwrap_or_default();
    // Daemons before 1.44 look for it; docker's asks for the version first and leaves it out.
    let _ = value.as_object_mut().and_then(|fields| fields.remove("CheckDuplicate"));
    whole(&value).unwrap_or_default().to_string()
}

/// Runs each line, which begins with `command`, through both.
fn compare(fake: &Fake, command: &str, lines: &[&str], end: &str) {
    for line in lines {
        let text = format!("{command} {line} {end}");
        let arguments: Vec<&str> = text.split_ascii_whitespace().collect();
        fake.same(&format!("networks: {}", arguments.join(" ")), |cli| {
            let (ran, asked) = fake.run(cli, &arguments, &[]);
            let asked: Vec<_> = asked.into_iter().map(|asked| (asked.line, plain(&asked.body))).collect();
            (ran.code, ran.stdout, ran.stderr, asked)
        });
    }
}

#[test]
fn a_container_s_networks_are_asked_for_as_docker_asks() {
    let fake = Fake::start();
    fake.answer("POST /containers/create", 201, r#"{"Id":"0123456789ab","Warnings":[]}"#);
    let lines = [
        "--network web",
        "--net web --net-alias a",
        "--network name=web,alias=a,alias=b,ip=10.1.2.3,ip6=fd00::3,mac-address=02:00:00:00:00:01",
        "--network name=web,link-local-ip=169.254.1.1,driver-opt=a=b,driver-opt=c=d,gw-priority=5",
        "--network web --network name=other,alias=x",
        "--network host",
        "--network none",
        "--network container:db",
        "--network bridge",
        "--network default",
        "--network web --ip 10.1.2.3 --ip6 fd00::3 --link-local-ip 169.254.9.9 --link-local-ip fe80::9",
        "--network web --network-alias a --network-alias b",
        "--network web --mac-address 02:00:00:00:00:02",
        "--mac-address 02:00:00:00:00:02",
        "--ip 10.1.2.3",
        "--link db --link other:alias",
        "--network web --link db:x",
        "--dns 1.1.1.1 --dns 2001:db8::1 --dns-option ndots:2 --dns-opt timeout:1 --dns-search a.example --dns-search .",
        "--add-host a:1.2.3.4 --add-host b=::1 --add-host c:[::1] --add-host d=host-gateway --add-host e:::1",
        "--hostname h --domainname d.example",
        "-h h.example.org",
        "-p 80",
        "-p 8080:80",
        "-p 127.0.0.1::80",
        "-p 127.0.0.1:8080:80/udp",
        "-p [::1]:8080:80",
        "-p 8000-8002:80-82",
        "-p 8000-8010:80",
        "-p 80-82/udp",
        "-p 80 -p 81/udp -P --expose 82 --expose 90-92/udp",
        "--publish published=8080,target=80,protocol=udp",
        "--publish target=80",
        "-P",
        "--expose 80/tcp --expose 80/udp",
        // Mistakes.
        "--network name=web,bogus=1",
        "--network name=",
        "--network alias=x",
        "--network name=web,alias",
        "--network name=web,ip=nonsense",
        "--network name=web,gw-priority=x",
        "--network name=web,driver-opt=x",
        "--network host --network web",
        "--network web --network web",
        "--network name=web,ip=10.1.2.3 --ip 10.1.2.4",
        "--network name=web,alias=a --network-alias b",
        "--network name=web,mac-address=02:00:00:00:00:01 --mac-address 02:00:00:00:00:02",
        "--network name=web,link-local-ip=169.254.1.1 --link-local-ip 169.254.1.2",
        "--network host --ip 10.1.2.3",
        "--network container:db --network-alias a",
        "--ip nonsense",
        "--ip6 10.1.2.3",
        "--link-local-ip nonsense",
        "--dns nonsense",
        "--dns-search -x",
        "--add-host a",
        "--add-host a:nonsense",
        "--mac-address nonsense",
        "-p 80:80:80:80",
        "-p nonsense",
        "-p 70000",
        "-p 1.2.3.4.5:80:80",
        "-p 80-79",
        "-p 80/bogus",
        "-p 8000-8001:80-82",
        "--publish published=8080",
        "--publish target=80,mode=host",
        "--expose nonsense",
        "--expose 80-79",
    ];
    compare(&fake, "create", &lines, "busybox");
}

#[test]
fn networks_are_asked_for_as_docker_asks() {
    let fake = Fake::start();
    fake.answer("POST /networks/create", 201, r#"{"Id":"0123456789ab","Warning":""}"#);
    let creates = [
        "",
        "-d macvlan -o parent=eth0.7 --opt macvlan_mode=bridge --driver macvlan",
        "--subnet 10.1.0.0/16 --gateway 10.1.0.9 --ip-range 10.1.5.0/24 --aux-address a=10.1.0.2 --aux-address b=10.1.0.3",
        "--subnet 10.1.0.0/16 --subnet fd01::/64 --gateway fd01::9 --gateway 10.1.0.9 --ipv6",
        "--subnet 10.1.0.0/16,10.2.0.0/16 --gateway 10.2.0.1",
        "--ipv4=false --ipv6",
        "--ipv6=false",
        "--internal --attachable --label a=b --label c",
        "--scope local",
        "--ingress --scope swarm -d overlay",
        "--config-only --label x",
        "--config-from web",
        "--ipam-driver default --ipam-opt a=b --ipam-opt c",
        // Mistakes.
        "--subnet nonsense",
        "--subnet 10.1.0.0/16 --subnet 10.1.5.0/24",
        "--gateway 10.1.0.1",
        "--subnet 10.1.0.0/16 --gateway 10.2.0.1",
        "--subnet 10.1.0.0/16 --gateway 10.1.0.1 --gateway 10.1.0.2",
        "--subnet 10.1.0.0/16 --ip-range 10.2.0.0/24",
        "--subnet 10.1.0.0/16 --ip-range nonsense",
        "--subnet 10.1.0.0/16 --aux-address a=10.2.0.1",
        "--subnet 10.1.0.0/16 --aux-address a",
        "--subnet 10.1.0.0/16 --aux-address a=nonsense",
        "--ip-range 10.1.0.0/24",
    ];
    compare(&fake, "network create", &creates, "web");
}

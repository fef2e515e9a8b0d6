use super::flags::{CREATE_FLAGS, RUN_FLAGS};
use super::{Outside, from_args};
use crate::arguments::{Order, parse};
use corten_docker_api::containers::ContainerCreate;
use std::io;

/// A world with one variable and a few files.
struct World;

impl Outside for World {
    fn read(&self, path: &str) -> io::Result<Vec<u8>> {
        match path {
            "/env" => Ok(b"\xef\xbb\xbf# comment\n\n  A=1 \nHOME\nNOPE\n".to_vec()),
            "/bad" => Ok(b"A B=1\n".to_vec()),
            "/labels" => Ok(b"a=b\nc\n".to_vec()),
            "/seccomp" => Ok(b"{ \"defaultAction\" : \"SCMP_ACT_ALLOW\" }".to_vec()),
            _ => Err(io::Error::from_raw_os_error(2)),
        }
    }

    fn variable(&self, name: &str) -> Option<String> {
        (name == "HOME").then(|| "/home/me".to_owned())
    }
}

fn read(line: &str) -> Result<ContainerCreate, String> {
    let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
    from_args(&parse(RUN_FLAGS, Order::FlagsFirst, &words)?, &World)
}

fn accept(line: &str) -> ContainerCreate {
    read(line).unwrap_or_else(|error| panic!("{line}: {error}"))
}

fn refuse(line: &str, expected: &str) {
    assert_eq!(read(line).err().as_deref(), Some(expected), "{line}");
}

#[test]
fn create_has_run_s_flags_but_three() {
    assert_eq!(CREATE_FLAGS.len() + 3, RUN_FLAGS.len());
    assert!(CREATE_FLAGS.iter().all(|flag| flag.name != "detach"));
    assert!(RUN_FLAGS.is_sorted_by_key(|flag| flag.name));
}

#[test]
fn what_to_run() {
    let body = accept("-it --entrypoint sh -w /tmp -u 1:2 -h box img -c x");
    let config = body.config;
    assert_eq!(config.image, "img");
    assert_eq!(config.cmd.unwrap().0, ["-c", "x"]);
    assert_eq!(config.entrypoint.unwrap().0, ["sh"]);
    assert!(config.tty && config.open_stdin && config.stdin_once && config.attach_stdin && config.attach_stdout);
    assert_eq!((config.user.as_str(), config.hostname.as_str(), config.working_dir.as_str()), ("1:2", "box", "/tmp"));
    assert_eq!(accept("--entrypoint= img").config.entrypoint.unwrap().0, [""]);
    let only_output = accept("-a stdout img").config;
    assert!(only_output.attach_stdout && !only_output.attach_stderr && !only_output.attach_stdin);
}

#[test]
fn variables_and_labels() {
    let config = accept("--env-file /env -e HOME -e B=2 -e UNSET -l x=y --label-file /labels img").config;
    assert_eq!(config.env.unwrap(), ["A=1 ", "HOME=/home/me", "HOME=/home/me", "B=2", "UNSET"]);
    let labels = config.labels.unwrap();
    assert_eq!(labels.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>(), ["a=b", "x=y"]);
    refuse("--env-file /nope img", "open /nope: no such file or directory");
    refuse("--env-file /bad img", "invalid env file (/bad): variable 'A B' contains whitespaces");
    refuse("-e =1 img", "invalid argument \"=1\" for \"-e, --env\" flag: invalid environment variable: =1");
}

#[test]
fn mounts_of_every_kind() {
    let body =
        accept("-v /a:/b:ro -v vol:/c -v /anonymous --tmpfs /t:size=1m --mount type=bind,src=/x,dst=/y,readonly img");
    let host = body.host_config.unwrap();
    assert_eq!(host.binds.unwrap(), ["/a:/b:ro", "vol:/c"]);
    assert!(body.config.volumes.unwrap().contains_key("/anonymous"));
    assert_eq!(host.tmpfs.unwrap()["/t"], "size=1m");
    let mount = &host.mounts.unwrap()[0];
    assert_eq!(
        (mount.kind.as_str(), mount.source.as_str(), mount.target.as_str(), mount.read_only),
        ("bind", "/x", "/y", true)
    );
    refuse(
        "--mount bogus img",
        "invalid argument \"bogus\" for \"--mount\" flag: invalid field 'bogus' must be a key=value pair",
    );
    refuse(
        "--mount type=bind,src=/x img",
        "invalid argument \"type=bind,src=/x\" for \"--mount\" flag: target is required",
    );
    refuse("-v ab::c img", "invalid spec: ab::c: empty section between colons");
    refuse("-v ab:cd:ef:gh img", "invalid spec: ab:cd:ef:gh: too many colons");
}

#[test]
fn ports_are_bound_and_exposed() {
    let body = accept("-p 127.0.0.1:80:8080 -p 9000-9001:9000-9001/udp -p 7 --expose 5-6/tcp img");
    let bindings = body.host_config.unwrap().port_bindings.unwrap();
    assert_eq!(bindings["8080/tcp"].as_ref().unwrap()[0].host_port, "80");
    assert_eq!(bindings["9001/udp"].as_ref().unwrap()[0].host_port, "9001");
    assert_eq!(bindings["7/tcp"].as_ref().unwrap()[0].host_port, "");
    let exposed: Vec<String> = body.config.exposed_ports.unwrap().into_keys().collect();
    assert_eq!(exposed, ["5/tcp", "6/tcp", "7/tcp", "8080/tcp", "9000/udp", "9001/udp"]);
    refuse("-p abc img", "invalid containerPort: abc");
    refuse("-p 99999:80 img", "invalid hostPort: 99999");
    refuse("-p 1.2.3:1:2 img", "invalid IP address: 1.2.3");
    refuse("-p 80/foo img", "invalid proto: foo");
}

#[test]
fn limits_of_every_kind() {
    let host = accept(
        "-m 64m --memory-swap -1 --cpus 1.5 --ulimit nofile=10:20 --pids-limit 5 --device-read-bps /dev/sda:1mb img",
    )
    .host_config
    .unwrap();
    assert_eq!(
        (host.memory, host.memory_swap, host.nano_cpus, host.pids_limit),
        (64 << 20, -1, 1_500_000_000, Some(5))
    );
    let limit = &host.ulimits.unwrap()[0];
    assert_eq!((limit.name.as_str(), limit.soft, limit.hard), ("nofile", 10, 20));
    assert_eq!(host.blkio_device_read_bps.unwrap()[0].rate, 1 << 20);
    refuse("--cpus abc img", "invalid argument \"abc\" for \"--cpus\" flag: failed to parse abc as a rational number");
    refuse("--ulimit x img", "invalid argument \"x\" for \"--ulimit\" flag: invalid ulimit argument: x");
    refuse("--memory-swappiness 101 img", "invalid value: 101. Valid memory swappiness range is 0-100");
}

#[test]
fn networks_and_modes() {
    let body = accept("img");
    assert_eq!(body.host_config.unwrap().network_mode, "default");
    assert!(body.networking_config.unwrap().endpoints_config.unwrap().contains_key("default"));
    let body = accept("--net none --pid container:x --uts host img");
    let host = body.host_config.unwrap();
    assert_eq!(
        (host.network_mode.as_str(), host.pid_mode.as_str(), host.uts_mode.as_str()),
        ("none", "container:x", "host")
    );
    assert!(body.networking_config.unwrap().endpoints_config.unwrap().is_empty());
    refuse("--pid nope img", "--pid: invalid PID mode");
    refuse(
        "--network a --network host img",
        "conflicting options: cannot attach both user-defined and non-user-defined network-modes",
    );
    refuse("--network-alias a img", "network-scoped aliases are only supported for user-defined networks");
}

#[test]
fn security_restart_and_health() {
    let host =
        accept("--security-opt seccomp=/seccomp --security-opt systempaths=unconfined --restart on-failure:3 img")
            .host_config
            .unwrap();
    assert_eq!(host.security_opt.unwrap(), ["seccomp={\"defaultAction\":\"SCMP_ACT_ALLOW\"}"]);
    assert_eq!(host.masked_paths.unwrap(), Vec::<String>::new());
    assert_eq!((host.restart_policy.name.as_str(), host.restart_policy.maximum_retry_count), ("on-failure", 3));
    let health = accept("--health-cmd true --health-interval 1s img").config.healthcheck.unwrap();
    assert_eq!(
        (health.test.unwrap(), health.interval),
        (vec!["CMD-SHELL".to_owned(), "true".to_owned()], 1_000_000_000)
    );
    refuse("--rm --restart always img", "conflicting options: cannot specify both --restart and --rm");
    refuse("--no-healthcheck --health-retries 1 img", "--no-healthcheck conflicts with --health-* options");
    refuse("--log-driver none --log-opt a=b img", "invalid logging opts for driver none");
}

#[test]
fn devices_are_mapped() {
    let device = |line: &str| accept(&format!("--device {line} img")).host_config.unwrap().devices.unwrap().remove(0);
    let fuse = device("/dev/fuse");
    assert_eq!(
        (fuse.path_on_host.as_str(), fuse.path_in_container.as_str(), fuse.cgroup_permissions.as_str()),
        ("/dev/fuse", "/dev/fuse", "rwm")
    );
    assert_eq!(device("/dev/fuse:r").cgroup_permissions, "r");
    assert_eq!(device("/dev/a:/dev/b:rw").path_in_container, "/dev/b");
    refuse("--device a img", "a is not an absolute path");
    refuse("--device /a:/b:x img", "bad mode specified: x");
}

//! Daemons that are not there, and who says which daemon is meant.

use integration_tests::{DockerCli, Kind, Stack};
use std::fs;

#[test]
fn a_daemon_that_is_not_there_is_told_as_docker_tells_it() {
    let stack = Stack::start(Kind::Original);
    let (docker, corten) = (stack.docker(), stack.corten());
    let here = "unix:///nonexist.sock";
    for command in [
        &["-H", here, "ps"][..],
        &["-H", "tcp://127.0.0.1:1", "ps"],
        &["-H", here, "run", "busybox"],
        &["-H", here, "create", "busybox"],
        &["-H", here, "rm", "a", "b"],
        &["-H", here, "inspect", "a"],
        &["-H", here, "exec", "a", "b"],
        &["-H", here, "start", "a", "b"],
        &["-H", here, "stop", "a", "b"],
        &["-H", here, "logs", "a"],
        &["-H", here, "info", "-f", "{{.ID}}"],
        &["-H", here, "version", "-f", "{{.Server}}"],
        &["-H", "foo://x", "ps"],
        &["-c", "nosuch", "ps"],
    ] {
        let (theirs, ours) = (docker.run(command), corten.run(command));
        assert_eq!(ours.code, theirs.code, "{command:?}");
        if docker.label.contains("newest") {
            let normal = |text: &str| text.replace("corten", "docker");
            assert_eq!(normal(&ours.stderr), normal(&theirs.stderr), "{command:?}");
            assert_eq!(ours.stdout, theirs.stdout, "{command:?}");
        }
    }
}

#[test]
fn the_configuration_names_the_daemon_and_the_formats() {
    let stack = Stack::start(Kind::Original);
    let corten = stack.corten();
    let host = format!("unix://{}", stack.socket().display());
    let directory = stack.root().path().join("configured");
    // sha256 of "3".
    let meta = directory.join("contexts/meta/4e07408562bedb8b60ce05c1decfe3ad16b72230967de01f640b7e4729b49fce");
    fs::create_dir_all(&meta).expect("the root is ours");
    fs::write(
        meta.join("meta.json"),
        format!("{{\"Name\":\"3\",\"Endpoints\":{{\"docker\":{{\"Host\":\"{host}\"}}}}}}"),
    )
    .expect("the root is ours");
    let config =
        r#"{"currentContext":"3","psFormat":"<{{.Names}}>","imagesFormat":"{{.Repository}}","auths":{"x":{}}}"#;
    fs::write(directory.join("config.json"), config).expect("the root is ours");
    stack.load_busybox();
    let _ = stack.docker().run(&["create", "--name", "a1", "busybox"]).ok();
    let with = |arguments: &[&str]| {
        let mut command = corten.command(arguments);
        command.env_remove("DOCKER_HOST").env("DOCKER_CONFIG", &directory);
        integration_tests::Ran::of(&mut command)
    };
    assert_eq!(with(&["ps", "-a"]).ok().stdout, "<a1>\n");
    assert_eq!(with(&["images"]).ok().stdout, "busybox\n");
    assert_eq!(with(&["version", "-f", "{{.Client.Context}}"]).ok().stdout, "3\n");
    let conflict = with(&["-c", "3", "-H", &host, "ps"]).code(1);
    assert!(conflict.stderr.contains("--host and --context"), "{}", conflict.stderr);
    let tls = with(&["--tls", "ps"]).code(1);
    assert_eq!(tls.stderr, "--tls: TLS is not supported yet\n");
}

#[test]
fn an_api_version_can_be_fixed() {
    let stack = Stack::start(Kind::Original);
    let mut command = stack.corten().command(&["version", "-f", "{{.Client.APIVersion}}"]);
    let ran = integration_tests::Ran::of(command.env("DOCKER_API_VERSION", "1.40")).ok();
    assert_eq!(ran.stdout, "1.40\n");
}

#[test]
fn every_command_has_help() {
    let nowhere = DockerCli::ours(std::path::Path::new("/nonexist/docker.sock"));
    let root = nowhere.run(&["--help"]).ok().stdout;
    let commands: Vec<String> = root
        .lines()
        .skip_while(|line| !line.ends_with("Commands:"))
        .take_while(|line| *line != "Global Options:")
        .filter(|line| line.starts_with("  "))
        .filter_map(|line| line.split_whitespace().next().map(str::to_owned))
        .collect();
    assert!(commands.len() >= 30, "{commands:?}");
    for command in &commands {
        let help = nowhere.run(&[command, "--help"]).ok().stdout;
        assert!(help.starts_with(&format!("Usage:  corten {command}")), "{help}");
        assert!(help.lines().all(|line| line.chars().count() < 80), "a line of {command} is too long:\n{help}");
    }
}

//! The command line: help, version, features, wrong use.

use crate::Host;

#[test]
fn wrong_use_prints_the_help_and_fails() {
    let host = Host::new();
    let ran = host.run(&["state"]);
    assert_eq!(ran.code, 1);
    assert!(ran.stdout.starts_with("Incorrect Usage.\n\nNAME:\n"), "{ran:?}");
    assert!(ran.stderr.contains("\\\"state\\\" requires exactly 1 argument(s)"), "{ran:?}");
    let ran = host.run(&["--systemd-cgroup", "list"]);
    assert!(ran.stderr.contains("--systemd-cgroup: not supported yet"), "{ran:?}");
    let ran = host.run(&["checkpoint", "web"]);
    assert!(ran.stderr.contains("checkpoint: not supported yet"), "{ran:?}");
    // What is refused has help all the same, which says so.
    for (command, flag) in [("checkpoint", "-h"), ("restore", "--help")] {
        let ran = host.run(&[command, flag]).ok();
        let beginning = format!("NAME:\n   corten-runtime {command} - ");
        assert!(ran.stdout.starts_with(&beginning) && ran.stdout.contains("not supported yet"), "{ran:?}");
    }
    let ran = host.run(&["--log-format", "xml", "list"]);
    assert!(ran.stderr.contains("invalid log-format: xml"), "{ran:?}");
}

#[test]
fn version_help_and_features_are_printed() {
    let host = Host::new();
    for flag in ["--version", "-v"] {
        assert!(host.run(&[flag]).ok().stdout.starts_with("corten-runtime version "));
    }
    assert!(host.run(&["--help"]).ok().stdout.contains("COMMANDS:\n"));
    assert!(host.run(&["exec", "--help"]).ok().stdout.contains("--ignore-paused"));
    let features: serde_json::Value = serde_json::from_str(&host.run(&["features"]).ok().stdout).expect("JSON");
    assert_eq!(features["linux"]["cgroup"]["v1"], true);
}

#[test]
fn installed_as_runc_it_says_runc() {
    let host = Host::new();
    let link = host.root.join("runc");
    std::os::unix::fs::symlink(integration_tests::programs::path("corten-runtime"), &link).expect("the root is ours");
    let said = |argument: &str| {
        let output = std::process::Command::new(&link).arg(argument).output().expect("it starts");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let version = said("--version");
    let begins: Vec<_> = version.lines().map(|line| line.split(' ').next().unwrap_or_default()).collect();
    assert!(version.starts_with("runc version ") && begins == ["runc", "commit:", "spec:"], "{version}");
    assert!(said("--help").starts_with("NAME:\n   runc - Open Container Initiative runtime\n"), "{}", said("--help"));
}

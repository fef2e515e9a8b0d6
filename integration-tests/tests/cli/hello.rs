//! `corten run hello`: an image made at its first use, without a registry.

use integration_tests::{Kind, Stack};

#[test]
fn hello_runs_on_dockerd() {
    prove(Kind::Original);
}

#[test]
fn hello_runs_on_cortend() {
    prove(Kind::Ours);
}

fn prove(kind: Kind) {
    let stack = Stack::start(kind);
    let corten = stack.corten();
    let first = corten.run(&["run", "--rm", "--network", "none", "hello"]).ok();
    assert!(first.stdout.starts_with("Hello from Corten"), "{}", first.stdout);
    assert!(
        first.stderr.starts_with("Unable to find image 'hello:latest' locally\nMade image 'hello:latest' from /"),
        "{}",
        first.stderr
    );
    let again = corten.run(&["run", "--rm", "--network", "none", "hello"]).ok();
    assert_eq!(again.stderr, "");
    let _ = corten.run(&["run", "--rm", "--pull", "never", "hello:2"]).code(125);
    let _ = corten.run(&["rmi", "hello"]).ok();
    let refused = corten.run(&["run", "--rm", "--pull", "never", "hello"]).code(125);
    assert!(refused.stderr.contains("No such image: hello:latest"), "{}", refused.stderr);
}

//! From login to logout: an image goes to a registry that lets nobody in unknown, comes back and runs.

use integration_tests::registry::{Access, Options, TestRegistry};
use integration_tests::{Kind, Ran, Stack, Terminal};

#[test]
fn an_image_goes_through_a_registry_on_dockerd() {
    journey(Kind::Original);
}

#[test]
fn an_image_goes_through_a_registry_on_cortend() {
    journey(Kind::Ours);
}

#[test]
fn an_image_goes_through_a_registry_on_cortend_over_debians_containerd() {
    journey(Kind::OursOnContainerd);
}

fn journey(kind: Kind) {
    let access = Access::Basic("me".to_owned(), "secret".to_owned());
    let registry = TestRegistry::start_with(Options { access, ..Options::default() });
    let stack = Stack::start(kind);
    stack.load_busybox();
    let corten = stack.corten();
    let (host, image) = (registry.host(), format!("{}/team/box:1", registry.host()));
    let login = |password: &[u8]| corten.run_with_input(&["login", "-u", "me", "--password-stdin", &host], password);
    push(&stack, &registry, &image, login);

    let forget = || drop(corten.run(&["rmi", "-f", &image]).ok());
    let _ = corten.run(&["rmi", "-f", "busybox"]).ok();
    let pulled = corten.run(&["pull", &image]).ok();
    assert!(pulled.stdout.starts_with("1: Pulling from team/box\n"), "{pulled:?}");
    let told = format!("Status: Downloaded newer image for {image}\n{image}\n");
    assert!(pulled.stdout.ends_with(&told), "{pulled:?}");

    forget();
    let mut terminal = Terminal::spawn(corten.command(&["pull", &image]));
    terminal.expect(&told.replace('\n', "\r\n"));
    assert_eq!(terminal.wait(), 0);
    assert!(terminal.output().contains("Pull complete \r\u{1b}[1B"), "{:?}", terminal.output());

    forget();
    let ran = corten.run(&["run", "--rm", "--network", "none", &image, "echo", "here"]).ok();
    assert_eq!(ran.stdout, "here\n");
    assert!(ran.stderr.starts_with(&format!("Unable to find image '{image}' locally\n")), "{ran:?}");

    assert_eq!(corten.run(&["logout", &host]).ok().stdout, format!("Removing login credentials for {host}\n"));
    forget();
    registry.clear_log();
    let refused = corten.run(&["pull", &image]).code(1);
    let words = ["no basic auth credentials", "authentication required", "pull access denied"];
    assert!(words.iter().any(|words| refused.stderr.contains(words)), "{refused:?}");
    assert!(registry.log().0.iter().all(|request| request.authorization.is_none()), "nothing is shown after a logout");
    assert_eq!(corten.run(&["run", "--pull", "never", &image]).code(125).stdout, "");
}

/// Refused with a wrong password, let in with the right one.
fn log_in(login: impl Fn(&[u8]) -> Ran) {
    let refused = login(b"wrong").code(1);
    assert!(refused.stderr.starts_with("Error response from daemon: "), "{refused:?}");
    assert_eq!(login(b"secret\n").ok().stdout, "Login Succeeded\n");
}

/// Sends busybox under the name `image`, in vain before the login.
fn push(stack: &Stack, registry: &TestRegistry, image: &str, login: impl Fn(&[u8]) -> Ran) {
    let corten = stack.corten();
    let _ = corten.run(&["tag", "busybox", image]).ok();
    let refused = corten.run(&["push", image]).code(1);
    let repository = format!("The push refers to repository [{}/team/box]\n", registry.host());
    assert!(refused.stdout.starts_with(&repository), "{refused:?}");
    assert!(refused.stderr.contains("no basic auth credentials"), "{refused:?}");
    log_in(login);

    let pushed = corten.run(&["push", image]).ok();
    let last = pushed.stdout.lines().last().unwrap_or_default();
    assert!(last.starts_with("1: digest: sha256:"), "{pushed:?}");
    assert!(!pushed.stdout.contains('\u{1b}'), "no cursor is moved on a pipe");
    assert_eq!(registry.tags("team/box"), ["1"]);
    let _ = corten.run(&["rmi", "-f", image]).ok();
}

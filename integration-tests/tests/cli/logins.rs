//! `login` and `logout`, and what is kept where: docker's texts, requests and `config.json`, byte for byte.

use crate::fake::Fake;
use crate::registries::same;

/// base64 of `me:secret`.
const PAIR: &str = "bWU6c2VjcmV0";

/// A helper that answers as a keychain would, and notes what it is asked.
const HELPER: &str = r#"#!/bin/sh
read -r key
echo "$(basename "$0") $1 $key" >> "$DOCKER_CONFIG/../helper.log"
case "$1 $key" in
"get token.example") echo '{"ServerURL":"token.example","Username":"<token>","Secret":"tok"}';;
"get known.example") echo '{"ServerURL":"known.example","Username":"me","Secret":"secret"}';;
"get https://index.docker.io/v1/refresh-token") test -e "$DOCKER_CONFIG/../browser" &&
    echo '{"Username":"me","Secret":"secret..client"}' || { echo 'credentials not found in native keychain'; exit 1; };;
"get broken.example") echo 'the keychain is locked'; exit 1;;
"get garbage.example") echo 'secret';;
get*) echo 'credentials not found in native keychain'; exit 1;;
"erase broken"*) echo 'the keychain is locked'; exit 2;;
"store "*stubborn*) echo 'no room'; exit 1;;
esac
"#;

fn ready() -> Fake {
    let fake = Fake::start();
    fake.answer("POST /auth", 200, "{\"Status\":\"Login Succeeded\",\"IdentityToken\":\"\"}");
    fake.program("docker-credential-all", HELPER);
    fake.program("docker-credential-one", HELPER);
    fake
}

#[test]
fn logins_without_a_terminal_are_docker_s() {
    let fake = ready();
    let commands: &[(&[&str], &[u8])] = &[
        (&["login", "-u", "me", "-p", "secret", "a.example"], b""),
        (&["login", "-u", "me", "--password-stdin", "https://a.example:5000/v2/"], b"sec ret\r\n"),
        (&["login", "-u", "me", "--password-stdin"], b"secret"),
        (&["login", "-u", "me", "-p", "secret", "docker.io"], b""),
        (&["login", "-u", "me", "a.example"], b""),
        (&["login", "a.example"], b""),
        (&["login", "--password-stdin", "a.example"], b"secret"),
        (&["login", "-u", "me", "-p", "x", "--password-stdin", "a.example"], b"secret"),
        (&["login", "-u", "", "a.example"], b""),
        (&["login", "-p", "", "a.example"], b""),
        (&["login", "a.example", "b.example"], b""),
        (&["logout", "a.example"], b""),
        (&["logout"], b""),
        (&["logout", "a", "b"], b""),
    ];
    same(&fake, "login", None, commands);
    let kept = format!("{{\"auths\":{{\"a.example\":{{\"auth\":\"{PAIR}\"}},\"b.example\":{{\"auth\":\"eDp5\"}}}}}}");
    same(&fake, "login again", Some(&kept), &commands[..2]);
    same(&fake, "login known", Some(&kept), &[commands[5], commands[11], (&["logout", "https://a.example/v2/"], b"")]);
    let old = format!("{{\"auths\":{{\"https://a.example\":{{\"auth\":\"{PAIR}\"}}}}}}");
    same(&fake, "login old", Some(&old), &[commands[5], commands[11]]);
}

#[test]
fn a_registry_s_token_takes_the_password_s_place() {
    let fake = ready();
    fake.answer("POST /auth", 200, "{\"Status\":\"Login Succeeded\",\"IdentityToken\":\"tok\"}");
    same(&fake, "login token", None, &[(&["login", "-u", "me", "--password-stdin", "a.example"], b"secret")]);
}

#[test]
fn a_refused_login_keeps_nothing() {
    let fake = ready();
    fake.answer("POST /auth", 401, "{\"message\":\"unauthorized: incorrect username or password\"}");
    let kept = format!("{{\"auths\":{{\"b.example\":{{\"auth\":\"{PAIR}\"}}}}}}");
    same(
        &fake,
        "login refused",
        Some(&kept),
        &[(&["login", "-u", "me", "--password-stdin", "a.example"], b"secret"), (&["login", "b.example"], b"")],
    );
    fake.answer("POST /auth", 500, "{\"message\":\"no route to host\"}");
    same(&fake, "login failed", Some(&kept), &[(&["login", "b.example"], b"")]);
}

#[test]
fn helpers_are_asked_as_docker_asks_them() {
    let fake = ready();
    fake.answer("POST /images/", 200, "{\"status\":\"Done\"}\r\n");
    let configuration = format!(
        "{{\"auths\":{{\"known.example\":{{\"auth\":\"eDp5\"}},\"file.example\":{{\"auth\":\"{PAIR}\"}}}},\
         \"credsStore\":\"all\",\
         \"credHelpers\":{{\"token.example\":\"one\",\"file.example\":\"\",\"absent.example\":\"absent\"}}}}"
    );
    let commands: &[(&[&str], &[u8])] = &[
        (&["pull", "known.example/a"], b""),
        (&["pull", "token.example/a"], b""),
        (&["pull", "file.example/a"], b""),
        (&["pull", "unknown.example/a"], b""),
        (&["pull", "broken.example/a"], b""),
        (&["pull", "absent.example/a"], b""),
        (&["push", "token.example/a"], b""),
        (&["pull", "busybox"], b""),
        (&["login", "known.example"], b""),
        (&["login", "broken.example"], b""),
        (&["login", "-u", "me", "--password-stdin", "new.example"], b"secret"),
        (&["login", "-u", "me", "--password-stdin", "stubborn.example"], b"secret"),
        (&["login", "-u", "me", "--password-stdin", "absent.example"], b"secret"),
        (&["logout", "known.example"], b""),
        (&["logout"], b""),
    ];
    let log = fake.path().join("helper.log");
    for (arguments, input) in commands {
        fake.same(&format!("helpers: {}", arguments.join(" ")), |cli| {
            // Absent already is as good.
            let _ = std::fs::remove_file(&log);
            fake.configure(Some(&configuration));
            let (ran, asked) = fake.run(cli, arguments, input);
            let helper = std::fs::read_to_string(&log).unwrap_or_default();
            // docker lays the whole file out anew; the members' order is the same here.
            let kept: String = fake.configuration().split_whitespace().collect();
            (ran.code, ran.stdout, ran.stderr, asked, helper, kept)
        });
    }
    fake.configure(Some(&configuration));
    let (ran, _) = fake.run(&fake.corten, &["create", "--pull", "always", "garbage.example/a"], &[]);
    assert!(!ran.code(1).stderr.contains("secret"), "a helper's answer is not shown");
}

#[test]
fn entries_of_the_file_are_sent_as_docker_sends_them() {
    let fake = ready();
    fake.answer("POST /images/", 200, "{\"status\":\"Done\"}\r\n");
    let entries = format!(
        "{{\"auths\":{{\
         \"token.example\":{{\"auth\":\"bWU6\",\"identitytoken\":\"tok\",\"email\":\"me@a.example\"}},\
         \"plain.example\":{{\"username\":\"me\",\"password\":\"secret\",\"registrytoken\":\"bearer\"}},\
         \"http://old.example:5000/v1/\":{{\"auth\":\"{PAIR}\"}},\
         \"https://index.docker.io/v1/\":{{\"auth\":\"{PAIR}\"}},\
         \"empty.example\":{{}}}}}}"
    );
    let names = ["token", "plain", "empty", "none", "old"].map(|name| format!("{name}.example/a:1"));
    let names = names.iter().map(String::as_str).chain(["old.example:5000/a:1", "index.docker.io/a", "a"]);
    let commands: Vec<[&str; 2]> = names.map(|name| ["pull", name]).collect();
    let commands: Vec<(&[&str], &[u8])> = commands.iter().map(|command| (command.as_slice(), &[][..])).collect();
    same(&fake, "entries", Some(&entries), &commands);
    same(&fake, "search", Some(&entries), &[(&["search", "a"], b""), (&["search", "token.example/a"], b"")]);
    // A login changes its own entry and no other's meaning.
    let login: (&[&str], &[u8]) = (&["login", "-u", "me", "--password-stdin", "token.example"], b"new");
    same(
        &fake,
        "entries",
        Some("{\"auths\":{\"token.example\":{\"auth\":\"bWU6\",\"identitytoken\":\"t\"}}}"),
        &[login],
    );
    fake.answer("GET /info", 200, "{}");
    fake.configure(Some(&entries));
    assert!(fake.run(&fake.corten, &["info"], &[]).0.ok().stdout.contains("\n Username: me\n"));
}

#[test]
fn the_tokens_of_a_login_in_a_browser_go_with_it() {
    let fake = ready();
    std::fs::write(fake.path().join("browser"), "").expect("the root is writable");
    fake.configure(Some("{\"credsStore\":\"all\"}"));
    let (ran, _) = fake.run(&fake.corten, &["logout"], &[]);
    assert!(ran.ok().stderr.contains("until they expire"));
    let erased = std::fs::read_to_string(fake.path().join("helper.log")).expect("the helper was asked");
    for key in ["access-token", "refresh-token", ""] {
        let line = format!("docker-credential-all erase https://index.docker.io/v1/{key}\n");
        assert!(erased.contains(&line), "{erased}");
    }
}

#[test]
fn a_helper_that_never_ends_its_answer_is_stopped() {
    let fake = ready();
    fake.program("docker-credential-endless", "#!/bin/sh\nexec cat /dev/zero\n");
    fake.configure(Some("{\"credsStore\":\"endless\"}"));
    let (ran, _) = fake.run(&fake.corten, &["login", "-u", "me", "--password-stdin", "a.example"], b"secret");
    assert!(ran.code(1).stderr.contains("its answer is longer than 1048576 bytes"));
}

#[test]
fn what_a_person_is_asked_is_docker_s() {
    let fake = ready();
    let kept = format!("{{\"auths\":{{\"a.example\":{{\"auth\":\"{PAIR}\"}}}}}}");
    let both = |configuration: Option<&str>, arguments: &[&str], typed: &[(&str, &str)]| {
        fake.same(&format!("asked: {} {typed:?} {}", arguments.join(" "), configuration.is_some()), |cli| {
            fake.configure(configuration);
            fake.asked();
            let screen = fake.run_on_terminal(cli, 120, arguments, typed);
            assert!(!screen.1.contains("secret"), "what is typed is not shown");
            (screen, fake.asked(), fake.configuration())
        });
    };
    let (user, password) = (("Username", "me"), ("Password: ", "secret"));
    both(None, &["login", "a.example"], &[user, password]);
    both(None, &["login", "-u", "me", "a.example"], &[password]);
    both(None, &["login"], &[user, password]);
    both(None, &["login", "a.example"], &[("Username: ", "")]);
    both(None, &["login", "-u", "me", "a.example"], &[("Password: ", "")]);
    both(Some(&kept), &["login", "a.example"], &[]);
    fake.answer("POST /auth", 401, "{\"message\":\"unauthorized\"}");
    both(Some(&kept), &["login", "a.example"], &[("Username (me): ", ""), password]);
}

#[test]
fn a_pull_that_is_refused_asks_who_you_are_on_a_terminal() {
    let fake = ready();
    fake.answer("POST /images/create", 401, "{\"message\":\"unauthorized\"}");
    fake.configure(None);
    let (code, screen) = fake.run_on_terminal(
        &fake.corten,
        80,
        &["pull", "a.example/a"],
        &[("Username", "me"), ("Password: ", "secret")],
    );
    assert_eq!(code, 1);
    assert!(screen.contains("Login prior to pull:"), "{screen}");
    let asked = fake.asked();
    assert_eq!(asked.len(), 2);
    assert_eq!(asked[0].auth, "e30=");
    assert!(asked[1].auth.len() > 50, "{asked:?}");
}

//! `pull`, `push`, `search`, `login` and `logout`: the same bytes and the same requests as docker's.

use crate::fake::{Asked, Fake};
use integration_tests::{DockerCli, Ran};

/// base64 of `me:secret`.
const PAIR: &str = "bWU6c2VjcmV0";

/// Runs each command through both and compares everything: exit code, output, requests, `config.json` afterwards.
#[track_caller]
pub fn same(fake: &Fake, name: &str, configuration: Option<&str>, commands: &[(&[&str], &[u8])]) {
    for (index, (arguments, input)) in commands.iter().enumerate() {
        fake.same(&format!("{name} {index}: {}", arguments.join(" ")), |cli| {
            fake.configure(configuration);
            let (ran, asked) = fake.run(cli, arguments, input);
            (ran.code, ran.stdout, ran.stderr, asked, fake.configuration())
        });
    }
}

#[test]
fn pull_and_push_ask_and_tell_what_docker_does() {
    let fake = Fake::start();
    let digest = "busybox@sha256:0000000000000000000000000000000000000000000000000000000000000001";
    fake.answer("POST /images/", 200, "{\"status\":\"Done\"}\r\n");
    fake.answer(
        "POST /images/create?fromImage=docker.io%2Flibrary%2Fdenied",
        404,
        "{\"message\":\"pull access denied for denied\"}",
    );
    fake.answer(
        "POST /images/create?fromImage=docker.io%2Flibrary%2Fplugin",
        500,
        "{\"message\":\"x when fetching 'plugin'\"}",
    );
    fake.answer("POST /images/localhost:5000/denied/push", 404, "{\"message\":\"tag does not exist\"}");
    fake.answer(
        "POST /images/localhost:5000/failed/push",
        200,
        "{\"errorDetail\":{\"message\":\"denied\"},\"error\":\"denied\"}\r\n",
    );
    let pushed = "{\"status\":\"Pushed\",\"progressDetail\":{},\"id\":\"aa\"}\r\n\
                  {\"progressDetail\":{},\"aux\":{\"Tag\":\"1\",\"Digest\":\"sha256:1\",\"Size\":5}}\r\n";
    let instead = "{\"progressDetail\":{},\"aux\":{\"manifestPushedInsteadOfIndex\":true,\
                   \"originalIndex\":{\"digest\":\"sha256:1\"},\"selectedManifest\":{\"digest\":\"sha256:2\"}}}\r\n";
    let missing =
        "{\"aux\":{\"contentMissing\":true}}\r\n{\"errorDetail\":{\"message\":\"missing\"},\"error\":\"missing\"}\r\n";
    fake.answer("POST /images/localhost:5000/pushed/push", 200, pushed);
    fake.answer("POST /images/localhost:5000/instead/push", 200, &[instead, pushed].concat());
    fake.answer("POST /images/localhost:5000/missing/push", 200, missing);
    let commands: &[&[&str]] = &[
        &["pull", "busybox"],
        &["pull", "-q", "busybox:1"],
        &["pull", "-a", "busybox"],
        &["pull", "-a", "busybox:1"],
        &["pull", "-a", "-q", "localhost:5000/a/b"],
        &["pull", "A"],
        &["pull", digest],
        &["pull", "--platform", "LINUX/arm64", "--disable-content-trust", "busybox"],
        &["image", "pull", "index.docker.io/me/x:1"],
        &["pull", "denied"],
        &["pull", "plugin"],
        &["pull"],
        &["pull", "a", "b"],
        &["push", "localhost:5000/pushed:1"],
        &["push", "-q", "localhost:5000/pushed"],
        &["push", "-a", "localhost:5000/pushed"],
        &["push", "-a", "-q", "localhost:5000/pushed"],
        &["push", "-a", "localhost:5000/pushed:1"],
        &["push", "--platform", "linux/arm64/v8", "localhost:5000/pushed:1"],
        &["push", "--platform", "a/b/c/d", "localhost:5000/pushed:1"],
        &["image", "push", "localhost:5000/instead"],
        &["push", "localhost:5000/missing:1"],
        &["push", "localhost:5000/denied:1"],
        &["push", "localhost:5000/failed:1"],
        &["push", "-q", "localhost:5000/failed:1"],
        &["push", digest],
        &["push", "A"],
        &["push"],
    ];
    let commands: Vec<(&[&str], &[u8])> = commands.iter().map(|arguments| (*arguments, &[][..])).collect();
    same(&fake, "transfer", None, &commands);
    for arguments in
        [["pull", "--disable-content-trust=false", "busybox"], ["push", "--disable-content-trust=false", "a"]]
    {
        let (ran, asked) = fake.run(&fake.corten, &arguments, &[]);
        assert!(ran.code(1).stderr.contains("signatures of images are not supported yet"));
        assert_eq!(asked, []);
    }
}

#[test]
fn the_environment_chooses_the_platform_and_may_not_ask_for_signatures() {
    let fake = Fake::start();
    fake.answer("POST /images/create", 200, "{\"status\":\"Done\"}\r\n");
    fake.answer("POST /containers/create", 404, "{\"message\":\"No such image: a:latest\"}");
    let with = |cli: &DockerCli, variable: &str, value: &str, arguments: &[&str]| {
        fake.asked();
        let ran = Ran::of(cli.command(arguments).env(variable, value));
        let lines: Vec<String> = fake.asked().into_iter().map(|asked| asked.line).collect();
        (ran.code, ran.stdout, ran.stderr, lines)
    };
    for arguments in [&["pull", "a:1"][..], &["create", "a"], &["pull", "--platform", "linux/amd64", "a:1"]] {
        fake.same(&format!("environment: {}", arguments.join(" ")), |cli| {
            with(cli, "DOCKER_DEFAULT_PLATFORM", "linux/arm64", arguments)
        });
    }
    for arguments in [["pull", "a"], ["push", "a"], ["create", "a"]] {
        let (code, _, errors, asked) = with(&fake.corten, "DOCKER_CONTENT_TRUST", "1", &arguments);
        assert_eq!((code, asked), (1, Vec::new()), "{arguments:?}");
        assert!(errors.ends_with("DOCKER_CONTENT_TRUST: signatures of images are not supported yet\n"), "{errors}");
    }
}

#[test]
fn remarks_on_a_terminal_are_docker_s() {
    let fake = Fake::start();
    fake.answer("POST /images/", 200, "{\"aux\":{\"contentMissing\":true}}\r\n");
    let arguments = ["push", "--platform", "linux/amd64", "localhost:5000/a:1"];
    fake.same("remarks", |cli| fake.run_on_terminal(cli, 80, &arguments, &[]));
}

#[test]
fn an_image_that_run_misses_is_pulled_with_credentials() {
    let fake = Fake::start();
    fake.answer("POST /containers/create", 404, "{\"message\":\"No such image: localhost:5000/a:latest\"}");
    fake.answer("POST /images/create", 200, "{\"status\":\"Done\"}\r\n");
    let configuration = format!("{{\"auths\":{{\"localhost:5000\":{{\"auth\":\"{PAIR}\"}}}}}}");
    for arguments in [
        &["create", "localhost:5000/a"][..],
        &["create", "-q", "localhost:5000/a"],
        &["create", "--pull", "always", "--platform", "linux/amd64", "localhost:5000/a"],
        &["create", "--pull", "never", "localhost:5000/a"],
        &["run", "--pull", "missing", "localhost:5000/a:1"],
    ] {
        fake.same(&format!("missing: {}", arguments.join(" ")), |cli| {
            fake.configure(Some(&configuration));
            let (ran, asked) = fake.run(cli, arguments, &[]);
            // The body of a create is another table's subject.
            let asked: Vec<Asked> = asked.into_iter().map(|asked| Asked { body: String::new(), ..asked }).collect();
            (ran.code, ran.stdout, ran.stderr, asked)
        });
    }
}

#[test]
fn a_search_prints_what_docker_s_does() {
    let fake = Fake::start();
    let found = r#"[{"star_count":3000,"is_official":true,"name":"busybox","is_automated":false,"description":"Busybox base image.\nSecond line, which goes on and on and on and on"},
        {"star_count":0,"is_official":false,"name":"me/busybox","description":""}]"#;
    fake.answer("GET /images/search", 200, found);
    fake.answer("GET /images/search?term=nothing", 200, "[]");
    let of_podman = r#"[{"Index":"a","Name":"a/b","Description":"x","Stars":3,"Official":"","Automated":"","Tag":""}]"#;
    fake.answer("GET /images/search?term=podman", 200, of_podman);
    fake.answer("GET /images/search?limit=101", 400, "{\"message\":\"Limit 101 is outside the range of [1, 100]\"}");
    let commands: &[&[&str]] = &[
        &["search", "busybox"],
        &["search", "--no-trunc", "busybox"],
        &["search", "--limit", "5", "localhost:5000/busybox"],
        &["search", "--limit", "101", "busybox"],
        &["search", "--limit", "-1", "busybox"],
        &["search", "-f", "is-official=true", "--filter", "stars=3", "busybox"],
        &["search", "--filter", "is-automated=true", "busybox"],
        &["search", "--filter", "x", "busybox"],
        &["search", "--format", "json", "busybox"],
        &["search", "--format", "{{.Name}} {{.IsOfficial}} {{json .IsOfficial}}", "busybox"],
        &["search", "--format", "{{json .}}", "busybox"],
        &["search", "--format", "table {{.Name}}\t{{.StarCount}}", "busybox"],
        &["search", "--format", "{{.Nope}}", "busybox"],
        &["search", "podman"],
        &["search", "nothing"],
        &["search"],
    ];
    let commands: Vec<(&[&str], &[u8])> = commands.iter().map(|arguments| (*arguments, &[][..])).collect();
    same(&fake, "search", None, &commands);
}

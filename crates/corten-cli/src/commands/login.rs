//! `login`: credentials for a registry, tried by the daemon and then kept.

use crate::arguments::Matches;
use crate::cli::Cli;
use crate::credentials::{self, Auth, CredentialError, HUB, Kept, host_of};
use crate::failure::{Failure, Outcome};
use crate::flags::{Flag, parse_bool};
use crate::progress::note_text;
use crate::tree::{Arity, Verb, verb};
use corten_docker_api::client::{ClientError, Method, Payload};
use corten_terminal::raw::RawMode;
use serde::Deserialize;
use std::io::{self, BufRead, IsTerminal, Read};

/// The command.
pub const VERB: Verb = verb!(login, "[OPTIONS] [SERVER]", "Keep credentials for a registry", Arity::AtMost(1), FLAGS);

const FLAGS: &[Flag] = &[
    Flag::text("password", "Password, or a token in its place; others on this host can read it").short('p'),
    Flag::bool("password-stdin", "Read the password from standard input"),
    Flag::text("username", "User").short('u'),
];

/// Longest password or line typed. Tokens of cloud registries are some kilobytes.
const LONGEST_SECRET_BYTES: u64 = 1 << 20;

/// Docker Hub's name on the command line.
const HUB_NAME: &str = "docker.io";

const HUB_HINT: &str = "Log in with your Docker ID or email address to push and pull images from Docker Hub. If you don't have a Docker ID, head over to https://hub.docker.com/ to create one.";

const TOKEN_HINT: &str = "You can log in with your password or a Personal Access Token (PAT). Using a limited-scope PAT grants better security and is required for organizations using SSO. Learn more at https://docs.docker.com/go/access-tokens/\n";

const TOKEN_NOTE: &str = "A Personal Access Token (PAT) can be used instead.\nTo create a PAT, visit \x1b[4mhttps://app.docker.com/settings\x1b[0m\n\n";

/// The daemon's answer to credentials.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Answer {
    status: String,
    identity_token: String,
}

/// Logs in.
pub async fn login(cli: &Cli, matches: &Matches) -> Outcome {
    check(matches)?;
    let user = matches.text("username");
    let mut password = matches.text("password").to_owned();
    if !password.is_empty() {
        cli.warn("WARNING! Using --password via the CLI is insecure. Use --password-stdin.");
    }
    if matches.flag("password-stdin") {
        password = read_password()?;
    }
    let server = match matches.arguments.first().map_or("", String::as_str) {
        "" | HUB_NAME | HUB => HUB.to_owned(),
        server => host_of(server),
    };
    let mut known = Ok(Auth::default());
    if user.is_empty() && password.is_empty() {
        known = credentials::get(&cli.config, &server).await;
    }
    let known = known.map(|auth| Auth { server_address: server.clone(), identity_token: String::new(), ..auth });
    let known_user = known.as_ref().map(|auth| auth.username.clone()).unwrap_or_default();
    let status = match known {
        Ok(auth) if !auth.username.is_empty() && !auth.password.is_empty() => with_kept(cli, auth).await?,
        _ => None,
    };
    let status = match status {
        Some(status) => status,
        None => {
            let asked = Asked { user, password: &password, known_user: &known_user, server: &server };
            with_asked(cli, &asked).await?
        }
    };
    if !status.is_empty() {
        cli.print_line(&status);
    }
    Ok(())
}

fn check(matches: &Matches) -> Outcome {
    if matches.is_given("password-stdin") {
        if matches.is_given("password") {
            return Err(Failure::new("conflicting options: cannot specify both --password and --password-stdin"));
        }
        if !matches.is_given("username") {
            return Err(Failure::new("the --password-stdin option requires --username to be set"));
        }
    }
    for name in ["username", "password"] {
        if matches.is_given(name) && matches.text(name).is_empty() {
            return Err(Failure::new(format!("{name} is empty")));
        }
    }
    Ok(())
}

/// Tries what is kept already; `None` when the registry does not take it any more.
async fn with_kept(cli: &Cli, mut auth: Auth) -> Result<Option<String>, Failure> {
    let note = note_text(
        "To login with a different account, run 'docker logout' followed by 'docker login'",
        io::stderr().is_terminal(),
    );
    let user = &auth.username;
    cli.warn(&format!("Authenticating with existing credentials... [Username: {user}]\n{note}\n"));
    let answer = authenticate(cli, &auth).await;
    let status = match answer {
        Ok(answer) => {
            take_token(&mut auth, answer.identity_token);
            Some(answer.status)
        }
        Err(error) => {
            match error {
                ClientError::Daemon { status: 401, .. } => cli.warn("Stored credentials invalid or expired"),
                error => cli.warn(&format!("Login did not succeed, error: {error}")),
            }
            None
        }
    };
    keep(cli, &auth).await?;
    Ok(status)
}

/// Tries what the command line or the user says, and keeps it.
async fn with_asked(cli: &Cli, asked: &Asked<'_>) -> Result<String, Failure> {
    if (asked.user.is_empty() || asked.password.is_empty()) && !cli.input_is_terminal() {
        return Err(Failure::new("Error: Cannot perform an interactive login from a non TTY device"));
    }
    let mut auth = ask(cli, asked).await?;
    let answer = authenticate(cli, &auth).await?;
    take_token(&mut auth, answer.identity_token);
    keep(cli, &auth).await?;
    Ok(answer.status)
}

/// A token in a registry's answer takes the password's place.
fn take_token(auth: &mut Auth, token: String) {
    if !token.is_empty() {
        auth.password.clear();
        auth.identity_token = token;
    }
}

async fn authenticate(cli: &Cli, auth: &Auth) -> Result<Answer, ClientError> {
    let body = serde_json::to_vec(auth).expect("texts can be written as JSON");
    cli.client.send(Method::POST, "/auth", Payload::Json(body)).await?.json().await
}

async fn keep(cli: &Cli, auth: &Auth) -> Outcome {
    let failed = |error: CredentialError| Failure::new(format!("Error saving credentials: {error}"));
    if credentials::store(&cli.config, auth).await.map_err(failed)? == Kept::Unencrypted {
        let path = cli.config.path.display();
        cli.warn(&format!(
            "\nWARNING! Your credentials are stored unencrypted in '{path}'.\n\
             Configure a credential helper to remove this warning. See\n\
             https://docs.docker.com/go/credential-store/\n"
        ));
    }
    Ok(())
}

/// What is known of the credentials already.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// The user given, or empty.
    pub user: &'a str,
    /// The password given, or empty.
    pub password: &'a str,
    /// The user who was logged in last.
    pub known_user: &'a str,
    /// The registry's key.
    pub server: &'a str,
}

/// Asks for what is not known, the password without echo.
///
/// # Errors
/// A user or password that stays empty; a password that is to be typed where there is no terminal.
pub async fn ask(cli: &Cli, asked: &Asked<'_>) -> Result<Auth, Failure> {
    let mut user = asked.user.trim().to_owned();
    if user.is_empty() {
        if asked.server == HUB {
            cli.print_line(HUB_HINT);
            if gives_hints() {
                cli.print_line(TOKEN_HINT);
            }
        }
        let known = asked.known_user.trim();
        let prompt = if known.is_empty() { "Username: ".to_owned() } else { format!("Username ({known}): ") };
        user = read_answer(cli, &prompt).await?;
        if user.is_empty() {
            known.clone_into(&mut user);
        }
        if user.is_empty() {
            return Err(Failure::new("Error: Non-null Username Required"));
        }
    }
    let mut password = asked.password.trim().to_owned();
    if password.is_empty() {
        let hidden =
            RawMode::without_echo(io::stdin()).map_err(|error| Failure::new(format!("hide what is typed: {error}")))?;
        if asked.server == HUB {
            eprint!("{}", note_text(TOKEN_NOTE, io::stderr().is_terminal()));
        }
        password = read_answer(cli, "Password: ").await?;
        drop(hidden);
        cli.print("\n");
        if password.is_empty() {
            return Err(Failure::new("Error: Password Required"));
        }
    }
    Ok(Auth { username: user, password, server_address: asked.server.to_owned(), ..Auth::default() })
}

/// `DOCKER_CLI_HINTS` turns hints off.
fn gives_hints() -> bool {
    std::env::var("DOCKER_CLI_HINTS").ok().and_then(|text| parse_bool(&text)).unwrap_or(true)
}

/// One line of standard input, read by a thread of its own so that signals still end the command.
async fn read_answer(cli: &Cli, prompt: &str) -> Result<String, Failure> {
    cli.print(prompt);
    let read = || {
        let mut line = String::new();
        io::stdin().lock().take(LONGEST_SECRET_BYTES).read_line(&mut line).map(|_| line.trim().to_owned())
    };
    let answer = tokio::task::spawn_blocking(read).await.map_err(io::Error::other).flatten();
    answer.map_err(|error| Failure::new(format!("read standard input: {error}")))
}

/// The password on standard input, without the line's end.
fn read_password() -> Result<String, Failure> {
    let mut text = String::new();
    let count = io::stdin().lock().take(LONGEST_SECRET_BYTES + 1).read_to_string(&mut text);
    let count = count.map_err(|error| Failure::new(format!("read the password: {error}")))?;
    if count as u64 > LONGEST_SECRET_BYTES {
        return Err(Failure::new(format!("the password is longer than {LONGEST_SECRET_BYTES} bytes")));
    }
    let text = text.strip_suffix('\n').unwrap_or(&text);
    Ok(text.strip_suffix('\r').unwrap_or(text).to_owned())
}

//! A program that keeps credentials: `docker-credential-NAME get|store|erase`.
//!
//! It reads from its standard input, answers on its standard output, and tells a failure there too.

use super::{Auth, CredentialError};
use serde::{Deserialize, Serialize};
use std::io::{self, Read, Write};
use std::process::{Command, ExitStatus, Stdio};

/// Longest answer. Tokens of cloud registries are some kilobytes.
const LONGEST_ANSWER_BYTES: u64 = 1 << 20;

/// Longest text of a failure that is shown.
const LONGEST_FAILURE_CHARS: usize = 1000;

/// The user that stands for an identity token.
const TOKEN_USER: &str = "<token>";

/// What a helper says of a registry it knows nothing of.
const NOT_FOUND: &str = "credentials not found in native keychain";

/// A helper program.
#[derive(Debug, Clone)]
pub(super) struct Helper {
    program: String,
}

/// What travels to and from a helper.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Secret {
    #[serde(rename = "ServerURL", default)]
    server_url: String,
    #[serde(default)]
    username: String,
    #[serde(default)]
    secret: String,
}

/// How a helper ended.
struct Ended {
    status: ExitStatus,
    answer: Vec<u8>,
}

impl Helper {
    /// The helper `NAME`, which is looked for in PATH.
    ///
    /// # Errors
    /// A name that leads to another directory.
    pub(super) fn named(name: &str) -> Result<Self, CredentialError> {
        if name.contains('/') {
            return Err(CredentialError(format!(
                "credential helper {name:?}: the name of a program may hold no slash"
            )));
        }
        Ok(Self { program: format!("docker-credential-{name}") })
    }

    /// The program's name.
    #[cfg(test)]
    pub(super) fn program(&self) -> &str {
        &self.program
    }

    /// What it keeps for `key`, if anything.
    pub(super) async fn get(&self, key: &str) -> Result<Option<Auth>, CredentialError> {
        let ended = self.call("get", key.as_bytes().to_vec(), "getting").await?;
        if !ended.status.success() {
            if text(&ended.answer) == NOT_FOUND {
                return Ok(None);
            }
            return Err(failure("getting", &ended.status.to_string(), &ended.answer));
        }
        // serde's own words would quote the answer.
        let secret: Secret = serde_json::from_slice(&ended.answer)
            .map_err(|_| CredentialError(format!("the answer of {} is not understood", self.program)))?;
        let server_address = key.to_owned();
        Ok(Some(if secret.username == TOKEN_USER {
            Auth { identity_token: secret.secret, server_address, ..Auth::default() }
        } else {
            Auth { username: secret.username, password: secret.secret, server_address, ..Auth::default() }
        }))
    }

    /// Keeps `auth` for its `server_address`.
    pub(super) async fn store(&self, auth: &Auth) -> Result<(), CredentialError> {
        let (username, secret) = if auth.identity_token.is_empty() {
            (auth.username.clone(), auth.password.clone())
        } else {
            (TOKEN_USER.to_owned(), auth.identity_token.clone())
        };
        let secret = Secret { server_url: auth.server_address.clone(), username, secret };
        let mut input = serde_json::to_vec(&secret).expect("texts can be written as JSON");
        input.push(b'\n');
        self.done("store", input, "storing").await
    }

    /// Forgets what it keeps for `key`.
    pub(super) async fn erase(&self, key: &str) -> Result<(), CredentialError> {
        self.done("erase", key.as_bytes().to_vec(), "erasing").await
    }

    async fn done(&self, action: &'static str, input: Vec<u8>, doing: &'static str) -> Result<(), CredentialError> {
        let ended = self.call(action, input, doing).await?;
        if ended.status.success() {
            return Ok(());
        }
        Err(failure(doing, &ended.status.to_string(), &ended.answer))
    }

    /// Runs it in a thread of its own: it may ask the user something and take as long as that takes.
    async fn call(&self, action: &'static str, input: Vec<u8>, doing: &str) -> Result<Ended, CredentialError> {
        let program = self.program.clone();
        let ran = tokio::task::spawn_blocking(move || run(&program, action, &input)).await;
        match ran {
            Ok(Ok(ended)) => Ok(ended),
            Ok(Err(error)) if error.kind() == io::ErrorKind::NotFound => {
                let reason = format!("exec: {:?}: executable file not found in $PATH", self.program);
                Err(failure(doing, &reason, &[]))
            }
            Ok(Err(error)) => Err(failure(doing, &format!("{}: {error}", self.program), &[])),
            Err(error) => Err(failure(doing, &error.to_string(), &[])),
        }
    }
}

fn run(program: &str, action: &str, input: &[u8]) -> io::Result<Ended> {
    let mut child = Command::new(program).arg(action).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
    let answer = std::thread::scope(|scope| {
        // Beside the reading, so that neither pipe can fill up. A helper may end without having read everything.
        scope.spawn(move || stdin.map(|mut pipe| pipe.write_all(input)));
        let mut answer = Vec::new();
        if let Some(pipe) = stdout {
            pipe.take(LONGEST_ANSWER_BYTES + 1).read_to_end(&mut answer)?;
        }
        Ok::<_, io::Error>(answer)
    });
    let is_too_long = answer.as_ref().is_ok_and(|answer| answer.len() as u64 > LONGEST_ANSWER_BYTES);
    if is_too_long || answer.is_err() {
        // It may have ended already.
        let _ = child.kill();
    }
    let status = child.wait()?;
    if is_too_long {
        return Err(io::Error::other(format!("its answer is longer than {LONGEST_ANSWER_BYTES} bytes")));
    }
    Ok(Ended { status, answer: answer? })
}

fn text(answer: &[u8]) -> String {
    String::from_utf8_lossy(answer).trim().chars().take(LONGEST_FAILURE_CHARS).collect()
}

/// docker's text; what a failing helper prints is its reason.
fn failure(doing: &str, reason: &str, answer: &[u8]) -> CredentialError {
    // Go says `exit status 1` where Rust says `exit status: 1`.
    let reason = reason.replacen("exit status: ", "exit status ", 1);
    CredentialError(format!("error {doing} credentials - err: {reason}, out: `{}`", text(answer)))
}

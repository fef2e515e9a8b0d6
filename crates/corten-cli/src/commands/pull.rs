//! `pull`: an image from its registry; also what `run` and `create` do when theirs is missing.

use crate::arguments::Matches;
use crate::cli::Cli;
use crate::commands::login;
use crate::credentials::{self, Auth};
use crate::failure::{Failure, Outcome};
use crate::flags::{Flag, parse_bool};
use crate::progress::{self, To};
use crate::tree::{Arity, Verb, verb};
use corten_docker_api::client::{ClientError, Method, Payload, Query, Response};
use corten_types::Reference;
use std::env;

/// The command.
pub const VERB: Verb =
    verb!(pull, "[OPTIONS] NAME[:TAG|@DIGEST]", "Fetch an image from a registry", Arity::Exactly(1), FLAGS);

const FLAGS: &[Flag] = &[
    Flag::bool("all-tags", "Fetch every tag of the repository").short('a'),
    Flag::bool("disable-content-trust", "Skip the verification of signatures (false: not supported yet)")
        .default("true"),
    Flag::text("platform", "Choose this platform of an image that has several, such as linux/amd64"),
    Flag::bool("quiet", "Show no progress").short('q'),
];

/// The flag that skips the verification of signatures, and the variable that asks for it.
const TRUST_FLAG: &str = "disable-content-trust";
const TRUST_VARIABLE: &str = "DOCKER_CONTENT_TRUST";

/// What a registry answers where docker keeps plugins.
const IS_PLUGIN: &str = "when fetching 'plugin'";

/// Pulls an image.
pub async fn pull(cli: &Cli, matches: &Matches) -> Outcome {
    let (takes_all, is_quiet) = (matches.flag("all-tags"), matches.flag("quiet"));
    let reference = named(cli, matches)?;
    if reference.digest().is_none() {
        refuse_content_trust(matches)?;
    }
    let mut query = Query::new().with("fromImage", &reference.name());
    query = query.non_empty("platform", &platform_flag(matches).to_ascii_lowercase());
    if !takes_all {
        query = query.with("tag", &api_tag(&reference));
    }
    let target = format!("/images/create{}", query.as_str());
    let to = if is_quiet { To::Nowhere } else { To::Output };
    let pulled = async {
        let response = with_credentials(cli, reference.domain(), "pull", Method::POST, &target).await?;
        progress::show(response.into_body(), to).await
    };
    pulled.await.map_err(|failure| {
        if failure.message.contains(IS_PLUGIN) {
            return Failure::new(format!("{} - Use `docker plugin install`", failure.message));
        }
        failure
    })?;
    cli.print_line(&reference.to_string());
    Ok(())
}

/// The reference of `pull` or `push`, with `latest` where there is neither tag nor `--all-tags`.
///
/// # Errors
/// What is no reference; a tag beside `--all-tags`.
pub fn named(cli: &Cli, matches: &Matches) -> Result<Reference, Failure> {
    let name = matches.arguments.first().map_or("", String::as_str);
    let reference = name.parse::<Reference>().map_err(|error| Failure::new(error.to_string()))?;
    let is_name_only = reference.tag().is_none() && reference.digest().is_none();
    match (matches.flag("all-tags"), is_name_only) {
        (true, false) => Err(Failure::new("tag can't be used with --all-tags/-a")),
        (false, true) => {
            if !matches.flag("quiet") {
                cli.print_line("Using default tag: latest");
            }
            Ok(reference.or_latest())
        }
        _ => Ok(reference),
    }
}

/// Pulls `reference` for a container that is to be created; progress goes to standard error.
///
/// # Errors
/// A credential helper that fails, the daemon's refusal, or what it says in the stream.
pub async fn pull_image(cli: &Cli, reference: &Reference, platform: &str, is_quiet: bool) -> Result<(), Failure> {
    let query = Query::new()
        .with("fromImage", &reference.name())
        .non_empty("platform", &platform.to_ascii_lowercase())
        .with("tag", &api_tag(reference));
    let auth = credentials::get(&cli.config, credentials::key_of(reference.domain()))
        .await
        .map_err(|error| Failure::new(error.to_string()))?;
    let target = format!("/images/create{}", query.as_str());
    let response = cli.client.send_with(Method::POST, &target, Payload::Empty, auth.header()).await?;
    progress::show(response.into_body(), if is_quiet { To::Nowhere } else { To::Errors }).await
}

/// The request with what is kept for the registry `domain`; refused for want of it, once more after asking the user.
///
/// # Errors
/// The daemon's refusal; what goes wrong at the terminal.
pub async fn with_credentials(
    cli: &Cli,
    domain: &str,
    verb: &str,
    method: Method,
    target: &str,
) -> Result<Response, Failure> {
    let key = credentials::key_of(domain);
    // docker tries without when a helper fails; the registry's refusal is then what the user reads.
    let auth: Auth = credentials::get(&cli.config, key).await.unwrap_or_default();
    let answer = cli.client.send_with(method.clone(), target, Payload::Empty, auth.header()).await;
    match answer {
        Err(ClientError::Daemon { status: 401, .. }) if cli.input_is_terminal() => {
            cli.print_line(&format!("\nLogin prior to {verb}:"));
            let asked = login::Asked { user: "", password: "", known_user: &auth.username, server: key };
            let auth = login::ask(cli, &asked).await?;
            Ok(cli.client.send_with(method, target, Payload::Empty, auth.header()).await?)
        }
        answer => Ok(answer?),
    }
}

/// `--platform`, or the platform the environment names for all commands.
pub fn platform_flag(matches: &Matches) -> String {
    if matches.is_given("platform") {
        return matches.text("platform").to_owned();
    }
    env::var("DOCKER_DEFAULT_PLATFORM").unwrap_or_default()
}

/// Refuses to verify signatures, which would else be skipped in silence.
///
/// # Errors
/// When the command line or the environment asks for it.
pub fn refuse_content_trust(matches: &Matches) -> Outcome {
    let (asker, is_asked) = if matches.is_given(TRUST_FLAG) {
        ("--disable-content-trust=false", !matches.flag(TRUST_FLAG))
    } else {
        let value = env::var(TRUST_VARIABLE).unwrap_or_default();
        // docker takes what is no boolean for yes.
        (TRUST_VARIABLE, !value.is_empty() && parse_bool(&value) != Some(false))
    };
    if is_asked {
        return Err(Failure::new(format!("{asker}: signatures of images are not supported yet")));
    }
    Ok(())
}

/// Tag or digest as the API takes them, in one field.
fn api_tag(reference: &Reference) -> String {
    reference.digest().map_or_else(|| reference.tag().unwrap_or("latest").to_owned(), ToString::to_string)
}

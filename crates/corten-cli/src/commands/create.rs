//! `create`: a container that is not started.

use crate::arguments::{Matches, Order};
use crate::cli::Cli;
use crate::commands::pull::{platform_flag, refuse_content_trust};
use crate::failure::{Failure, Outcome};
use crate::hello;
use crate::request::{self, flags::CREATE_FLAGS};
use crate::tree::{Arity, Verb, verb};
use corten_docker_api::client::ClientError;
use corten_docker_api::containers::ContainerCreate;
use corten_types::Reference;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

/// The command.
pub const VERB: Verb = verb!(
    create,
    "[OPTIONS] IMAGE [COMMAND] [ARG...]",
    "Make a container without starting it",
    Arity::AtLeast(1),
    CREATE_FLAGS,
    Order::FlagsFirst
);

/// Creates a container and prints its id.
pub async fn create(cli: &Cli, matches: &Matches) -> Outcome {
    let refusal = |message: String| {
        Failure::with_status(format!("{}: {message}\n\n{}", cli.program, cli.see_help("create")), 125)
    };
    check_pull(matches.text("pull")).map_err(refusal)?;
    let mut body = request::from_args(matches, &request::Files).map_err(refusal)?;
    let id = create_container(cli, matches, &mut body).await?;
    cli.print_line(&id);
    Ok(())
}

/// Whether `--pull` names a policy.
///
/// # Errors
/// The three that exist.
pub fn check_pull(policy: &str) -> Result<(), String> {
    match policy {
        "always" | "missing" | "never" | "" => Ok(()),
        other => Err(format!("invalid pull option: '{other}': must be one of \"always\", \"missing\" or \"never\"")),
    }
}

/// Sends the create, after a pull if one is due, and tells warnings. Returns the id.
///
/// # Errors
/// The daemon's refusal; a reference that is none; an id file that exists.
pub async fn create_container(cli: &Cli, matches: &Matches, body: &mut ContainerCreate) -> Result<String, Failure> {
    let id_file = IdFile::claim(matches.text("cidfile"))?;
    let reference: Reference = parse_image(&body.config.image)?;
    if reference.digest().is_none() {
        refuse_content_trust(matches)?;
    }
    let size = corten_terminal::window_size(std::io::stdout()).unwrap_or_default();
    if let Some(host) = &mut body.host_config {
        host.console_size = [u32::from(size.rows), u32::from(size.columns)];
    }
    let policy = matches.text("pull");
    let platform = request::platform(&platform_flag(matches))
        .map_err(|error| Failure::new(format!("error parsing specified platform: {error}")))?;
    // Since then each network has its own, and a daemon warns of this one.
    if cli.client.version_at_least("1.44") {
        body.config.mac_address.clear();
    }
    if policy == "always" {
        pull(cli, matches, &reference).await?;
    }
    let bytes = corten_docker_api::json::encode(body)
        .map_err(|error| Failure::new(format!("write the create body: {error}")))?;
    let mut created = cli.client.container_create(matches.text("name"), &platform, bytes.clone()).await;
    if let Err(error) = &created
        && error.is_not_found()
        && policy == "missing"
        && is_missing_image(error)
    {
        if !matches.flag("quiet") {
            cli.warn(&format!("Unable to find image '{}' locally", reference.clone().or_latest().familiar()));
        }
        if hello::is_hello(&reference) {
            hello::make(cli).await?;
        } else {
            pull(cli, matches, &reference).await?;
        }
        created = cli.client.container_create(matches.text("name"), &platform, bytes).await;
    }
    let created = created?;
    for warning in created.warnings.iter().map(String::as_str).chain(local_dns_warning(body).as_deref()) {
        cli.warn(&format!("WARNING: {warning}"));
    }
    id_file.write(&created.id)?;
    Ok(created.id)
}

/// docker pulls on any 404; a platform that does not match is one too and pulling cannot mend it.
const fn is_missing_image(error: &ClientError) -> bool {
    matches!(error, ClientError::Daemon { status: 404, .. })
}

fn parse_image(image: &str) -> Result<Reference, Failure> {
    image.parse::<Reference>().map_err(|error| Failure::new(error.to_string()))
}

async fn pull(cli: &Cli, matches: &Matches, reference: &Reference) -> Result<(), Failure> {
    let quiet = matches.flag("quiet");
    crate::commands::pull::pull_image(cli, &reference.clone().or_latest(), &platform_flag(matches), quiet).await
}

/// docker warns of name servers that a container cannot reach.
fn local_dns_warning(body: &ContainerCreate) -> Option<String> {
    let servers = body.host_config.as_ref()?.dns.as_ref()?;
    let local =
        servers.iter().find(|server| server.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback()))?;
    Some(format!("Localhost DNS ({local}) may fail in containers."))
}

/// The file of `--cidfile`: must not exist before, is removed when nothing was created.
struct IdFile {
    path: PathBuf,
    file: Option<File>,
}

impl IdFile {
    fn claim(path: &str) -> Result<Self, Failure> {
        if path.is_empty() {
            return Ok(Self { path: PathBuf::new(), file: None });
        }
        if Path::new(path).exists() {
            return Err(Failure::new(format!(
                "container ID file found, make sure the other container isn't running or delete {path}"
            )));
        }
        let file = File::create_new(path).map_err(|error| {
            Failure::new(format!("failed to create the container ID file: {}", request::os_error("open", path, &error)))
        })?;
        Ok(Self { path: path.into(), file: Some(file) })
    }

    fn write(mut self, id: &str) -> Result<(), Failure> {
        let Some(mut file) = self.file.take() else { return Ok(()) };
        file.write_all(id.as_bytes())
            .map_err(|error| Failure::new(format!("failed to write the container ID to the file: {error}")))
    }
}

impl Drop for IdFile {
    fn drop(&mut self) {
        if self.file.take().is_some() {
            // Nothing was created, so nothing may claim that it was.
            let _ = fs::remove_file(&self.path);
        }
    }
}

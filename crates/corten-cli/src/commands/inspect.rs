//! `inspect`: all the daemon knows of objects, as JSON or through a template.

use crate::arguments::Matches;
use crate::cli::Cli;
use crate::failure::{Failure, Outcome};
use crate::flags::{Flag, quote};
use crate::json;
use crate::request::platform_json;
use crate::template::{FunctionSet, Json, MissingKey, Template, Value};
use crate::tree::{Arity, Verb, verb};
use corten_docker_api::client::{ClientError, Query, encode_path, encode_segment};
use corten_docker_api::containers::ContainerInspect;
use corten_docker_api::images::ImageInspect;
use std::rc::Rc;

/// The command for objects of any kind.
pub const VERB: Verb =
    verb!(inspect, "[OPTIONS] NAME|ID [NAME|ID...]", "Show all that is known of an object", Arity::AtLeast(1), FLAGS);

/// The command for containers.
pub const CONTAINER_VERB: Verb = verb!(
    inspect_containers,
    "[OPTIONS] CONTAINER [CONTAINER...]",
    "Show all that is known of containers",
    Arity::AtLeast(1),
    CONTAINER_FLAGS
);

/// The command for images.
pub const IMAGE_VERB: Verb = verb!(
    inspect_images,
    "[OPTIONS] IMAGE [IMAGE...]",
    "Show all that is known of images",
    Arity::AtLeast(1),
    IMAGE_FLAGS
);

/// The command for networks.
pub const NETWORK_VERB: Verb = verb!(
    inspect_networks,
    "[OPTIONS] NETWORK [NETWORK...]",
    "Show all that is known of networks",
    Arity::AtLeast(1),
    NETWORK_FLAGS
);

const FORMAT: Flag = Flag::text("format", crate::commands::INSPECT_FORMAT_HELP).short('f');
const SIZE: Flag = Flag::bool("size", "Show sizes of containers").short('s');
const FLAGS: &[Flag] = &[FORMAT, SIZE, Flag::text("type", "Only objects of this kind")];
const CONTAINER_FLAGS: &[Flag] = &[FORMAT, SIZE];
const IMAGE_FLAGS: &[Flag] =
    &[FORMAT, Flag::text("platform", "Show this platform of an image that has several, such as linux/amd64")];

/// API version that shows one platform of an image.
const PLATFORM_SINCE: &str = "1.49";
const NETWORK_FLAGS: &[Flag] = &[FORMAT, Flag::bool("verbose", "Show what concerns services too").short('v')];

/// A kind of object, in the order in which they are tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Kind {
    name: &'static str,
    needs_swarm: bool,
}

const fn kind(name: &'static str) -> Kind {
    Kind { name, needs_swarm: false }
}

const fn swarm(name: &'static str) -> Kind {
    Kind { name, needs_swarm: true }
}

const KINDS: [Kind; 10] = [
    kind("container"),
    kind("image"),
    kind("network"),
    kind("volume"),
    swarm("service"),
    swarm("task"),
    swarm("node"),
    kind("plugin"),
    swarm("secret"),
    swarm("config"),
];

/// Exit status for a template that cannot be parsed.
const BAD_TEMPLATE: u8 = 64;

/// Inspects objects of any kind.
pub async fn inspect(cli: &Cli, matches: &Matches) -> Outcome {
    let only = matches.text("type");
    let mut names: Vec<&str> = KINDS.iter().map(|kind| kind.name).collect();
    names.sort_unstable();
    if matches.is_given("type") && only.is_empty() {
        return Err(Failure::new(format!("type is empty: must be one of \"{}\"", names.join("\", \""))));
    }
    if !only.is_empty() && !names.contains(&only) {
        return Err(Failure::new(format!(
            "unknown type: {}: must be one of \"{}\"",
            quote(only),
            names.join("\", \"")
        )));
    }
    show(cli, matches, only).await
}

/// Inspects containers.
pub async fn inspect_containers(cli: &Cli, matches: &Matches) -> Outcome {
    show(cli, matches, "container").await
}

/// Inspects images.
pub async fn inspect_images(cli: &Cli, matches: &Matches) -> Outcome {
    show(cli, matches, "image").await
}

/// Inspects networks.
pub async fn inspect_networks(cli: &Cli, matches: &Matches) -> Outcome {
    show(cli, matches, "network").await
}

async fn show(cli: &Cli, matches: &Matches, only: &str) -> Outcome {
    let format = matches.text("format");
    let template = match format {
        "" | "json" => None,
        own => {
            let parsed = Template::parse("", own);
            Some(
                parsed
                    .map_err(|error| Failure::with_status(format!("template parsing error: {error}"), BAD_TEMPLATE))?,
            )
        }
    };
    let platform = if only == "image" { platform(cli, matches)? } else { String::new() };
    let (mut documents, mut rendered, mut failures) = (Vec::new(), String::new(), Vec::new());
    for name in &matches.arguments {
        let more = More {
            size: matches.flag("size"),
            verbose: only == "network" && matches.flag("verbose"),
            platform: &platform,
        };
        let (kind, document) = match find(cli, name, only, more).await {
            Ok(found) => found,
            Err(message) => {
                failures.push(message);
                continue;
            }
        };
        let Some(template) = &template else {
            documents.push(document);
            continue;
        };
        match render(template, kind, &document) {
            Ok(text) => {
                rendered.push_str(&text);
                rendered.push('\n');
            }
            Err(message) => failures.push(message),
        }
    }
    if template.is_some() {
        cli.print(if rendered.is_empty() { "\n" } else { &rendered });
    } else {
        let whole = format!("[{}]", documents.join(","));
        cli.print_line(&if format == "json" { json::compact(&whole) } else { json::indent(&whole, "", "    ") });
    }
    crate::failure::join(failures)
}

/// First over what this program knows of the object, as Go does over its types; what is not found there,
/// over all the daemon sent.
fn render(template: &Template, kind: &str, document: &str) -> Result<String, String> {
    if let Some(typed) = typed(kind, document) {
        let mut text = String::new();
        if template.execute(&mut text, &typed, FunctionSet::Values, MissingKey::ZeroOrError).is_ok() {
            return Ok(text);
        }
    }
    let data = Json::parse(document.as_bytes()).map_err(|error| format!("unable to read inspect data: {error}"))?;
    let mut text = String::new();
    template
        .execute(&mut text, &data.untyped(), FunctionSet::Values, MissingKey::Error)
        .map_err(|error| format!("template parsing error: {error}"))?;
    Ok(text)
}

/// The document through the types of the API: its fields in Docker's order, empty ones made or left out.
fn typed(kind: &str, document: &str) -> Option<Value> {
    fn through<T: serde::de::DeserializeOwned + serde::Serialize>(document: &str) -> Option<Value> {
        let object: T = serde_json::from_str(document).ok()?;
        Json::parse(&corten_docker_api::json::encode(&object).ok()?).ok()
    }
    match kind {
        "container" => through::<ContainerInspect>(document).map(with_omitted),
        "image" => through::<ImageInspect>(document),
        _ => None,
    }
}

/// Puts back the fields of states and mounts that JSON leaves out, where Go has and prints them.
fn with_omitted(mut container: Value) -> Value {
    let Value::Struct(fields) = &mut container else { return container };
    for (name, value) in Rc::make_mut(fields) {
        match (name.as_str(), value) {
            ("State", Value::Struct(state)) => put(Rc::make_mut(state), usize::MAX, "Health", Value::Nil),
            ("Mounts", Value::List(mounts)) => {
                for mount in Rc::make_mut(mounts) {
                    let Value::Struct(mount) = mount else { continue };
                    // Type Name Source Destination Driver Mode RW Propagation
                    put(Rc::make_mut(mount), 1, "Name", Value::from(""));
                    put(Rc::make_mut(mount), 4, "Driver", Value::from(""));
                }
            }
            _ => {}
        }
    }
    container
}

fn put(fields: &mut Vec<(String, Value)>, at: usize, name: &str, value: Value) {
    if !fields.iter().any(|(known, _)| known == name) {
        fields.insert(at.min(fields.len()), (name.to_owned(), Value::Omitted(Rc::new(value))));
    }
}

/// `--platform` as the API takes it.
fn platform(cli: &Cli, matches: &Matches) -> Result<String, Failure> {
    if matches.text("platform").is_empty() {
        return Ok(String::new());
    }
    if !cli.client.version_at_least(PLATFORM_SINCE) {
        let version = cli.client.version();
        return Err(Failure::new(format!(
            "\"platform\" requires API version {PLATFORM_SINCE}, but the Docker daemon API version is {version}"
        )));
    }
    platform_json(matches.text("platform"))
}

/// What is asked beyond the ordinary.
#[derive(Debug, Clone, Copy)]
struct More<'a> {
    /// Sizes of containers.
    size: bool,
    /// What concerns a network's services.
    verbose: bool,
    /// Which platform of an image, as JSON.
    platform: &'a str,
}

/// The kind and the document of the first object of that name.
async fn find(cli: &Cli, name: &str, only: &str, more: More<'_>) -> Result<(&'static str, String), String> {
    let mut swarm_works = None;
    for kind in KINDS {
        if !only.is_empty() && kind.name != only {
            continue;
        }
        if only.is_empty() && kind.needs_swarm {
            if swarm_works.is_none() {
                swarm_works = Some(is_swarm_manager(cli).await);
            }
            if swarm_works == Some(false) {
                continue;
            }
        }
        match fetch(cli, kind.name, name, more).await {
            Ok(document) => {
                if more.size && kind.name != "container" {
                    cli.warn(&format!("WARNING: --size ignored for {}", kind.name));
                }
                return Ok((kind.name, document));
            }
            Err(error) if only.is_empty() && is_skippable(&error) => {}
            Err(error) => return Err(error.to_string()),
        }
    }
    Err(format!("Error: No such object: {name}"))
}

fn is_skippable(error: &ClientError) -> bool {
    let text = error.to_string();
    error.is_not_found() || text.contains("not supported") || text.contains("invalid reference format")
}

async fn fetch(cli: &Cli, kind: &str, name: &str, more: More<'_>) -> Result<String, ClientError> {
    let segment = encode_segment(name);
    let target = match kind {
        "container" => format!("/containers/{segment}/json{}", if more.size { "?size=1" } else { "" }),
        "image" => {
            let query = Query::new().non_empty("platform", more.platform);
            format!("/images/{}/json{}", encode_path(name), query.as_str())
        }
        "service" => format!("/services/{segment}?insertDefaults=true"),
        "network" => format!("/networks/{segment}{}", if more.verbose { "?verbose=true" } else { "" }),
        "plugin" => format!("/plugins/{}/json", encode_path(name)),
        kind => format!("/{kind}s/{segment}"),
    };
    let bytes = cli.client.get(&target).await?.bytes().await?;
    Ok(String::from_utf8_lossy(&bytes).trim().to_owned())
}

async fn is_swarm_manager(cli: &Cli) -> bool {
    let info = match cli.client.get("/info").await {
        Ok(response) => response.json::<corten_docker_api::info::Info>().await,
        Err(error) => Err(error),
    };
    match info {
        Ok(info) => info.swarm.control_available,
        Err(error) => {
            cli.warn(&error.to_string());
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use super::render;
    use crate::template::Template;
    use serde::Deserialize;

    /// A template, and what docker 28.2.2 answered to `inspect -f` of one container.
    #[derive(Deserialize)]
    struct Answer {
        #[serde(rename = "t")]
        template: String,
        #[serde(rename = "rc")]
        status: i32,
        #[serde(rename = "o")]
        output: String,
        #[serde(rename = "e")]
        errors: String,
    }

    /// What cannot be told from the document: Go prints the addresses of what it points to.
    const NOT_TOLD: [&str; 1] = ["{{.Config}}"];

    #[test]
    fn ninety_templates_answer_as_docker_answers() {
        let answers: Vec<Answer> = serde_json::from_str(include_str!("../template/docker-answers.json")).unwrap();
        let document = &answers.iter().find(|answer| answer.template == "{{json .}}").unwrap().output;
        let mut wrong = Vec::new();
        for answer in answers.iter().filter(|answer| !NOT_TOLD.contains(&answer.template.as_str())) {
            let (status, text) = match Template::parse("", &answer.template) {
                Err(error) => (64, format!("template parsing error: {error}\n")),
                Ok(template) => match render(&template, "container", document) {
                    Ok(text) => (0, format!("{text}\n")),
                    Err(error) => (1, format!("{error}\n")),
                },
            };
            let expected = if answer.status == 0 { &answer.output } else { &answer.errors };
            if (status, &text) != (answer.status, expected) {
                wrong.push(format!("{}\n  docker: {expected:?}\n  corten: {text:?}", answer.template));
            }
        }
        assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), answers.len(), wrong.join("\n"));
    }
}

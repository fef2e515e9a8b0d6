//! `version`: of this program and of the daemon.

use crate::arguments::Matches;
use crate::cli::Cli;
use crate::failure::{Failure, Outcome};
use crate::flags::Flag;
use crate::table;
use crate::template::{FunctionSet, Json, MissingKey, Template, Value};
use crate::tree::{Arity, Verb, verb};
use corten_docker_api::client::NEWEST_API_VERSION;
use corten_terminal::tabwriter::{Layout, align};
use std::rc::Rc;
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;

/// The command.
pub const VERB: Verb = verb!(version, "[OPTIONS]", "Show the versions of client and engine", Arity::None, FLAGS);

const FLAGS: &[Flag] = &[Flag::text("format", crate::commands::INSPECT_FORMAT_HELP).short('f')];

/// Exit status for a template that cannot be parsed.
const BAD_TEMPLATE: u8 = 64;

const LAYOUT: Layout = Layout { minimum_width: 20, padding: 1 };

const FORMAT: &str = "{{with .Client -}}
Client:{{if ne .Platform nil}}{{if ne .Platform.Name \"\"}} {{.Platform.Name}}{{end}}{{end}}
 Version:\t{{.Version}}
 API version:\t{{.APIVersion}}{{if ne .APIVersion .DefaultAPIVersion}} (downgraded from {{.DefaultAPIVersion}}){{end}}
 Built with:\t{{.Compiler}}
 OS/Arch:\t{{.Os}}/{{.Arch}}
 Context:\t{{.Context}}
{{- end}}

{{- if ne .Server nil}}{{with .Server}}

Server:{{if ne .Platform.Name \"\"}} {{.Platform.Name}}{{end}}
 {{- range $component := .Components}}
 {{$component.Name}}:
  {{- if eq $component.Name \"Engine\" }}
  Version:\t{{.Version}}
  API version:\t{{index .Details \"ApiVersion\"}} (minimum version {{index .Details \"MinAPIVersion\"}})
  Go version:\t{{index .Details \"GoVersion\"}}
  Git commit:\t{{index .Details \"GitCommit\"}}
  Built:\t{{index .Details \"BuildTime\"}}
  OS/Arch:\t{{index .Details \"Os\"}}/{{index .Details \"Arch\"}}
  Experimental:\t{{index .Details \"Experimental\"}}
  {{- else }}
  Version:\t{{$component.Version}}
  {{- $detailsOrder := getDetailsOrder $component}}
  {{- range $key := $detailsOrder}}
  {{$key}}:\t{{index $component.Details $key}}
   {{- end}}
  {{- end}}
 {{- end}}
 {{- end}}{{- end}}";

/// Shows both versions; the client's also when the daemon cannot be reached.
pub async fn version(cli: &Cli, matches: &Matches) -> Outcome {
    let format = match matches.text("format") {
        "" => FORMAT,
        table::JSON => "{{json .}}",
        own => own,
    };
    let template = Template::parse("version", format)
        .map_err(|error| Failure::with_status(format!("template parsing error: {error}"), BAD_TEMPLATE))?;
    let (server, failure) = match server(cli).await {
        Ok(server) => (server, None),
        Err(failure) => (Value::Nil, Some(failure)),
    };
    let data = Value::object(vec![("Client", client(cli)), ("Server", server)]);
    let mut text = String::new();
    let rendered = template.execute(&mut text, &data, FunctionSet::Values, MissingKey::TypeError("*types.Version"));
    text.push('\n');
    cli.print(&align(&text, LAYOUT));
    match (failure, rendered) {
        (Some(failure), _) => Err(failure),
        (None, Err(error)) => Err(Failure::new(error.to_string())),
        (None, Ok(())) => Ok(()),
    }
}

/// What the client says of itself.
pub fn client(cli: &Cli) -> Value {
    let arch = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    Value::object(vec![
        ("Platform", Value::object(vec![("Name", Value::from("Corten"))])),
        ("Version", Value::from(env!("CARGO_PKG_VERSION"))),
        ("ApiVersion", Value::from(cli.client.version())),
        ("DefaultAPIVersion", Value::from(NEWEST_API_VERSION)),
        ("Compiler", Value::from(concat!("rustc ", env!("CARGO_PKG_RUST_VERSION"), " or newer"))),
        ("Os", Value::from(std::env::consts::OS)),
        ("Arch", Value::from(arch)),
        ("Context", Value::from(cli.context.as_str())),
    ])
}

/// The daemon's answer, with an `Engine` component made up for daemons that list none.
async fn server(cli: &Cli) -> Result<Value, Failure> {
    let text = cli.client.get("/version").await?.bytes().await?;
    let answer =
        Json::parse(&text).map_err(|error| Failure::new(format!("the daemon's version is not understood: {error}")))?;
    let Value::Struct(fields) = answer else { return Ok(Value::Nil) };
    let mut fields = Rc::unwrap_or_clone(fields);
    let field = |name: &str| fields.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone());
    let mut components = match field("Components") {
        Some(Value::List(components)) => Rc::unwrap_or_clone(components),
        _ => Vec::new(),
    };
    let text = |name: &str| field(name).unwrap_or_else(|| Value::from(""));
    let is_engine = |component: &Value| {
        let Value::Struct(fields) = component else { return false };
        fields.iter().any(|(name, value)| name == "Name" && matches!(value, Value::Text(text) if &**text == "Engine"))
    };
    if !components.iter().any(is_engine) {
        let details = ["ApiVersion", "MinAPIVersion", "GitCommit", "GoVersion", "Os", "Arch", "BuildTime"];
        let mut details: Vec<_> = details.into_iter().map(|name| (name.to_owned(), text(name))).collect();
        let experimental = matches!(field("Experimental"), Some(Value::Bool(true)));
        details.push(("Experimental".to_owned(), Value::from(experimental.to_string())));
        components.push(Value::object(vec![
            ("Name", Value::from("Engine")),
            ("Version", text("Version")),
            ("Details", Value::Map(Rc::new(details))),
        ]));
    }
    for component in components.iter_mut().filter(|component| is_engine(component)) {
        readable_build_time(component);
    }
    let platform = field("Platform").unwrap_or_else(|| Value::object(vec![("Name", Value::from(""))]));
    fields.retain(|(name, _)| name != "Components" && name != "Platform");
    fields.insert(0, ("Components".to_owned(), Value::list(components)));
    fields.insert(0, ("Platform".to_owned(), platform));
    Ok(Value::Struct(Rc::new(fields)))
}

/// Writes an RFC 3339 build time as people read it.
fn readable_build_time(component: &mut Value) {
    let Value::Struct(fields) = component else { return };
    for (name, value) in Rc::make_mut(fields) {
        if name != "Details" {
            continue;
        }
        let (Value::Map(details) | Value::Struct(details)) = value else { continue };
        for (key, detail) in Rc::make_mut(details) {
            if key != "BuildTime" {
                continue;
            }
            let Value::Text(text) = detail else { continue };
            if let Ok(time) = time::OffsetDateTime::parse(text, &Rfc3339) {
                let format = format_description!(
                    "[weekday repr:short] [month repr:short] [day padding:space] [hour]:[minute]:[second] [year]"
                );
                *detail = Value::from(time.format(format).unwrap_or_default());
            }
        }
    }
}

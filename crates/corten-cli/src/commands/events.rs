//! `events`: what happens, as it happens.

use crate::arguments::Matches;
use crate::cli::Cli;
use crate::failure::{Failure, Outcome};
use crate::flags::Flag;
use crate::request::filters;
use crate::template::{FunctionSet, Json, MissingKey, Template};
use crate::text::moment;
use crate::tree::{Arity, Verb, verb};
use corten_docker_api::client::Query;
use corten_docker_api::events::Event;
use std::fmt::Write;

/// The command.
pub const VERB: Verb = verb!(events, "[OPTIONS]", "Show what happens in the engine, as it happens", Arity::None, FLAGS);

const FLAGS: &[Flag] = &[
    Flag::filter(),
    Flag::text("format", crate::commands::INSPECT_FORMAT_HELP),
    Flag::text("since", "Begin with what happened at this time"),
    Flag::text("until", "End at this time"),
];

/// Exit status for a template that cannot be used.
const BAD_TEMPLATE: u8 = 64;

/// Shows events until the daemon ends them.
pub async fn events(cli: &Cli, matches: &Matches) -> Outcome {
    let template = template(matches.text("format"))?;
    let moment = |flag: &str| moment::parse(matches.text(flag)).map_err(Failure::new);
    let query = Query::new()
        .non_empty("filters", &filters(matches.list("filter")))
        .non_empty("since", &moment("since")?)
        .non_empty("until", &moment("until")?);
    let mut body = cli.client.get(&format!("/events{}", query.as_str())).await?.into_body();
    let mut pending = Vec::new();
    while let Some(chunk) = body.chunk().await? {
        pending.extend_from_slice(&chunk);
        let mut values = serde_json::Deserializer::from_slice(&pending).into_iter::<Box<serde_json::value::RawValue>>();
        let mut text = String::new();
        let mut wrong = None;
        let mut used = 0;
        for value in values.by_ref() {
            match value.map_err(Problem::of).and_then(|event| show(event.get(), template.as_ref(), &mut text)) {
                Ok(()) => {}
                Err(Problem::Incomplete) => break,
                Err(Problem::Failed(failure)) => {
                    wrong = Some(failure);
                    break;
                }
            }
            used += 1;
        }
        let consumed = consumed(&pending, used);
        cli.print(&text);
        if let Some(failure) = wrong {
            return Err(failure);
        }
        pending.drain(..consumed);
    }
    Ok(())
}

enum Problem {
    Incomplete,
    Failed(Failure),
}

impl Problem {
    fn of(error: serde_json::Error) -> Self {
        if error.is_eof() {
            Self::Incomplete
        } else {
            Self::Failed(Failure::new(format!("the daemon's event is not understood: {error}")))
        }
    }
}

/// Bytes of the first `count` documents.
fn consumed(bytes: &[u8], count: usize) -> usize {
    let mut values = serde_json::Deserializer::from_slice(bytes).into_iter::<serde::de::IgnoredAny>();
    for _ in 0..count {
        values.next();
    }
    values.byte_offset()
}

fn show(event: &str, template: Option<&Template>, text: &mut String) -> Result<(), Problem> {
    let Some(template) = template else {
        let event: Event = serde_json::from_str(event).map_err(Problem::of)?;
        line(&event, text);
        return Ok(());
    };
    let event: Event = serde_json::from_str(event).map_err(Problem::of)?;
    let typed = serde_json::to_vec(&event).map_err(Problem::of)?;
    let data = Json::parse(&typed).map_err(Problem::of)?;
    let rendered = template.execute(text, &data, FunctionSet::Values, MissingKey::NoValue);
    text.push('\n');
    rendered.map_err(|error| Problem::Failed(Failure::new(error.to_string())))
}

/// The template, tried on an empty event; none for the usual line.
fn template(format: &str) -> Result<Option<Template>, Failure> {
    let format = match format {
        "" => return Ok(None),
        "json" => "{{json .}}",
        own => own,
    };
    let wrong = |error: crate::template::TemplateError| {
        Failure::with_status(format!("Error parsing format: {error}"), BAD_TEMPLATE)
    };
    let template = Template::parse("", format).map_err(wrong)?;
    let empty = Json::parse(EMPTY_EVENT).expect("the constant is JSON");
    template
        .execute(&mut String::new(), &empty, FunctionSet::Values, MissingKey::TypeError("*events.Message"))
        .map_err(wrong)?;
    Ok(Some(template))
}

/// An event with nothing in it, to try templates on.
const EMPTY_EVENT: &[u8] = br#"{"status":"","id":"","from":"","Type":"","Action":"","Actor":{"ID":"","Attributes":null},"scope":"","time":0,"timeNano":0}"#;

fn line(event: &Event, text: &mut String) {
    if event.time_nano != 0 {
        let _ = write!(text, "{} ", moment::with_nanoseconds(event.time_nano));
    } else if event.time != 0 {
        let _ = write!(text, "{} ", moment::with_nanoseconds(event.time * 1_000_000_000));
    }
    let _ = write!(text, "{} {} {}", event.kind, event.action, event.actor.id);
    let attributes: Vec<_> =
        event.actor.attributes.iter().flatten().map(|(key, value)| format!("{key}={value}")).collect();
    if !attributes.is_empty() {
        let _ = write!(text, " ({})", attributes.join(", "));
    }
    text.push('\n');
}

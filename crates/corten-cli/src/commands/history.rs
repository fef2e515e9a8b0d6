//! `history`: how an image was made, the last step first.

use crate::arguments::Matches;
use crate::cli::Cli;
use crate::failure::Outcome;
use crate::flags::Flag;
use crate::request::platform_json;
use crate::table;
use crate::template::Row;
use crate::text::{rfc3339, short_id, since};
use crate::tree::{Arity, Verb, verb};
use corten_docker_api::client::{Query, encode_path};
use corten_docker_api::images::ImageHistory;
use corten_terminal::ellipsis::ellipsis;
use corten_terminal::units::human_size_with_precision;

/// The command.
pub const VERB: Verb =
    verb!(history, "[OPTIONS] IMAGE", "Show how an image was made, step by step", Arity::Exactly(1), FLAGS);

const FLAGS: &[Flag] = &[
    Flag::text("format", crate::commands::FORMAT_HELP),
    Flag::bool("human", "Show sizes and dates in words").short('H').default("true"),
    Flag::bool("no-trunc", "Show ids and commands in full"),
    Flag::text("platform", "Show the image's history for this platform, such as linux/amd64"),
    Flag::bool("quiet", "Show ids only").short('q'),
];

const HEADER: [(&str, &str); 6] = [
    ("ID", "IMAGE"),
    ("CreatedSince", "CREATED"),
    ("CreatedAt", "CREATED AT"),
    ("CreatedBy", "CREATED BY"),
    ("Size", "SIZE"),
    ("Comment", "COMMENT"),
];

const TABLE: &str = "table {{.ID}}\t{{.CreatedSince}}\t{{.CreatedBy}}\t{{.Size}}\t{{.Comment}}";
const EXACT_TABLE: &str = "table {{.ID}}\t{{.CreatedAt}}\t{{.CreatedBy}}\t{{.Size}}\t{{.Comment}}";

/// Letters of a command that is cut.
const COMMAND_LETTERS: usize = 45;

/// 2000-01-01: what is older was given a date that says nothing.
const MEANINGLESS_BEFORE: i64 = 946_684_800;

/// How rows are shown.
#[derive(Clone, Copy)]
struct Style {
    is_short: bool,
    is_human: bool,
}

/// Lists the steps.
pub async fn history(cli: &Cli, matches: &Matches) -> Outcome {
    let name = matches.arguments.first().map_or("", String::as_str);
    let platform = match matches.text("platform") {
        "" => String::new(),
        text => platform_json(text)?,
    };
    let query = Query::new().non_empty("platform", &platform);
    let target = format!("/images/{}/history{}", encode_path(name), query.as_str());
    let steps: Vec<ImageHistory> = cli.client.get(&target).await?.json().await?;
    let style = Style { is_short: !matches.flag("no-trunc"), is_human: matches.flag("human") };
    let format = match matches.text("format") {
        "" | table::TABLE if matches.flag("quiet") => "{{.ID}}",
        "" | table::TABLE if style.is_human => TABLE,
        "" | table::TABLE => EXACT_TABLE,
        own => own,
    };
    cli.print(&table::render(format, &HEADER, steps.iter().map(|step| row(step, style)).collect())?);
    Ok(())
}

fn row(step: &ImageHistory, style: Style) -> Row {
    let created_at = rfc3339(step.created);
    let created_since = match style.is_human {
        false => created_at.clone(),
        true if step.created <= MEANINGLESS_BEFORE => "N/A".to_owned(),
        true => format!("{} ago", since(step.created)),
    };
    let created_by = step.created_by.replace('\t', " ");
    #[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
    let size = match style.is_human {
        true => human_size_with_precision(step.size as f64, 3),
        false => step.size.to_string(),
    };
    Row::new(
        "*image.historyContext",
        vec![
            ("ID", Some(if style.is_short { short_id(&step.id).to_owned() } else { step.id.clone() })),
            ("CreatedSince", Some(created_since)),
            ("CreatedAt", Some(created_at)),
            ("CreatedBy", Some(if style.is_short { ellipsis(&created_by, COMMAND_LETTERS) } else { created_by })),
            ("Size", Some(size)),
            ("Comment", Some(step.comment.clone())),
        ],
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_platform_becomes_the_api_s() {
        assert_eq!(platform_json("linux/arm/v7").unwrap(), r#"{"architecture":"arm","os":"linux","variant":"v7"}"#);
        assert!(platform_json("linux").unwrap().contains(r#""os":"linux""#), "the machine's own architecture");
        assert!(platform_json("linux/a/b/c").is_err() && platform_json("linux//b").is_err());
    }
}

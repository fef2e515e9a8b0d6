//! Listings: a template per row, laid out as a table, as JSON lines or as the user's own format.

use crate::failure::Failure;
use crate::template::{FunctionSet, MissingKey, Row, Template, Value};
use corten_terminal::tabwriter::{DOCKER_TABLE, align};
use std::collections::BTreeMap;
use std::rc::Rc;

/// Format name of the layout in columns.
pub const TABLE: &str = "table";
/// Format name of one JSON object a line.
pub const JSON: &str = "json";

/// Renders `rows` with `format`: `table …`, `json` or a template. `header` names the columns.
///
/// # Errors
/// The template's mistake.
pub fn render(format: &str, header: &[(&str, &str)], rows: Vec<Row>) -> Result<String, Failure> {
    let is_table = format.starts_with(TABLE);
    let text = if is_table {
        &format[TABLE.len()..]
    } else if format == JSON {
        "{{json .}}"
    } else {
        format
    };
    let text = text.trim_matches(' ').replace("\\t", "\t").replace("\\n", "\n");
    let wrong = |error: crate::template::TemplateError| Failure::new(format!("template parsing error: {error}"));
    let template = Template::parse("", &text).map_err(wrong)?;

    let mut body = String::new();
    for row in rows {
        template
            .execute(&mut body, &Value::Row(Rc::new(row)), FunctionSet::Values, MissingKey::NoValue)
            .map_err(wrong)?;
        body.push('\n');
    }
    if !is_table {
        return Ok(body);
    }
    let columns: BTreeMap<String, String> =
        header.iter().map(|(name, title)| ((*name).to_owned(), (*title).to_owned())).collect();
    let mut titles = String::new();
    // docker ignores what goes wrong in the header row; what was written before stays.
    let _ = template.execute(&mut titles, &Value::Header(Rc::new(columns)), FunctionSet::Header, MissingKey::NoValue);
    Ok(align(&format!("{titles}\n{body}"), DOCKER_TABLE))
}

//! Go's text/template, as far as docker's `--format` and its users need it.
//!
//! Own, because byte-equal output needs what the crates at hand lack: of 90 templates with docker's
//! answers, gtmpl-ng gets 63 right; it keeps objects in hash maps (so `{{json .State}}` comes in random
//! order), has no typed fields, no missing-key errors, no Go error texts.
//!
//! [`Template::parse`] builds the tree ([`parse`], from the tokens of [`lex`]); [`Template::execute`]
//! walks it over a [`Value`] ([`exec`]) with Go's built-in functions and docker's ([`functions`]).

mod exec;
mod format;
mod functions;
mod lex;
mod node;
mod parse;
mod value;

pub use format::quote;
pub use functions::FunctionSet;
pub use value::{Json, Row, Value};

/// A template that cannot be parsed or executed; the text is Go's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct TemplateError(pub String);

/// A parsed template.
#[derive(Debug)]
pub struct Template {
    name: String,
    text: String,
    root: Vec<node::Node>,
    defined: std::collections::BTreeMap<String, Vec<node::Node>>,
}

/// What reading an absent key of a map gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MissingKey {
    /// `<no value>`
    NoValue,
    /// An error that names the key.
    Error,
    /// The zero value of fields that the API leaves out when empty, else an error: the value stands for a
    /// struct of the API.
    ZeroOrError,
    /// An error that names the field and this Go type: the value stands for a struct.
    TypeError(&'static str),
}

impl Template {
    /// Parses `text`; `name` stands in error texts.
    ///
    /// # Errors
    /// What Go would say.
    pub fn parse(name: &str, text: &str) -> Result<Self, TemplateError> {
        let (root, defined) = parse::parse(name, text)?;
        Ok(Self { name: name.to_owned(), text: text.to_owned(), root, defined })
    }

    /// Executes over `data` and appends to `output`, which keeps what was written before an error.
    ///
    /// # Errors
    /// What Go would say.
    pub fn execute(
        &self,
        output: &mut String,
        data: &Value,
        functions: FunctionSet,
        missing: MissingKey,
    ) -> Result<(), TemplateError> {
        exec::execute(self, output, data, functions, missing)
    }
}

#[cfg(test)]
mod tests;

//! One file per verb.

pub mod create;
pub mod images;
pub mod ps;
pub mod pull;
pub mod rm;
pub mod run;
pub mod version;

/// What `--format` of a listing takes.
pub const FORMAT_HELP: &str = "How to print: 'table', 'table TEMPLATE', 'json' or a Go TEMPLATE";

/// What `--format` of an inspection takes.
pub const INSPECT_FORMAT_HELP: &str = "How to print: 'json' or a Go TEMPLATE";

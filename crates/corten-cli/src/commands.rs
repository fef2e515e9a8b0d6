//! One file per verb.

pub mod attach;
pub mod commit;
pub mod cp;
pub mod create;
pub mod diff;
pub mod doctor;
pub mod events;
pub mod exec;
pub mod export;
pub mod history;
pub mod image_prune;
pub mod images;
pub mod import;
pub mod info;
pub mod inspect;
pub mod kill;
pub mod load;
pub mod login;
pub mod logout;
pub mod logs;
pub mod network_check;
pub mod network_connect;
pub mod network_create;
pub mod network_disconnect;
pub mod network_ls;
pub mod network_prune;
pub mod network_rm;
pub mod pause;
pub mod port;
pub mod ps;
pub mod pull;
pub mod push;
pub mod rename;
pub mod restart;
pub mod rm;
pub mod rmi;
pub mod run;
pub mod save;
pub mod search;
pub mod start;
pub mod stats;
pub mod stop;
pub mod system_df;
pub mod tag;
pub mod top;
pub mod unpause;
pub mod update;
pub mod version;
pub mod wait;

/// What `--format` of a listing takes.
pub const FORMAT_HELP: &str = "How to print: 'table', 'table TEMPLATE', 'json' or a Go TEMPLATE";

/// What `--format` of an inspection takes.
pub const INSPECT_FORMAT_HELP: &str = "How to print: 'json' or a Go TEMPLATE";

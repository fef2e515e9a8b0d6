//! docker's commands: arguments to requests, tables, progress, terminal.
//!
//! In reading order: [`entry`] is what the program calls; [`tree`] says which commands there are and
//! where they stand; [`flags`] and [`arguments`] read a command line with clap and answer mistakes in
//! docker's words, [`help`] prints what one may write; [`cli`] is what a running command holds (daemon,
//! configuration, output); [`commands`] has one file per verb; [`request`] turns the arguments of run
//! and create into the body of a create (pure); [`stream`] moves bytes between terminal and container;
//! [`end`] tells how it
//! ended; [`copy`] has docker's rules for copied files; [`table`] and [`template`] print. [`confirm`] asks first, [`failure`] is how a command ends badly, [`hello`] the image that
//! needs no registry; [`credentials`] is what registries are shown, [`progress`] how far the daemon is.

mod arguments;
mod cli;
mod commands;
mod config;
mod confirm;
mod copy;
mod credentials;
mod end;
mod entry;
mod failure;
mod flags;
mod hello;
mod help;
mod json;
mod many;
mod progress;
mod request;
mod stream;
mod table;
mod template;
mod text;
mod tree;

pub use entry::main;

//! docker's commands: arguments to requests, tables, progress, terminal.

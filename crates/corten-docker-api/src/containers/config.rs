//! The portable half of a container: what an image brings and a create adds.

use std::collections::BTreeMap;

use crate::json::{Arguments, Set, body, is_empty, is_zero};

body! {
    /// What to run, and as what.
    pub struct ContainerConfig {
        /// Host name; empty for the first 12 digits of the id.
        pub hostname: String,
        /// Domain name.
        pub domainname: String,
        /// `name[:group]` or `uid[:gid]`.
        pub user: String,
        /// Whether the creator will attach standard input.
        pub attach_stdin: bool,
        /// Whether the creator will attach standard output.
        pub attach_stdout: bool,
        /// Whether the creator will attach standard error.
        pub attach_stderr: bool,
        /// Ports, `80/tcp`.
        #[serde(skip_serializing_if = "is_empty")]
        pub exposed_ports: Option<Set>,
        /// Whether the process gets a terminal.
        pub tty: bool,
        /// Whether standard input is kept open.
        pub open_stdin: bool,
        /// Whether standard input closes after the first attached client.
        pub stdin_once: bool,
        /// `NAME=value`.
        pub env: Option<Vec<String>>,
        /// The command, or the entry point's arguments.
        pub cmd: Option<Arguments>,
        /// How to tell whether it works.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub healthcheck: Option<Healthcheck>,
        /// Windows only.
        #[serde(skip_serializing_if = "is_zero")]
        pub args_escaped: bool,
        /// The image as it was asked for.
        pub image: String,
        /// Directories that get anonymous volumes.
        pub volumes: Option<Set>,
        /// Working directory.
        pub working_dir: String,
        /// The program that gets the command as arguments.
        pub entrypoint: Option<Arguments>,
        /// Whether it gets no network.
        #[serde(skip_serializing_if = "is_zero")]
        pub network_disabled: bool,
        /// Hardware address (below 1.44; later in the endpoint).
        #[serde(skip_serializing_if = "is_zero")]
        pub mac_address: String,
        /// Build steps for images built on this one.
        pub on_build: Option<Vec<String>>,
        /// The user's labels.
        pub labels: Option<BTreeMap<String, String>>,
        /// The signal that stops it; empty for SIGTERM.
        #[serde(skip_serializing_if = "is_zero")]
        pub stop_signal: String,
        /// Seconds to wait before it is killed; -1 for ever.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub stop_timeout: Option<i64>,
        /// The shell of the shell forms.
        #[serde(skip_serializing_if = "is_empty")]
        pub shell: Option<Vec<String>>,
    }
}

body! {
    /// How to tell whether a container works. Times are in nanoseconds; 0 inherits.
    pub struct Healthcheck {
        /// `NONE`, `CMD …` or `CMD-SHELL …`; empty inherits.
        #[serde(skip_serializing_if = "is_empty")]
        pub test: Option<Vec<String>>,
        /// Between the end of one probe and the start of the next.
        #[serde(skip_serializing_if = "is_zero")]
        pub interval: i64,
        /// A probe's time limit.
        #[serde(skip_serializing_if = "is_zero")]
        pub timeout: i64,
        /// The time a container may take to come up.
        #[serde(skip_serializing_if = "is_zero")]
        pub start_period: i64,
        /// The interval during that time (1.44).
        #[serde(skip_serializing_if = "is_zero")]
        pub start_interval: i64,
        /// Failures in a row that make it unhealthy.
        #[serde(skip_serializing_if = "is_zero")]
        pub retries: i64,
    }
}

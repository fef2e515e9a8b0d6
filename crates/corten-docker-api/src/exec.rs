//! `/containers/{id}/exec` and `/exec/{id}`.

use crate::json::{body, is_zero};

body! {
    /// `POST /containers/{id}/exec`.
    pub struct ExecCreate {
        /// User, `name[:group]` or `uid[:gid]`; empty for the container's.
        pub user: String,
        /// Whether it gets all capabilities.
        pub privileged: bool,
        /// Whether it gets a terminal.
        pub tty: bool,
        /// The terminal's first size: height, width (1.42).
        #[serde(skip_serializing_if = "Option::is_none")]
        pub console_size: Option<[u32; 2]>,
        /// Whether standard input is attached.
        pub attach_stdin: bool,
        /// Whether standard error is attached.
        pub attach_stderr: bool,
        /// Whether standard output is attached.
        pub attach_stdout: bool,
        /// The key sequence that detaches; empty for the default.
        pub detach_keys: String,
        /// Environment added to the container's.
        pub env: Option<Vec<String>>,
        /// Working directory; empty for the container's.
        pub working_dir: String,
        /// The command line.
        pub cmd: Option<Vec<String>>,
    }
}

body! {
    /// The answer to an exec's creation.
    pub struct ExecCreated {
        /// 64 hexadecimal digits.
        pub id: String,
    }
}

body! {
    /// `POST /exec/{id}/start`.
    pub struct ExecStart {
        /// Whether the call returns at once.
        pub detach: bool,
        /// Whether it has a terminal.
        pub tty: bool,
        /// The terminal's first size: height, width (1.42).
        #[serde(skip_serializing_if = "Option::is_none")]
        pub console_size: Option<[u32; 2]>,
    }
}

body! {
    /// `GET /exec/{id}/json`.
    pub struct ExecInspect {
        /// The exec's id.
        #[serde(rename = "ID")]
        pub id: String,
        /// Whether its process lives.
        pub running: bool,
        /// Its exit status; `null` while it has none.
        pub exit_code: Option<i64>,
        /// The command.
        pub process_config: ExecProcess,
        /// Whether standard input is attached.
        pub open_stdin: bool,
        /// Whether standard error is attached.
        pub open_stderr: bool,
        /// Whether standard output is attached.
        pub open_stdout: bool,
        /// Whether it may be removed.
        pub can_remove: bool,
        /// The container's id.
        #[serde(rename = "ContainerID")]
        pub container_id: String,
        /// The key sequence that detaches, as bytes; Go prints them in base64.
        pub detach_keys: Option<String>,
        /// The host's process id; 0 before it starts.
        pub pid: i64,
    }
}

body! {
    in "camelCase",
    /// The command of an exec.
    pub struct ExecProcess {
        /// Whether it has a terminal.
        pub tty: bool,
        /// The program.
        pub entrypoint: String,
        /// Its arguments.
        pub arguments: Option<Vec<String>>,
        /// Whether it has all capabilities.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub privileged: Option<bool>,
        /// Its user.
        #[serde(skip_serializing_if = "is_zero")]
        pub user: String,
    }
}

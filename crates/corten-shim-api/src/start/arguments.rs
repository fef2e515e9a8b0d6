//! The command line and environment of a shim binary, both ends.
//!
//! containerd writes Go flags with one dash; two are accepted too, as Go does, and `-flag=value`.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
};

/// What the binary is called for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Bring up the daemon and print its address.
    Start,
    /// Clean up after a dead shim and print the exit of its container.
    Delete,
    /// Serve on the listener inherited as descriptor 3.
    Serve,
    /// Print what this shim is (`-info`).
    Info,
    /// Print the version (`-v`, `-version`).
    Version,
}

/// A parsed command line of a shim binary.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invocation {
    /// What is asked for.
    pub action: Action,
    /// The containerd namespace.
    pub namespace: String,
    /// The container's id.
    pub id: String,
    /// The supervisor's gRPC socket.
    pub address: String,
    /// The binary to publish events with where there is no ttrpc socket.
    pub publish_binary: String,
    /// The bundle; only `delete` is told, and the working directory everywhere.
    pub bundle: Option<PathBuf>,
    /// The socket to listen on, instead of one named by a hash.
    pub socket: Option<PathBuf>,
    /// The debug socket; accepted and not served.
    pub debug_socket: Option<PathBuf>,
    /// Log at debug level.
    pub debug: bool,
}

/// A command line no shim understands.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UsageError {
    /// A flag that does not exist.
    #[error("flag provided but not defined: -{0}")]
    UnknownFlag(String),
    /// A flag without its value.
    #[error("flag needs an argument: -{0}")]
    MissingValue(String),
    /// A flag that is true or false, and was given something else.
    #[error("invalid boolean value {value:?} for -{flag}")]
    NotABoolean {
        /// The flag.
        flag: String,
        /// What was given.
        value: String,
    },
    /// An argument that is not text.
    #[error("the argument {0:?} is not UTF-8")]
    NotText(OsString),
    /// Neither `start`, `delete` nor nothing.
    #[error("unknown action {0:?}")]
    UnknownAction(String),
    /// A flag the action cannot do without.
    #[error("the flag -{0} is required")]
    Required(&'static str),
}

impl Invocation {
    /// Parses the arguments behind the program's name.
    ///
    /// # Errors
    /// [`UsageError`] naming the flag.
    pub fn parse<I: IntoIterator<Item = OsString>>(arguments: I) -> Result<Self, UsageError> {
        let mut parsed = Self {
            action: Action::Serve,
            namespace: String::new(),
            id: String::new(),
            address: String::new(),
            publish_binary: "containerd".to_owned(),
            bundle: None,
            socket: None,
            debug_socket: None,
            debug: false,
        };
        let mut asked = None;
        let mut action = None;
        let mut arguments = arguments.into_iter().map(|argument| argument.into_string().map_err(UsageError::NotText));
        while let Some(argument) = arguments.next().transpose()? {
            // Go's flag package ends at the first word without a dash, or at `--`.
            let Some(flag) = argument.strip_prefix('-').filter(|flag| !flag.is_empty() && *flag != "-") else {
                action = if argument == "--" { arguments.next().transpose()? } else { Some(argument) };
                break;
            };
            let flag = flag.strip_prefix('-').unwrap_or(flag);
            let (flag, inline) = match flag.split_once('=') {
                Some((flag, value)) => (flag, Some(value.to_owned())),
                None => (flag, None),
            };
            match flag {
                "debug" => parsed.debug = boolean(flag, inline)?,
                "v" | "version" if boolean(flag, inline.clone())? => asked = Some(Action::Version),
                "info" if boolean(flag, inline.clone())? => asked = Some(Action::Info),
                "v" | "version" | "info" => {}
                "namespace" | "id" | "address" | "publish-binary" | "bundle" | "socket" | "debug-socket" => {
                    let value = match inline {
                        Some(value) => value,
                        None => {
                            arguments.next().transpose()?.ok_or_else(|| UsageError::MissingValue(flag.to_owned()))?
                        }
                    };
                    parsed.set(flag, value);
                }
                unknown => return Err(UsageError::UnknownFlag(unknown.to_owned())),
            }
        }
        parsed.action = match (asked, action.as_deref()) {
            (Some(asked), _) => asked,
            (None, Some("start")) => Action::Start,
            (None, Some("delete")) => Action::Delete,
            (None, None | Some("")) => Action::Serve,
            (None, Some(other)) => return Err(UsageError::UnknownAction(other.to_owned())),
        };
        parsed.check()?;
        Ok(parsed)
    }

    fn set(&mut self, flag: &str, value: String) {
        match flag {
            "namespace" => self.namespace = value,
            "id" => self.id = value,
            "address" => self.address = value,
            "publish-binary" => self.publish_binary = value,
            "bundle" => self.bundle = Some(value.into()).filter(|path: &PathBuf| !path.as_os_str().is_empty()),
            "socket" => self.socket = Some(value.into()).filter(|path: &PathBuf| !path.as_os_str().is_empty()),
            "debug-socket" => self.debug_socket = Some(value.into()),
            _ => unreachable!("the caller matched the flag"),
        }
    }

    fn check(&self) -> Result<(), UsageError> {
        if matches!(self.action, Action::Start | Action::Delete | Action::Serve) {
            if self.namespace.is_empty() {
                return Err(UsageError::Required("namespace"));
            }
            if self.id.is_empty() {
                return Err(UsageError::Required("id"));
            }
        }
        Ok(())
    }
}

fn boolean(flag: &str, value: Option<String>) -> Result<bool, UsageError> {
    match value.as_deref() {
        None | Some("1" | "t" | "T" | "true" | "TRUE" | "True") => Ok(true),
        Some("0" | "f" | "F" | "false" | "FALSE" | "False") => Ok(false),
        Some(value) => Err(UsageError::NotABoolean { flag: flag.to_owned(), value: value.to_owned() }),
    }
}

/// What a supervisor starts a shim's binary with.
///
/// The working directory must be the bundle, the process must have a process group of its own, and
/// standard input carries [`StartInput`](super::StartInput); see [`SpawnArgs::stdin`].
#[derive(Debug, Clone)]
pub struct SpawnArgs<'a> {
    /// The containerd namespace.
    pub namespace: &'a str,
    /// The container's id.
    pub id: &'a str,
    /// The supervisor's gRPC socket.
    pub address: &'a str,
    /// The supervisor's ttrpc socket, for events.
    pub ttrpc_address: &'a str,
    /// The binary to publish events with.
    pub publish_binary: &'a Path,
    /// The bundle.
    pub bundle: &'a Path,
    /// Log at debug level.
    pub debug: bool,
}

impl SpawnArgs<'_> {
    /// The arguments of `start`.
    pub fn start(&self) -> Vec<OsString> {
        let mut arguments = self.common();
        arguments.push("start".into());
        arguments
    }

    /// The arguments of `delete`.
    pub fn delete(&self) -> Vec<OsString> {
        let mut arguments = self.common();
        arguments.extend(["-bundle".into(), self.bundle.into(), "delete".into()]);
        arguments
    }

    fn common(&self) -> Vec<OsString> {
        let mut arguments: Vec<OsString> = vec![
            "-namespace".into(),
            self.namespace.into(),
            "-address".into(),
            self.address.into(),
            "-publish-binary".into(),
            self.publish_binary.into(),
            "-id".into(),
            self.id.into(),
        ];
        if self.debug {
            arguments.push("-debug".into());
        }
        arguments
    }

    /// Environment variables to add, those of containerd 1.7 and later.
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        vec![
            ("TTRPC_ADDRESS", self.ttrpc_address.to_owned()),
            ("GRPC_ADDRESS", self.address.to_owned()),
            ("NAMESPACE", self.namespace.to_owned()),
            ("MAX_SHIM_VERSION", "2".to_owned()),
            ("GOMAXPROCS", "2".to_owned()),
        ]
    }

    /// Standard input of `start`: the options as one Any, or nothing.
    pub fn stdin(options: Option<&prost_types::Any>) -> Vec<u8> {
        use prost::Message;
        options.map(Message::encode_to_vec).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Invocation, UsageError> {
        Invocation::parse(line.split_whitespace().map(OsString::from))
    }

    #[test]
    fn the_form_of_containerd_1_6_is_read() {
        let parsed =
            parse("-namespace ns -address /run/c.sock -publish-binary /usr/bin/containerd -id x -debug start").unwrap();
        assert_eq!(parsed.action, Action::Start);
        assert_eq!((parsed.namespace.as_str(), parsed.id.as_str()), ("ns", "x"));
        assert_eq!(parsed.publish_binary, "/usr/bin/containerd");
        assert!(parsed.debug);
    }

    #[test]
    fn two_dashes_and_inline_values_are_read() {
        let parsed = parse("--namespace=ns --id=x -debug=false -bundle=/b delete").unwrap();
        assert_eq!(parsed.action, Action::Delete);
        assert_eq!(parsed.bundle.as_deref(), Some(Path::new("/b")));
        assert!(!parsed.debug);
    }

    #[test]
    fn what_is_not_understood_is_named() {
        let cases = [
            ("-nope", "flag provided but not defined: -nope"),
            ("-id", "flag needs an argument: -id"),
            ("-debug=maybe -namespace n -id x start", "invalid boolean value \"maybe\" for -debug"),
            ("-namespace n -id x stop", "unknown action \"stop\""),
            ("-id x start", "the flag -namespace is required"),
            ("-namespace n start", "the flag -id is required"),
        ];
        for (line, text) in cases {
            assert_eq!(parse(line).unwrap_err().to_string(), text, "{line}");
        }
    }

    #[test]
    fn version_and_info_need_nothing_else() {
        assert_eq!(parse("-v").unwrap().action, Action::Version);
        assert_eq!(parse("--version").unwrap().action, Action::Version);
        assert_eq!(parse("-info").unwrap().action, Action::Info);
    }

    #[test]
    fn what_the_driver_writes_the_shim_reads() {
        let spawn = SpawnArgs {
            namespace: "moby",
            id: "x",
            address: "/run/s.sock",
            ttrpc_address: "/run/s.sock.ttrpc",
            publish_binary: Path::new("/bin/corten-supervisor"),
            bundle: Path::new("/b"),
            debug: true,
        };
        assert_eq!(Invocation::parse(spawn.start()).unwrap().action, Action::Start);
        let delete = Invocation::parse(spawn.delete()).unwrap();
        assert_eq!((delete.action, delete.bundle.as_deref()), (Action::Delete, Some(Path::new("/b"))));
    }
}

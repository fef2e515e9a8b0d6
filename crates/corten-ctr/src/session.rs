//! One invocation: the connection, the command's arguments, and how it may fail.

use std::error::Error;
use std::fmt;
use std::path::Path;
use std::time::Duration;

use clap::ArgMatches;
use corten_containerd_api::{ApiError, Client};
use corten_types::ErrorKind;

/// How a command ends other than well.
#[derive(Debug)]
pub enum Failure {
    /// With the exit status of a container's process.
    Exit(u8),
    /// With the command's help, which was asked for by wrong arguments.
    Help(String),
    /// With a sentence.
    Error(Box<dyn Error + Send + Sync>),
}

/// What commands return.
pub type Outcome = Result<(), Failure>;

impl<E: Into<Box<dyn Error + Send + Sync>>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Error(error.into())
    }
}

/// A sentence of our own.
pub fn sentence(text: impl Into<String>) -> Failure {
    Failure::Error(text.into().into())
}

/// An answer of containerd as ctr prints it: the reason, then the phrase of its class.
pub fn api(error: impl Into<ApiError>) -> Failure {
    let error: ApiError = error.into();
    let phrase = match error.kind() {
        ErrorKind::Canceled => "context canceled",
        ErrorKind::DeadlineExceeded => "context deadline exceeded",
        // What has no class of its own for Go's client is unknown to it.
        ErrorKind::Internal | ErrorKind::PermissionDenied | ErrorKind::ResourceExhausted | ErrorKind::OutOfRange => {
            "unknown"
        }
        kind => kind.phrase(),
    };
    if error.message() == phrase { sentence(phrase) } else { sentence(format!("{}: {phrase}", error.reason())) }
}

/// The connection and the arguments of one command.
pub struct Session {
    /// The containerd, in the namespace asked for.
    pub client: Client,
    /// The command's own arguments.
    pub arguments: ArgMatches,
    /// The namespace asked for.
    pub namespace: String,
}

impl Session {
    /// Connects; an address where nobody listens fails at once instead of after ten seconds.
    ///
    /// # Errors
    /// The address and the reason.
    pub fn connect(address: &str, namespace: &str, arguments: ArgMatches) -> Result<Self, Failure> {
        if let Err(error) = corten_sys::sockets::connect(Path::new(address)) {
            return Err(sentence(format!("failed to dial {address:?}: {error}")));
        }
        let client = Client::connect(address, namespace)?;
        Ok(Self { client, arguments, namespace: namespace.to_owned() })
    }

    /// Whether the switch `name` was given.
    pub fn is_set(&self, name: &str) -> bool {
        self.arguments.get_flag(name)
    }

    /// The value of the flag `name`, empty when it has none.
    pub fn value(&self, name: &str) -> &str {
        self.arguments.get_one::<String>(name).map_or("", String::as_str)
    }

    /// The value of the flag `name` when it was given on the command line.
    pub fn given(&self, name: &str) -> Option<&str> {
        let source = self.arguments.value_source(name);
        (source == Some(clap::parser::ValueSource::CommandLine)).then(|| self.value(name))
    }

    /// All values of the flag `name`.
    pub fn values(&self, name: &str) -> Vec<String> {
        self.arguments.get_many::<String>(name).into_iter().flatten().cloned().collect()
    }

    /// The flag `name` as a number.
    ///
    /// # Errors
    /// What was given instead.
    pub fn number<N: std::str::FromStr>(&self, name: &str) -> Result<N, Failure> {
        let value = self.value(name);
        value.parse().map_err(|_| sentence(format!("invalid value {value:?} for flag --{name}")))
    }

    /// What stands behind the flags.
    pub fn words(&self) -> Vec<String> {
        self.values("ARGS")
    }

    /// The first word, or `missing` as the error.
    ///
    /// # Errors
    /// `missing`.
    pub fn first(&self, missing: &str) -> Result<String, Failure> {
        self.words().into_iter().next().filter(|word| !word.is_empty()).ok_or_else(|| sentence(missing))
    }

    /// The snapshotter asked for by flag or environment, overlayfs otherwise.
    pub fn snapshotter(&self) -> String {
        match self.arguments.try_get_one::<String>("snapshotter") {
            Ok(Some(name)) if !name.is_empty() => name.clone(),
            _ => std::env::var("CONTAINERD_SNAPSHOTTER")
                .ok()
                .filter(|name| !name.is_empty())
                .unwrap_or_else(|| "overlayfs".to_owned()),
        }
    }
}

/// `KEY=VALUE` words as labels; a word without `=` is a key with an empty value.
pub fn labels<'a>(words: impl IntoIterator<Item = &'a String>) -> std::collections::BTreeMap<String, String> {
    let pair = |word: &'a String| {
        let (key, value) = word.split_once('=').unwrap_or((word, ""));
        (key.to_owned(), value.to_owned())
    };
    words.into_iter().map(pair).collect()
}

/// Labels on one line, in order of key: ctr prints them in the random order of Go's maps.
pub fn show_labels<'a>(labels: impl IntoIterator<Item = (&'a String, &'a String)>) -> String {
    let mut pairs: Vec<String> = labels.into_iter().map(|(key, value)| format!("{key}={value}")).collect();
    pairs.sort_unstable();
    pairs.join(",")
}

/// The mask that sets exactly these labels.
pub fn label_mask(labels: &std::collections::BTreeMap<String, String>) -> prost_types::FieldMask {
    prost_types::FieldMask { paths: labels.keys().map(|key| format!("labels.{key}")).collect() }
}

/// Logs a warning about one item where the command goes on, in logrus' words.
pub fn warn(message: impl fmt::Display) {
    eprintln!("time=\"{}\" level=warning msg={:?}", clock(), message.to_string());
}

/// Logs an error of one item where the command goes on, in logrus' words.
pub fn log_error(message: impl fmt::Display, error: &Failure) {
    eprintln!("time=\"{}\" level=error msg={:?} error={:?}", clock(), message.to_string(), text(error));
}

fn clock() -> String {
    let now = corten_containerd_api::rfc3339(std::time::SystemTime::now());
    format!("{}Z", now.split(['.', 'Z']).next().unwrap_or_default())
}

/// The text of a failure, for [`log_error`].
pub fn text(failure: &Failure) -> String {
    match failure {
        Failure::Exit(code) => format!("exit status {code}"),
        Failure::Help(text) => text.clone(),
        Failure::Error(error) => corten_types::error::chain(error.as_ref()),
    }
}

/// Go's durations: `1h30m`, `10s`, `300ms`, `0`.
///
/// # Errors
/// What cannot be read.
pub fn duration(text: &str) -> Result<Duration, Failure> {
    let invalid = || sentence(format!("time: invalid duration {text:?}"));
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let mut rest = text;
    let mut total = 0.0_f64;
    if rest.is_empty() {
        return Err(invalid());
    }
    while !rest.is_empty() {
        let end = rest.find(|letter: char| !letter.is_ascii_digit() && letter != '.').ok_or_else(invalid)?;
        let (number, behind) = rest.split_at(end);
        let unit_end = behind.find(|letter: char| letter.is_ascii_digit()).unwrap_or(behind.len());
        let (unit, behind) = behind.split_at(unit_end);
        let factor = match unit {
            "ns" => 1e-9,
            "us" | "µs" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            _ => return Err(invalid()),
        };
        total += number.parse::<f64>().map_err(|_| invalid())? * factor;
        rest = behind;
    }
    Duration::try_from_secs_f64(total).map_err(|_| invalid())
}

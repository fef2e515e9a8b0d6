//! Log set-up of the programs. Libraries use the `tracing` facade and never link this crate.

use std::str::FromStr;

use tracing_subscriber::{EnvFilter, fmt};

/// How a log line is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// One readable line.
    Text,
    /// One JSON object.
    Json,
}

/// The levels that dockerd's and containerd's `--log-level` take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// Everything.
    Trace,
    /// One span per request.
    Debug,
    /// State changes.
    Info,
    /// We carried on, something was left behind.
    Warn,
    /// An operator must look.
    Error,
}

/// The text is no log level.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LevelError(pub String);

impl std::fmt::Display for LevelError {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "log level {:?}: not one of trace, debug, info, warn, error, fatal, panic", self.0)
    }
}

impl std::error::Error for LevelError {}

impl FromStr for Level {
    type Err = LevelError;

    fn from_str(text: &str) -> Result<Self, LevelError> {
        match text {
            "trace" => Ok(Self::Trace),
            "debug" => Ok(Self::Debug),
            "info" => Ok(Self::Info),
            "warn" | "warning" => Ok(Self::Warn),
            // logrus has two levels above error; we never log at them.
            "error" | "fatal" | "panic" => Ok(Self::Error),
            _ => Err(LevelError(text.to_owned())),
        }
    }
}

impl Level {
    const fn directive(self) -> &'static str {
        match self {
            Self::Trace => "trace",
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
        }
    }
}

/// Writes the program's log to standard error from now on.
///
/// At `debug` only our own crates are that talkative; the HTTP and gRPC libraries stay at `info`.
/// A second call changes nothing.
pub fn init(level: Level, format: Format) {
    let own = level.directive();
    let others = match level {
        Level::Trace => "debug",
        Level::Debug | Level::Info => "info",
        Level::Warn => "warn",
        Level::Error => "error",
    };
    let filter = EnvFilter::new(format!(
        "{others},corten_engine={own},corten_supervisor={own},corten_images={own},corten_snapshots={own},\
         corten_layers={own},corten_stdio={own},corten_shim_api={own},corten_containerd_api={own}"
    ));
    // A line that cannot be written, to a full disk or a reader that is gone, is lost: the complaint about it would go to
    // the same place by `eprintln!`, which panics there, in the middle of a request.
    let builder =
        fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(false).log_internal_errors(false);
    // An error means that a subscriber is set already.
    let _ = match format {
        Format::Text => builder.try_init(),
        Format::Json => builder.json().try_init(),
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_originals_levels_are_known() {
        for level in ["trace", "debug", "info", "warn", "error", "fatal", "panic"] {
            assert!(level.parse::<Level>().is_ok(), "{level}");
        }
        assert_eq!("loud".parse::<Level>(), Err(LevelError("loud".into())));
    }
}

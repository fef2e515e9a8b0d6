//! Where a container's output goes: its log options, checked and applied.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use corten_docker_api::containers::LogConfig;
use corten_stdio::{Driver, StdinMode, StdioFile, stdio_file};

use super::record::Record;
use crate::errors::{EngineError, Result};

/// The drivers that are there.
pub const DRIVERS: [&str; 2] = ["json-file", "none"];

/// Options of json-file that are understood.
const OPTIONS: [&str; 5] = ["max-size", "max-file", "compress", "labels", "env"];

/// Options of json-file that docker has and that are not built yet.
const LATER: [&str; 5] = ["labels-regex", "env-regex", "tag", "mode", "max-buffer-size"];

/// Checks the driver and its options.
///
/// # Errors
/// 400 in docker's words, 501 for what is not built yet.
pub fn check(log: &LogConfig) -> Result<()> {
    let options = log.config.clone().unwrap_or_default();
    match log.kind.as_str() {
        "" | "json-file" => {}
        "none" => return Ok(()),
        "local" | "syslog" | "journald" | "gelf" | "fluentd" | "awslogs" | "splunk" | "gcplogs" | "etwlogs" => {
            return Err(EngineError::unimplemented(format!(
                "HostConfig.LogConfig: log driver {}: not supported yet",
                log.kind
            )));
        }
        other => {
            return Err(EngineError::invalid(format!("logger: no log driver named '{other}' is registered")));
        }
    }
    for name in options.keys() {
        match name.as_str() {
            name if OPTIONS.contains(&name) => {}
            "mode" if options[name] == "blocking" => {}
            name if LATER.contains(&name) => {
                return Err(EngineError::unimplemented(format!(
                    "HostConfig.LogConfig: log option {name}: not supported yet"
                )));
            }
            name => return Err(EngineError::invalid(format!("unknown log opt '{name}' for json-file log driver"))),
        }
    }
    limits(&options).map(drop)
}

/// Size and number of log files.
struct Limits {
    max_size_bytes: u64,
    max_files: u32,
    compress: bool,
}

fn limits(options: &BTreeMap<String, String>) -> Result<Limits> {
    let invalid =
        |name: &str| EngineError::invalid(format!("invalid value for log option {name}: {:?}", options[name]));
    let max_size_bytes = match options.get("max-size").map(String::as_str) {
        None | Some("" | "-1") => 0,
        Some(text) => size_bytes(text).filter(|size| *size > 0).ok_or_else(|| invalid("max-size"))?,
    };
    let max_files = match options.get("max-file") {
        None => 1,
        Some(text) => text.parse::<u32>().ok().filter(|count| *count > 0).ok_or_else(|| invalid("max-file"))?,
    };
    let compress = match options.get("compress").map(String::as_str) {
        None | Some("false") => false,
        Some("true") => true,
        Some(_) => return Err(invalid("compress")),
    };
    if max_files > 1 && max_size_bytes == 0 {
        return Err(EngineError::invalid("max-file cannot be set without max-size"));
    }
    if compress && (max_files == 1 || max_size_bytes == 0) {
        return Err(EngineError::invalid(
            "compress cannot be true when max-file is less than 2 or max-size is not set",
        ));
    }
    Ok(Limits { max_size_bytes, max_files, compress })
}

/// Reads `10m`, `1.5GB`, `512`: units of 1024, as docker's go-units.
pub fn size_bytes(text: &str) -> Option<u64> {
    let lower = text.trim().to_ascii_lowercase();
    let digits = lower.trim_end_matches(|letter: char| letter.is_ascii_alphabetic() || letter == ' ');
    let factor: u64 = match lower[digits.len()..].trim() {
        "" | "b" => 1,
        "k" | "kb" | "kib" => 1 << 10,
        "m" | "mb" | "mib" => 1 << 20,
        "g" | "gb" | "gib" => 1 << 30,
        "t" | "tb" | "tib" => 1 << 40,
        "p" | "pb" | "pib" => 1 << 50,
        _ => return None,
    };
    let number: f64 = digits.parse().ok().filter(|number: &f64| number.is_finite() && *number >= 0.0)?;
    Some((number * factor as f64) as u64)
}

/// The log of a container.
pub fn path(directory: &Path, id: &str) -> PathBuf {
    directory.join(format!("{id}-json.log"))
}

/// The file that tells the shim what to do with output and input.
pub fn stdio_path(directory: &Path) -> PathBuf {
    directory.join("stdio.json")
}

/// Where the shim takes attached clients.
pub fn attach_socket(directory: &Path) -> PathBuf {
    directory.join("attach.sock")
}

/// What the shim is told. Options the user did not give come from the daemon's defaults.
///
/// # Errors
/// When the daemon's own defaults are wrong.
pub fn stdio(record: &Record, directory: &Path, defaults: &BTreeMap<String, String>) -> Result<StdioFile> {
    let given = record.host_config.log_config.config.clone().unwrap_or_default();
    let options = if given.contains_key("max-size") || given.contains_key("max-file") {
        given
    } else {
        defaults.clone().into_iter().chain(given).collect()
    };
    let limits = limits(&options)?;
    let driver = if record.host_config.log_config.kind == "none" { Driver::None } else { Driver::JsonFile };
    let config = &record.config;
    let stdin = match (config.open_stdin, config.stdin_once) {
        (false, _) => StdinMode::Closed,
        (true, false) => StdinMode::Open,
        (true, true) => StdinMode::Once,
    };
    Ok(StdioFile {
        format: stdio_file::FORMAT,
        driver,
        log_path: path(directory, &record.id),
        max_size_bytes: limits.max_size_bytes,
        max_files: limits.max_files,
        compress: limits.compress,
        attrs: attributes(record, &options),
        stdin,
        terminal: config.tty,
        attach_socket: attach_socket(directory),
    })
}

/// Labels and variables that every record carries.
fn attributes(record: &Record, options: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let listed = |name: &str| options.get(name).map(String::as_str).unwrap_or_default().to_owned();
    let labels = record.labels();
    let mut attributes = BTreeMap::new();
    for name in listed("labels").split(',') {
        if let Some(value) = labels.get(name) {
            attributes.insert(name.to_owned(), value.clone());
        }
    }
    for name in listed("env").split(',') {
        let prefix = format!("{name}=");
        let value = record.config.env.iter().flatten().find_map(|variable| variable.strip_prefix(&prefix));
        if let Some(value) = value.filter(|_| !name.is_empty()) {
            attributes.insert(name.to_owned(), value.to_owned());
        }
    }
    attributes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_counted_in_units_of_1024() {
        assert_eq!(size_bytes("10m"), Some(10 << 20));
        assert_eq!(size_bytes("1.5GB"), Some(3 << 29));
        assert_eq!(size_bytes("512"), Some(512));
        assert_eq!(size_bytes("4 kb"), Some(4096));
        for bad in ["", "m", "-1", "10x", "nan"] {
            assert_eq!(size_bytes(bad), None, "{bad}");
        }
    }

    #[test]
    fn options_are_refused_as_docker_refuses_them() {
        let check = |kind: &str, options: &[(&str, &str)]| {
            let config = options.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
            check(&LogConfig { kind: kind.to_owned(), config: Some(config) }).map_err(|error| error.message())
        };
        assert!(check("", &[("max-size", "1m"), ("max-file", "3"), ("compress", "true")]).is_ok());
        assert!(check("none", &[]).is_ok());
        assert_eq!(check("", &[("foo", "1")]).unwrap_err(), "unknown log opt 'foo' for json-file log driver");
        assert!(check("", &[("max-file", "3")]).unwrap_err().contains("without max-size"));
        assert!(check("oops", &[]).unwrap_err().contains("no log driver named 'oops'"));
        assert!(check("syslog", &[]).unwrap_err().contains("not supported yet"));
        assert!(check("", &[("tag", "x")]).unwrap_err().contains("log option tag: not supported yet"));
    }
}

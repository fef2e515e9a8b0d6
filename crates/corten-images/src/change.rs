//! Changes to an image's configuration, written as Dockerfile instructions (`import --change`, `commit --change`).

use std::collections::BTreeMap;

use corten_types::Signal;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::expand::{word, words};

/// What containers of an image run by default, with docker's field names (docker image spec 1.2).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct RunConfig {
    /// User or uid, with group.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub user: String,
    /// `80/tcp` and so on.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub exposed_ports: BTreeMap<String, Map<String, Value>>,
    /// `NAME=value`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<String>,
    /// What is run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entrypoint: Option<Vec<String>>,
    /// Its arguments, or what is run when there is no entrypoint.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cmd: Option<Vec<String>>,
    /// Paths that are volumes.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub volumes: BTreeMap<String, Map<String, Value>>,
    /// Where it is run.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub working_dir: String,
    /// Free labels.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// The signal that stops it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub stop_signal: String,
    /// Instructions for builds on top.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub on_build: Vec<String>,
    /// How its health is told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub healthcheck: Option<Healthcheck>,
    /// The shell of the shell forms.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub shell: Vec<String>,
}

/// A health check; times in nanoseconds, as docker stores them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Healthcheck {
    /// `["CMD", …]`, `["CMD-SHELL", text]` or `["NONE"]`.
    pub test: Vec<String>,
    /// Between two checks.
    #[serde(skip_serializing_if = "is_zero")]
    pub interval: i64,
    /// For one check.
    #[serde(skip_serializing_if = "is_zero")]
    pub timeout: i64,
    /// At the start, when failures do not count.
    #[serde(skip_serializing_if = "is_zero")]
    pub start_period: i64,
    /// Between two checks at the start.
    #[serde(skip_serializing_if = "is_zero")]
    pub start_interval: i64,
    /// Failures in a row that mean unhealthy.
    #[serde(skip_serializing_if = "is_zero")]
    pub retries: i64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(number: &i64) -> bool {
    *number == 0
}

/// One instruction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    instruction: String,
    rest: String,
}

/// An instruction that cannot be applied; docker's texts where it has one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChangeError {
    /// Not one of those that change a configuration.
    #[error("{0} is not a valid change command")]
    Instruction(String),
    /// It needs something behind it.
    #[error("{0} requires at least one argument")]
    Empty(String),
    /// What is behind it is wrong.
    #[error("{instruction} {text:?}: {why}")]
    Argument {
        /// Which instruction.
        instruction: String,
        /// What was given.
        text: String,
        /// Why it is refused.
        why: String,
    },
}

impl std::str::FromStr for Change {
    type Err = ChangeError;

    fn from_str(text: &str) -> Result<Self, ChangeError> {
        let text = text.trim();
        let (instruction, rest) = text.split_once([' ', '\t']).unwrap_or((text, ""));
        let instruction = instruction.to_ascii_uppercase();
        let known = [
            "CMD",
            "ENTRYPOINT",
            "ENV",
            "EXPOSE",
            "HEALTHCHECK",
            "LABEL",
            "ONBUILD",
            "STOPSIGNAL",
            "USER",
            "VOLUME",
            "WORKDIR",
        ];
        if !known.contains(&instruction.as_str()) {
            return Err(ChangeError::Instruction(instruction));
        }
        let rest = rest.trim().to_owned();
        // CMD and ENTRYPOINT alone empty what was there.
        if rest.is_empty() && !matches!(instruction.as_str(), "CMD" | "ENTRYPOINT") {
            return Err(ChangeError::Empty(instruction));
        }
        let change = Self { instruction, rest };
        change.apply(&mut RunConfig::default())?;
        Ok(change)
    }
}

impl std::fmt::Display for Change {
    /// As it is read again.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.instruction, self.rest)
    }
}

impl Change {
    /// The instruction, in capitals.
    pub fn instruction(&self) -> &str {
        &self.instruction
    }

    /// Changes `config`.
    ///
    /// # Errors
    /// [`ChangeError::Argument`] when a variable of the configuration makes an argument invalid.
    pub fn apply(&self, config: &mut RunConfig) -> Result<(), ChangeError> {
        let env = config.env.clone();
        let refused =
            |why: String| ChangeError::Argument { instruction: self.instruction.clone(), text: self.rest.clone(), why };
        let one = || word(&self.rest, &env).map_err(refused);
        let many = || words(&self.rest, &env).map_err(refused);
        match self.instruction.as_str() {
            "CMD" => config.cmd = Some(command(&self.rest)),
            "ENTRYPOINT" => config.entrypoint = Some(command(&self.rest)),
            "ENV" => {
                for (key, value) in pairs(&self.rest, &env).map_err(refused)? {
                    config.env.retain(|pair| pair.split_once('=').is_none_or(|(known, _)| known != key));
                    config.env.push(format!("{key}={value}"));
                }
            }
            "LABEL" => config.labels.extend(pairs(&self.rest, &env).map_err(refused)?),
            "EXPOSE" => {
                for port in many()? {
                    for port in ports(&port).map_err(refused)? {
                        config.exposed_ports.insert(port, Map::new());
                    }
                }
            }
            "VOLUME" => {
                let paths = json_words(&self.rest).map_or_else(many, Ok)?;
                if paths.iter().any(String::is_empty) {
                    return Err(refused("VOLUME specified can not be an empty string".to_owned()));
                }
                config.volumes.extend(paths.into_iter().map(|path| (path, Map::new())));
            }
            "USER" => config.user = one()?,
            "WORKDIR" => config.working_dir = join(&config.working_dir, &one()?),
            "STOPSIGNAL" => {
                let signal = one()?;
                signal.parse::<Signal>().map_err(|error| refused(error.to_string()))?;
                config.stop_signal = signal;
            }
            "ONBUILD" => {
                let trigger = self.rest.split([' ', '\t']).next().unwrap_or_default().to_ascii_uppercase();
                if matches!(trigger.as_str(), "ONBUILD" | "FROM" | "MAINTAINER") {
                    return Err(refused(format!("{trigger} isn't allowed as an ONBUILD trigger")));
                }
                config.on_build.push(self.rest.clone());
            }
            "HEALTHCHECK" => config.healthcheck = Some(healthcheck(&self.rest).map_err(refused)?),
            other => return Err(ChangeError::Instruction(other.to_owned())),
        }
        Ok(())
    }
}

fn json_words(text: &str) -> Option<Vec<String>> {
    text.starts_with('[').then(|| serde_json::from_str(text).ok()).flatten()
}

/// JSON form, or shell form when it does not parse as an array of strings.
fn command(text: &str) -> Vec<String> {
    match json_words(text) {
        Some(words) => words,
        None if text.is_empty() => Vec::new(),
        None => vec!["/bin/sh".to_owned(), "-c".to_owned(), text.to_owned()],
    }
}

/// `a=1 b="2 3"`, or the old form `a the rest`.
fn pairs(text: &str, env: &[String]) -> Result<Vec<(String, String)>, String> {
    let first = text.split([' ', '\t']).next().unwrap_or_default();
    if !first.contains('=') {
        let (key, value) = text.split_once([' ', '\t']).ok_or("must have two arguments")?;
        return Ok(vec![(key.to_owned(), word(value.trim(), env)?)]);
    }
    let split = |pair: String| {
        let (key, value) =
            pair.split_once('=').ok_or(format!("can't find = in {pair:?}. Must be of the form: name=value"))?;
        if key.is_empty() {
            return Err("names can not be blank".to_owned());
        }
        Ok((key.to_owned(), value.to_owned()))
    };
    words(text, env)?.into_iter().map(split).collect()
}

/// `80`, `80/udp`, `8000-8010/tcp`, each port with its protocol.
fn ports(text: &str) -> Result<Vec<String>, String> {
    let (range, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let protocol = protocol.to_ascii_lowercase();
    if !matches!(protocol.as_str(), "tcp" | "udp" | "sctp") {
        return Err(format!("invalid proto: {protocol}"));
    }
    let (first, last) = range.split_once('-').unwrap_or((range, range));
    let parse = |port: &str| port.parse::<u16>().map_err(|_| format!("invalid containerPort: {port}"));
    let (first, last) = (parse(first)?, parse(last)?);
    if last < first {
        return Err(format!("invalid range specified for port: {range}"));
    }
    Ok((first..=last).map(|port| format!("{port}/{protocol}")).collect())
}

fn join(current: &str, path: &str) -> String {
    let whole = if path.starts_with('/') { path.to_owned() } else { format!("{current}/{path}") };
    let mut parts: Vec<&str> = Vec::new();
    for part in whole.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

fn healthcheck(text: &str) -> Result<Healthcheck, String> {
    let mut check = Healthcheck::default();
    let mut rest = text;
    while let Some(option) = rest.strip_prefix("--") {
        let (option, behind) = option.split_once([' ', '\t']).ok_or("missing command")?;
        let (name, value) = option.split_once('=').ok_or(format!("--{option} needs a value"))?;
        match name {
            "interval" => check.interval = duration(value)?,
            "timeout" => check.timeout = duration(value)?,
            "start-period" => check.start_period = duration(value)?,
            "start-interval" => check.start_interval = duration(value)?,
            "retries" => check.retries = value.parse().map_err(|_| format!("invalid --retries {value:?}"))?,
            _ => return Err(format!("unknown flag: {name}")),
        }
        rest = behind.trim_start();
    }
    let (kind, command) = rest.split_once([' ', '\t']).unwrap_or((rest, ""));
    match (kind.to_ascii_uppercase().as_str(), command.trim()) {
        ("NONE", "") => check.test = vec!["NONE".to_owned()],
        ("CMD", "") => return Err("missing command after HEALTHCHECK CMD".to_owned()),
        ("CMD", command) => {
            check.test = match json_words(command) {
                Some(words) => std::iter::once("CMD".to_owned()).chain(words).collect(),
                None => vec!["CMD-SHELL".to_owned(), command.to_owned()],
            };
        }
        (other, _) => return Err(format!("unknown type {other:?} (try CMD)")),
    }
    Ok(check)
}

/// Go's durations: `1h30m`, `1.5s`, `300ms`.
fn duration(text: &str) -> Result<i64, String> {
    let invalid = || format!("time: invalid duration {text:?}");
    let mut rest = text;
    let mut total = 0.0_f64;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(invalid)?;
        let (number, behind) = rest.split_at(end);
        let unit_end = behind.find(|c: char| c.is_ascii_digit()).unwrap_or(behind.len());
        let (unit, behind) = behind.split_at(unit_end);
        let factor = match unit {
            "ns" => 1.0,
            "us" | "µs" => 1e3,
            "ms" => 1e6,
            "s" => 1e9,
            "m" => 60e9,
            "h" => 3600e9,
            _ => return Err(invalid()),
        };
        total += number.parse::<f64>().map_err(|_| invalid())? * factor;
        rest = behind;
    }
    if text.is_empty() || total > 9e18 {
        return Err(invalid());
    }
    #[expect(clippy::cast_possible_truncation, reason = "checked above")]
    Ok(total as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changed(lines: &[&str]) -> Value {
        let mut config = RunConfig::default();
        for line in lines {
            line.parse::<Change>().unwrap().apply(&mut config).unwrap();
        }
        serde_json::to_value(config).unwrap()
    }

    #[test]
    fn every_instruction_changes_its_field() {
        for (lines, expected) in [
            (&["CMD [\"a\", \"b\"]"][..], r#"{"Cmd":["a","b"]}"#),
            (&["CMD echo hi"], r#"{"Cmd":["/bin/sh","-c","echo hi"]}"#),
            (&["cmd"], r#"{"Cmd":[]}"#),
            (&["ENTRYPOINT [\"/x\"]"], r#"{"Entrypoint":["/x"]}"#),
            (&["ENV A=1 B=\"2 3\"", "ENV C $A-x", "ENV A=9"], r#"{"Env":["B=2 3","C=1-x","A=9"]}"#),
            (&["EXPOSE 80 53/udp 90-91"], r#"{"ExposedPorts":{"53/udp":{},"80/tcp":{},"90/tcp":{},"91/tcp":{}}}"#),
            (&["LABEL a=b c='d e'"], r#"{"Labels":{"a":"b","c":"d e"}}"#),
            (&["USER 1:2"], r#"{"User":"1:2"}"#),
            (&["VOLUME /a /b"], r#"{"Volumes":{"/a":{},"/b":{}}}"#),
            (&["VOLUME [\"/a b\"]"], r#"{"Volumes":{"/a b":{}}}"#),
            (&["WORKDIR /a", "WORKDIR b/../c"], r#"{"WorkingDir":"/a/c"}"#),
            (&["ONBUILD RUN x"], r#"{"OnBuild":["RUN x"]}"#),
            (&["STOPSIGNAL SIGUSR1"], r#"{"StopSignal":"SIGUSR1"}"#),
            (
                &["HEALTHCHECK --interval=1m30s --retries=3 CMD curl -f x"],
                r#"{"Healthcheck":{"Test":["CMD-SHELL","curl -f x"],"Interval":90000000000,"Retries":3}}"#,
            ),
            (&["HEALTHCHECK NONE"], r#"{"Healthcheck":{"Test":["NONE"]}}"#),
        ] {
            assert_eq!(changed(lines), serde_json::from_str::<Value>(expected).unwrap(), "{lines:?}");
            for change in lines.iter().map(|line| line.parse::<Change>().unwrap()) {
                assert_eq!(change.to_string().parse(), Ok(change));
            }
        }
    }

    #[test]
    fn what_cannot_be_is_refused_by_name() {
        for (line, expected) in [
            ("RUN x", "RUN is not a valid change command"),
            ("ENV", "ENV requires at least one argument"),
            ("ENV A", "must have two arguments"),
            ("EXPOSE x", "invalid containerPort: x"),
            ("EXPOSE 80/icmp", "invalid proto: icmp"),
            ("STOPSIGNAL nope", "nope"),
            ("ONBUILD FROM x", "FROM isn't allowed as an ONBUILD trigger"),
            ("HEALTHCHECK --interval=x CMD y", "invalid duration"),
            ("LABEL a=b 'c", "matching '"),
        ] {
            let error = line.parse::<Change>().unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}

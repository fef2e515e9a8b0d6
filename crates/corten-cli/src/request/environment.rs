//! Variables, labels and other `key=value` lists, from flags and files.

use super::{Map, Outside, os_error};

/// `--env-file` and `--env`: files first, so that flags win.
///
/// # Errors
/// A file that cannot be read, a line that is no variable.
pub fn variables(files: &[String], given: &[String], outside: &dyn Outside) -> Result<Vec<String>, String> {
    let mut variables = Vec::new();
    for file in files {
        variables.extend(lines(file, outside, Valueless::FromEnvironment)?);
    }
    for variable in given {
        match (variable.contains('='), outside.variable(variable)) {
            (false, Some(value)) => variables.push(format!("{variable}={value}")),
            _ => variables.push(variable.clone()),
        }
    }
    Ok(variables)
}

/// `--label-file` and `--label`.
///
/// # Errors
/// A file that cannot be read, a line that is no label.
pub fn labels(files: &[String], given: &[String], outside: &dyn Outside) -> Result<Map, String> {
    let mut labels = Vec::new();
    for file in files {
        labels.extend(lines(file, outside, Valueless::Skip)?);
    }
    labels.extend(given.iter().cloned());
    Ok(map(&labels))
}

/// `key=value` texts as a map; the last one wins.
pub fn map(given: &[String]) -> Map {
    given
        .iter()
        .map(|text| {
            text.split_once('=')
                .map_or((text.clone(), String::new()), |(key, value)| (key.to_owned(), value.to_owned()))
        })
        .collect()
}

/// `--storage-opt`.
///
/// # Errors
/// An option without a value.
pub fn storage_options(given: &[String]) -> Result<Map, String> {
    if given.iter().any(|option| !option.contains('=')) {
        return Err("invalid storage option".to_owned());
    }
    Ok(map(given))
}

/// What a line without `=` means.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Valueless {
    FromEnvironment,
    Skip,
}

/// The lines of a file that say something. White space before a line is cut, behind it is part of the value.
fn lines(file: &str, outside: &dyn Outside, valueless: Valueless) -> Result<Vec<String>, String> {
    let bytes = outside.read(file).map_err(|error| os_error("open", file, &error))?;
    let mut found = Vec::new();
    let whole = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
    for (index, line) in whole.split(|byte| *byte == b'\n').enumerate() {
        let wrong = |problem: String| format!("invalid env file ({file}): {problem}");
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let line = std::str::from_utf8(line)
            .map_err(|_| wrong(format!("invalid utf8 bytes at line {}: {:?}", index + 1, line)))?;
        let line = line.trim_start();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (key, has_value) = line.split_once('=').map_or((line, false), |(key, _)| (key, true));
        if key.is_empty() {
            return Err(wrong(format!("no variable name on line '{line}'")));
        }
        if key.contains([' ', '\t']) {
            return Err(wrong(format!("variable '{key}' contains whitespaces")));
        }
        if has_value {
            found.push(line.to_owned());
        } else if let (Valueless::FromEnvironment, Some(value)) = (valueless, outside.variable(line)) {
            found.push(format!("{key}={value}"));
        }
    }
    Ok(found)
}

/// Check of `--env`.
pub fn check_variable(text: &str) -> Result<(), String> {
    if text.is_empty() || text.starts_with('=') {
        return Err(format!("invalid environment variable: {text}"));
    }
    Ok(())
}

/// Check of `--label`.
pub fn check_label(text: &str) -> Result<(), String> {
    let key = text.split('=').next().unwrap_or_default().trim_start_matches([' ', '\t']);
    if key.is_empty() {
        return Err(format!("invalid label '{text}': empty name"));
    }
    if key.contains([' ', '\t']) {
        return Err(format!("label '{key}' contains whitespaces"));
    }
    Ok(())
}

/// Check of `--sysctl`: what the kernel keeps per namespace.
pub fn check_sysctl(text: &str) -> Result<(), String> {
    const NAMES: [&str; 8] = [
        "kernel.msgmax",
        "kernel.msgmnb",
        "kernel.msgmni",
        "kernel.sem",
        "kernel.shmall",
        "kernel.shmmax",
        "kernel.shmmni",
        "kernel.shm_rmid_forced",
    ];
    match text.split_once('=') {
        Some((key, _)) if NAMES.contains(&key) || key.starts_with("net.") || key.starts_with("fs.mqueue.") => Ok(()),
        _ => Err(format!("sysctl '{text}' is not allowed")),
    }
}

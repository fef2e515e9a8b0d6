//! Devices of the host that a container gets.

use super::{Map, clean, mounts::csv};
use crate::arguments::Matches;
use corten_docker_api::containers::{Device, DeviceRequest, HostConfig};

/// Fills in the devices.
///
/// # Errors
/// A device that is no path.
pub fn fill(host: &mut HostConfig, matches: &Matches) -> Result<(), String> {
    let mut devices = Vec::new();
    let mut qualified = Vec::new();
    for device in matches.list("device") {
        if is_qualified_name(device) {
            qualified.push(device.clone());
        } else {
            devices.push(mapping(device)?);
        }
    }
    let mut requests =
        matches.list("gpus").iter().map(|request| gpu_request(request)).collect::<Result<Vec<_>, _>>()?;
    if !qualified.is_empty() {
        requests.push(DeviceRequest {
            driver: "cdi".to_owned(),
            device_ids: Some(qualified),
            ..DeviceRequest::default()
        });
    }
    host.devices = Some(devices);
    host.device_requests = Some(requests).filter(|requests| !requests.is_empty());
    let rules = matches.list("device-cgroup-rule");
    host.device_cgroup_rules = (!rules.is_empty()).then(|| rules.to_vec());
    Ok(())
}

/// `vendor.com/class=name`, a device of the container device interface.
fn is_qualified_name(text: &str) -> bool {
    let Some((kind, name)) = text.split_once('=') else { return false };
    let Some((vendor, class)) = kind.split_once('/') else { return false };
    let is_word = |word: &str| word.starts_with(|first: char| first.is_ascii_alphabetic()) && !word.contains('/');
    is_word(vendor) && is_word(class) && !name.is_empty()
}

fn is_permissions(text: &str) -> bool {
    let mut seen = Vec::new();
    !text.is_empty()
        && text.chars().all(|letter| {
            let is_new = "rwm".contains(letter) && !seen.contains(&letter);
            seen.push(letter);
            is_new
        })
}

/// `/dev/fuse`, `/dev/a:/dev/b`, `/dev/a:/dev/b:rw`.
fn mapping(text: &str) -> Result<Device, String> {
    let parts: Vec<&str> = text.split(':').collect();
    if parts.len() > 3 || parts[0].is_empty() {
        return Err(format!("bad format for path: {text}"));
    }
    let (source, target, permissions) = match parts.as_slice() {
        [path] => (clean(path), clean(path), "rwm"),
        [path, permissions] if is_permissions(permissions) => (clean(path), clean(path), *permissions),
        [source, target] => ((*source).to_owned(), clean(target), "rwm"),
        [_, _, permissions] if !is_permissions(permissions) => {
            return Err(format!("bad mode specified: {permissions}"));
        }
        [source, target, permissions] => ((*source).to_owned(), (*target).to_owned(), *permissions),
        _ => return Err(format!("bad format for path: {text}")),
    };
    if !target.starts_with('/') {
        let shown = if parts.len() == 1 || is_permissions(parts[1]) { parts[0] } else { parts[1] };
        return Err(format!("{shown} is not an absolute path"));
    }
    Ok(Device { path_on_host: source, path_in_container: target, cgroup_permissions: permissions.to_owned() })
}

/// Check of `--device-cgroup-rule`: `c 1:3 rwm`.
pub fn check_rule(text: &str) -> Result<(), String> {
    let wrong = || Err(format!("invalid device cgroup format '{text}'"));
    let parts: Vec<&str> = text.split(' ').collect();
    let [kind, numbers, permissions] = parts.as_slice() else { return wrong() };
    let is_number = |text: &str| text == "*" || (!text.is_empty() && text.bytes().all(|digit| digit.is_ascii_digit()));
    let Some((major, minor)) = numbers.split_once(':') else { return wrong() };
    let is_mode = (1..=3).contains(&permissions.len()) && permissions.chars().all(|letter| "rwm".contains(letter));
    if ["a", "b", "c"].contains(kind) && is_number(major) && is_number(minor) && is_mode { Ok(()) } else { wrong() }
}

/// Check of `--gpus`.
pub fn check_gpus(text: &str) -> Result<(), String> {
    gpu_request(text).map(drop)
}

fn gpu_request(text: &str) -> Result<DeviceRequest, String> {
    let count = |text: &str| match text {
        "all" => Ok(-1),
        number => number.parse::<i64>().map_err(|_| {
            format!("invalid count ({number}): value must be either \"all\" or an integer: invalid syntax")
        }),
    };
    let list = |text: &str| text.split(',').map(str::to_owned).collect::<Vec<_>>();
    let mut request = DeviceRequest {
        capabilities: Some(vec![vec!["gpu".to_owned()]]),
        options: Some(Map::new()),
        ..DeviceRequest::default()
    };
    let mut seen: Vec<String> = Vec::new();
    for field in csv(text)? {
        let (key, value) = match field.split_once('=') {
            Some((key, value)) => (key, value),
            None => ("count", field.as_str()),
        };
        if seen.iter().any(|known| known == key) {
            return Err(format!("gpu request key '{key}' can be specified only once"));
        }
        seen.push(key.to_owned());
        match key {
            "driver" => value.clone_into(&mut request.driver),
            "count" => request.count = count(value)?,
            "device" => request.device_ids = Some(list(value)),
            "capabilities" => {
                let mut all = list(value);
                all.push("gpu".to_owned());
                request.capabilities = Some(vec![all]);
            }
            "options" => request.options = Some(super::environment::map(&csv(value)?)),
            other => return Err(format!("unexpected key '{other}' in '{field}'")),
        }
    }
    if request.device_ids.is_none() && !seen.iter().any(|key| key == "count") {
        request.count = 1;
    }
    Ok(request)
}

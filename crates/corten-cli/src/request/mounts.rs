//! Binds, volumes, mounts, tmpfs.

use super::{Map, absolute_if_dotted};
use crate::flags::{parse_bool, quote};
use corten_docker_api::containers::{BindOptions, DriverConfig, ImageOptions, Mount, TmpfsOptions, VolumeOptions};
use corten_terminal::units::parse_binary_size;

/// `--volume` with a source: what is sent as binds. Each once, in order.
///
/// # Errors
/// docker's words for a specification that is none.
pub fn binds(volumes: &[String]) -> Result<Vec<String>, String> {
    let mut binds: Vec<String> = Vec::new();
    for text in volumes {
        let Some(source) = source(text)? else { continue };
        let bind = if source.starts_with('.') {
            format!("{}{}", absolute_if_dotted(source), &text[source.len()..])
        } else {
            text.clone()
        };
        if !binds.contains(&bind) {
            binds.push(bind);
        }
    }
    Ok(binds)
}

/// `--volume` without a source: anonymous volumes.
///
/// # Errors
/// docker's words for a specification that is none.
pub fn anonymous(volumes: &[String]) -> Result<Vec<String>, String> {
    let mut paths = Vec::new();
    for text in volumes {
        if source(text)?.is_none() {
            paths.push(text.clone());
        }
    }
    Ok(paths)
}

/// The source, when there is one. A single letter before a colon is a drive, as docker reads it on every
/// system, so the daemon is who refuses it here.
fn source(text: &str) -> Result<Option<&str>, String> {
    if text.is_empty() {
        return Err("invalid empty volume spec".to_owned());
    }
    if text.len() <= 2 {
        return Ok(None);
    }
    let wrong = |problem: &str| Err(format!("invalid spec: {text}: {problem}"));
    let mut parts: Vec<&str> = Vec::new();
    let mut start = 0;
    for (at, letter) in text.char_indices().chain([(text.len(), ':')]) {
        let is_drive =
            at < text.len() && at - start == 1 && text[start..].starts_with(|first: char| first.is_ascii_alphabetic());
        if letter != ':' || is_drive {
            continue;
        }
        if at == start {
            return wrong("empty section between colons");
        }
        // The third part is options and must be the last.
        if parts.len() == 2 && at < text.len() {
            return wrong("too many colons");
        }
        parts.push(&text[start..at]);
        start = at + 1;
    }
    Ok((parts.len() > 1).then(|| parts[0]))
}

/// `--tmpfs path:options`.
pub fn tmpfs(given: &[String]) -> Map {
    given
        .iter()
        .map(|text| {
            text.split_once(':')
                .map_or((text.clone(), String::new()), |(path, options)| (path.to_owned(), options.to_owned()))
        })
        .collect()
}

/// Check of `--mount`.
pub fn check_mount(text: &str) -> Result<(), String> {
    mount(text).map(drop)
}

/// Reads `--mount type=bind,src=/a,dst=/b,readonly`.
///
/// # Errors
/// docker's words.
pub fn mount(text: &str) -> Result<Mount, String> {
    let mut mount = Mount { kind: "volume".to_owned(), ..Mount::default() };
    for field in csv(text)? {
        set_field(&mut mount, &field)?;
    }
    check_whole(&mount)?;
    Ok(mount)
}

fn volume(mount: &mut Mount) -> &mut VolumeOptions {
    let options = mount
        .volume_options
        .get_or_insert_with(|| VolumeOptions { labels: Some(Map::new()), ..VolumeOptions::default() });
    options.driver_config.get_or_insert_default();
    options
}

fn driver(mount: &mut Mount) -> &mut DriverConfig {
    volume(mount).driver_config.get_or_insert_default()
}

fn set_field(mount: &mut Mount, field: &str) -> Result<(), String> {
    let (key, value) = field.split_once('=').map_or((field, None), |(key, value)| (key, Some(value)));
    let key = key.to_ascii_lowercase();
    let Some(value) = value else {
        match key.as_str() {
            "readonly" | "ro" => mount.read_only = true,
            "volume-nocopy" => volume(mount).no_copy = true,
            "bind-nonrecursive" => mount.bind_options.get_or_insert_default().non_recursive = true,
            _ => return Err(format!("invalid field '{field}' must be a key=value pair")),
        }
        return Ok(());
    };
    let wrong = || format!("invalid value for {key}: {value}");
    let boolean = || parse_bool(value).ok_or_else(wrong);
    let bind = |mount: &mut Mount, set: &dyn Fn(&mut BindOptions)| set(mount.bind_options.get_or_insert_default());
    match key.as_str() {
        "type" => mount.kind = value.to_ascii_lowercase(),
        "source" | "src" => mount.source = absolute_if_dotted(value),
        "target" | "dst" | "destination" => value.clone_into(&mut mount.target),
        "readonly" | "ro" => mount.read_only = boolean()?,
        "consistency" => mount.consistency = value.to_ascii_lowercase(),
        "bind-propagation" => bind(mount, &|options| options.propagation = value.to_ascii_lowercase()),
        "bind-nonrecursive" => {
            let is_set = boolean()?;
            bind(mount, &|options| options.non_recursive = is_set);
        }
        "bind-recursive" => match value {
            "enabled" => {}
            "disabled" => bind(mount, &|options| options.non_recursive = true),
            "writable" => bind(mount, &|options| options.read_only_non_recursive = true),
            "readonly" => bind(mount, &|options| options.read_only_force_recursive = true),
            _ => return Err(format!("{} (must be \"enabled\", \"disabled\", \"writable\", or \"readonly\")", wrong())),
        },
        "volume-subpath" => value.clone_into(&mut volume(mount).subpath),
        "volume-nocopy" => volume(mount).no_copy = boolean()?,
        "volume-label" => insert(volume(mount).labels.get_or_insert_default(), value),
        "volume-driver" => value.clone_into(&mut driver(mount).name),
        "volume-opt" => insert(driver(mount).options.get_or_insert_default(), value),
        "image-subpath" => value.clone_into(&mut mount.image_options.get_or_insert_with(ImageOptions::default).subpath),
        "tmpfs-size" => {
            let size = parse_binary_size(value).map_err(|_| wrong())?;
            mount.tmpfs_options.get_or_insert_with(TmpfsOptions::default).size_bytes = size;
        }
        "tmpfs-mode" => {
            let mode = u32::from_str_radix(value, 8).map_err(|_| wrong())?;
            mount.tmpfs_options.get_or_insert_with(TmpfsOptions::default).mode = mode;
        }
        _ => return Err(format!("unexpected key '{key}' in '{field}'")),
    }
    Ok(())
}

fn insert(map: &mut Map, text: &str) {
    let (key, value) = text.split_once('=').unwrap_or((text, ""));
    if !key.is_empty() {
        map.insert(key.to_owned(), value.to_owned());
    }
}

fn check_whole(mount: &Mount) -> Result<(), String> {
    if mount.kind.is_empty() {
        return Err("type is required".to_owned());
    }
    if mount.target.is_empty() {
        return Err("target is required".to_owned());
    }
    let foreign = [
        ("volume", mount.volume_options.is_some()),
        ("image", mount.image_options.is_some()),
        ("bind", mount.bind_options.is_some()),
        ("tmpfs", mount.tmpfs_options.is_some()),
    ];
    if let Some((kind, _)) = foreign.iter().find(|(kind, is_given)| *is_given && mount.kind != *kind) {
        return Err(format!("cannot mix '{kind}-*' options with mount type '{}'", mount.kind));
    }
    let Some(bind) = &mount.bind_options else { return Ok(()) };
    let requires = |option: &str, other: &str| {
        Err(format!("option 'bind-recursive={option}' requires '{other}' to be specified in conjunction"))
    };
    if bind.read_only_non_recursive && !mount.read_only {
        return requires("writable", "readonly");
    }
    if bind.read_only_force_recursive && !mount.read_only {
        return requires("readonly", "readonly");
    }
    if bind.read_only_force_recursive && bind.propagation != "rprivate" {
        return requires("readonly", "bind-propagation=rprivate");
    }
    Ok(())
}

/// The fields of one line of comma-separated values; quotes may hold commas.
///
/// # Errors
/// A quote that does not end, or stands inside a bare field.
pub fn csv(text: &str) -> Result<Vec<String>, String> {
    if text.is_empty() {
        return Err("EOF".to_owned());
    }
    let bare = |at: usize| format!("parse error on line 1, column {}: bare \" in non-quoted field", at + 1);
    let mut fields = Vec::new();
    let mut rest = text;
    loop {
        let at = text.len() - rest.len();
        let field;
        if let Some(mut inner) = rest.strip_prefix('"') {
            let mut value = String::new();
            loop {
                let end = inner.find('"').ok_or_else(|| {
                    format!(
                        "parse error on line 1, column {}: extraneous or missing {} in quoted-field",
                        text.len() + 1,
                        quote("\"")
                    )
                })?;
                value.push_str(&inner[..end]);
                inner = &inner[end + 1..];
                match inner.strip_prefix('"') {
                    Some(after) => {
                        value.push('"');
                        inner = after;
                    }
                    None => break,
                }
            }
            field = value;
            rest = inner;
        } else {
            let end = rest.find(',').unwrap_or(rest.len());
            if let Some(mark) = rest[..end].find('"') {
                return Err(bare(at + mark));
            }
            field = rest[..end].to_owned();
            rest = &rest[end..];
        }
        fields.push(field);
        match rest.strip_prefix(',') {
            Some(after) => rest = after,
            None => return Ok(fields),
        }
    }
}

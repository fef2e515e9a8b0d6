//! Credentials in `config.json` itself, written so that nothing else in it is lost.

use super::{Auth, CredentialError};
use serde::Serialize;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde_json::{Map, Value};
use std::fmt;
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};

/// Longest file that is read.
const LONGEST_FILE_BYTES: u64 = 4 << 20;

/// Most links that lead to the file (path_resolution(7)).
const MOST_LINKS: usize = 40;

/// The member that holds credentials.
const AUTHS: &str = "auths";

/// Members of an entry that are ours to write.
const WRITTEN: [&str; 7] = ["username", "password", "auth", "email", "serveraddress", "identitytoken", "registrytoken"];

/// Keeps `auth` under `key`; says whether the file had to be changed.
///
/// # Errors
/// A file that cannot be read, is no JSON, or cannot be written.
pub(super) fn put(path: &Path, key: &str, auth: &Auth) -> Result<bool, CredentialError> {
    let written = Auth {
        username: String::new(),
        password: String::new(),
        auth: auth.encoded_pair(),
        server_address: String::new(),
        ..auth.clone()
    };
    change(path, |auths| {
        let mut entry = auths.get(key).and_then(Value::as_object).cloned().unwrap_or_default();
        entry.retain(|name, _| !WRITTEN.contains(&name.as_str()));
        if let Ok(Value::Object(members)) = serde_json::to_value(&written) {
            entry.extend(members);
        }
        let entry = Value::Object(entry);
        let is_changed = auths.get(key) != Some(&entry);
        auths.insert(key.to_owned(), entry);
        is_changed
    })
}

/// Removes what is kept under `key`.
///
/// # Errors
/// As [`put`].
pub(super) fn remove(path: &Path, key: &str) -> Result<(), CredentialError> {
    change(path, |auths| auths.remove(key).is_some()).map(drop)
}

fn change(path: &Path, change: impl FnOnce(&mut Map<String, Value>) -> bool) -> Result<bool, CredentialError> {
    let failed = |error: io::Error| CredentialError(format!("{}: {error}", path.display()));
    let target = target(path).map_err(failed)?;
    let mut document = read(&target).map_err(failed)?;
    let is_changed = change(document.auths());
    if is_changed {
        write(&target, &document).map_err(failed)?;
    }
    Ok(is_changed)
}

/// The file `path` leads to, which need not exist.
fn target(path: &Path) -> io::Result<PathBuf> {
    let mut path = path.to_owned();
    for _ in 0..MOST_LINKS {
        match fs::read_link(&path) {
            Ok(link) => path = path.parent().map_or_else(|| link.clone(), |parent| parent.join(&link)),
            // EINVAL: it is no link.
            Err(error) if matches!(error.kind(), ErrorKind::InvalidInput | ErrorKind::NotFound) => return Ok(path),
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::other("too many links"))
}

fn read(path: &Path) -> io::Result<Document> {
    let mut text = Vec::new();
    match File::open(path) {
        Ok(file) => file.take(LONGEST_FILE_BYTES + 1).read_to_end(&mut text)?,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Document::default()),
        Err(error) => return Err(error),
    };
    if text.len() as u64 > LONGEST_FILE_BYTES {
        return Err(io::Error::other(format!("longer than {LONGEST_FILE_BYTES} bytes")));
    }
    if text.iter().all(u8::is_ascii_whitespace) {
        return Ok(Document::default());
    }
    // serde's own words would quote the file.
    serde_json::from_slice(&text)
        .map_err(|error| io::Error::other(format!("no JSON object: line {} column {}", error.line(), error.column())))
}

/// Replaces the file at once, with owner and mode of the one before; a new one is the user's alone.
fn write(path: &Path, document: &Document) -> io::Result<()> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    let mut text = Vec::new();
    let formatter = serde_json::ser::PrettyFormatter::with_indent(b"\t");
    document.serialize(&mut serde_json::Serializer::with_formatter(&mut text, formatter))?;

    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}", std::process::id()));
    let beside = Beside(directory.join(name));
    // What another process of this number left behind.
    let _ = fs::remove_file(&beside.0);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside.0)?;
    file.write_all(&text)?;
    if let Ok(before) = fs::metadata(path) {
        file.set_permissions(Permissions::from_mode(before.mode() & 0o7777))?;
        // Only root can give files away; docker does not insist either.
        let _ = chown(&beside.0, Some(before.uid()), Some(before.gid()));
    }
    file.sync_all()?;
    fs::rename(&beside.0, path)
}

/// A file beside the one to replace, removed unless it was renamed.
struct Beside(PathBuf);

impl Drop for Beside {
    fn drop(&mut self) {
        // Renamed, it is gone.
        let _ = fs::remove_file(&self.0);
    }
}

/// `config.json` with its members in the order they stand in.
#[derive(Debug, Default)]
struct Document(Vec<(String, Value)>);

impl Document {
    /// The credentials; `auths` comes first where there was none, as in docker's files.
    fn auths(&mut self) -> &mut Map<String, Value> {
        let at = self.0.iter().position(|(name, _)| name == AUTHS).unwrap_or_else(|| {
            self.0.insert(0, (AUTHS.to_owned(), Value::Null));
            0
        });
        let value = &mut self.0[at].1;
        if !value.is_object() {
            *value = Value::Object(Map::new());
        }
        value.as_object_mut().expect("it was just made one")
    }
}

impl Serialize for Document {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in &self.0 {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for Document {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;
        impl<'de> Visitor<'de> for Members {
            type Value = Document;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Document, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Document(members))
            }
        }
        deserializer.deserialize_map(Members)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn me() -> Auth {
        Auth { username: "me".to_owned(), password: "p".to_owned(), ..Auth::default() }
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o777
    }

    #[test]
    fn a_new_file_is_the_user_s_alone() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("new/config.json");
        assert_eq!(put(&path, "a.example", &me()), Ok(true));
        let expected = "{\n\t\"auths\": {\n\t\t\"a.example\": {\n\t\t\t\"auth\": \"bWU6cA==\"\n\t\t}\n\t}\n}";
        assert_eq!(fs::read_to_string(&path).unwrap(), expected);
        assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "nothing is left beside it");
        assert_eq!(put(&path, "a.example", &me()), Ok(false));
    }

    #[test]
    fn what_is_not_ours_stays_as_it_was() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("config.json");
        let text =
            r#"{"zeta":{"b":[1.50],"a":null},"auths":{"old":{"auth":"eDp5","mine":1}},"HttpHeaders":{"X":"<y>"}}"#;
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
        put(&path, "old", &me()).unwrap();
        remove(&path, "never").unwrap();
        let written = fs::read_to_string(&path).unwrap();
        let compact: String = written.split_whitespace().collect();
        let expected =
            r#"{"zeta":{"a":null,"b":[1.5]},"auths":{"old":{"auth":"bWU6cA==","mine":1}},"HttpHeaders":{"X":"<y>"}}"#;
        assert_eq!(compact, expected);
        assert_eq!(mode(&path), 0o640);
        remove(&path, "old").unwrap();
        assert!(fs::read_to_string(&path).unwrap().contains("\"auths\": {}"));
    }

    #[test]
    fn links_are_followed_and_stay_also_when_they_lead_nowhere_yet() {
        let root = tempfile::tempdir().unwrap();
        let (link, file) = (root.path().join("config.json"), root.path().join("elsewhere"));
        symlink("elsewhere", &link).unwrap();
        put(&link, "a.example", &me()).unwrap();
        put(&link, "b.example", &me()).unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert!(fs::symlink_metadata(&file).unwrap().is_file());
        assert_eq!(read(&file).unwrap().auths().len(), 2);
    }

    #[test]
    fn a_file_that_is_not_understood_is_left_alone_and_not_quoted() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("config.json");
        fs::write(&path, "{\"auths\": \"hunter2\" oops").unwrap();
        let error = put(&path, "a.example", &me()).unwrap_err().to_string();
        assert!(error.ends_with("no JSON object: line 1 column 21"), "{error}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "{\"auths\": \"hunter2\" oops");
    }

    #[test]
    fn a_ring_of_links_is_an_error() {
        let root = tempfile::tempdir().unwrap();
        let (one, other) = (root.path().join("one"), root.path().join("other"));
        symlink("other", &one).unwrap();
        symlink("one", &other).unwrap();
        assert!(put(&one, "a.example", &me()).unwrap_err().to_string().ends_with("too many links"));
    }
}

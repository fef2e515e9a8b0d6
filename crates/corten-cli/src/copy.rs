//! Where a copied file goes and what it is called there: docker's rules, which are those of `cp -a`.
//!
//! A path that ends in a slash asks for a directory, one that ends in `/.` for what is in it. What goes to a directory
//! that is there goes into it; what goes to a name that is not there takes that name, in a directory that must be.

pub mod local;
pub mod progress;

/// One end of a copy.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct End {
    /// The path, absolute where it is local.
    pub path: String,
    /// Whether something is there.
    pub exists: bool,
    /// Whether that is a directory.
    pub is_directory: bool,
    /// The name the copy takes instead of its own: that of the link that led to it.
    pub rename: String,
}

/// What to do with an archive of the source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The directory it is extracted into.
    pub directory: String,
    /// First part of the names in it, and what it becomes.
    pub rename: Option<(String, String)>,
}

/// Decides where the archive of `source` is extracted, and under which name.
///
/// # Errors
/// Docker's words when a directory would replace a file, or a file is to make a directory.
pub fn plan(source: &End, destination: &End) -> Result<Plan, &'static str> {
    let (directory, name) = split(&destination.path);
    match (destination.exists, destination.is_directory, source.is_directory) {
        (true, true, _) => Ok(Plan { directory: destination.path.clone(), rename: None }),
        (true, false, true) => Err("cannot copy directory"),
        (false, _, false) if asks_for_directory(&destination.path) => Err("no such directory"),
        _ => {
            let own = if source.rename.is_empty() { split(&source.path).1 } else { source.rename.clone() };
            Ok(Plan { directory, rename: Some((own, name)) })
        }
    }
}

/// The archived `name` with its first part `old` replaced by `new`; of an archive of a root everything is put below.
pub fn renamed(name: Vec<u8>, old: &str, new: &str) -> Vec<u8> {
    let (old, new) = (old.trim_end_matches('/').as_bytes(), new.trim_end_matches('/').as_bytes());
    if old.is_empty() {
        let start = name.iter().take_while(|byte| **byte == b'/').count();
        let name = &name[start..];
        return if new.is_empty() { name.to_vec() } else { [new, b"/", name].concat() };
    }
    match name.strip_prefix(old) {
        Some(rest) if rest.is_empty() || rest.starts_with(b"/") => [new, rest].concat(),
        _ => name,
    }
}

/// Go's `path.Clean`.
pub fn clean(path: &str) -> String {
    let is_absolute = path.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            ".." if is_absolute => {}
            part => parts.push(part),
        }
    }
    match (is_absolute, parts.is_empty()) {
        (true, _) => format!("/{}", parts.join("/")),
        (false, true) => ".".to_owned(),
        (false, false) => parts.join("/"),
    }
}

/// Go's `path.Join` of two.
pub fn join(directory: &str, path: &str) -> String {
    if directory.is_empty() { clean(path) } else { clean(&format!("{directory}/{path}")) }
}

/// The last part: of `a/` the `a`, of `a/.` the dot, of `/` the slash.
pub fn base(path: &str) -> &str {
    match path.trim_end_matches('/') {
        "" if path.is_empty() => ".",
        "" => "/",
        path => path.rsplit('/').next().unwrap_or(path),
    }
}

/// Directory and last part of the clean path; a dot at the end stays.
pub fn split(path: &str) -> (String, String) {
    let cleaned = clean(path);
    if base(path) == "." {
        return (cleaned, ".".to_owned());
    }
    match cleaned.rsplit_once('/') {
        None => (".".to_owned(), cleaned),
        Some(("", "")) => ("/".to_owned(), "/".to_owned()),
        Some(("", name)) => ("/".to_owned(), name.to_owned()),
        Some((directory, name)) => (directory.to_owned(), name.to_owned()),
    }
}

/// Whether the path only makes sense as a directory's.
pub fn asks_for_directory(path: &str) -> bool {
    path.ends_with('/') || base(path) == "."
}

/// `cleaned` with the slash or dot that `original` ends in.
pub fn with_end_of(mut cleaned: String, original: &str) -> String {
    if base(&cleaned) != "." && base(original) == "." {
        if !cleaned.ends_with('/') {
            cleaned.push('/');
        }
        cleaned.push('.');
    }
    if !cleaned.ends_with('/') && original.ends_with('/') {
        cleaned.push('/');
    }
    cleaned
}

/// Where the link `path`, which says `target`, leads.
pub fn through(path: &str, target: &str) -> String {
    if target.starts_with('/') { target.to_owned() } else { join(&split(path).0, target) }
}

/// The link's target with the end of the path that named it, and the link's own name where it differs.
pub fn followed(path: &str, target: String) -> (String, String) {
    let target = with_end_of(target, path);
    let name = if base(path) == base(&target) { String::new() } else { base(path).to_owned() };
    (target, name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn end(path: &str, kind: &str) -> End {
        End { path: path.to_owned(), exists: !kind.is_empty(), is_directory: kind == "dir", rename: String::new() }
    }

    #[test]
    fn the_table_of_docker_s_manual_holds() {
        let to = |directory: &str, old: &str, new: &str| {
            Ok(Plan { directory: directory.to_owned(), rename: Some((old.to_owned(), new.to_owned())) })
        };
        let into = |directory: &str| Ok(Plan { directory: directory.to_owned(), rename: None });
        for (source, source_kind, destination, there, expected) in [
            ("/s/file", "file", "/d/new", "", to("/d", "file", "new")),
            ("/s/file", "file", "/d/new/", "", Err("no such directory")),
            ("/s/file", "file", "/d/old", "file", to("/d", "file", "old")),
            ("/s/file", "file", "/d", "dir", into("/d")),
            ("/s/dir", "dir", "/d/new", "", to("/d", "dir", "new")),
            ("/s/dir", "dir", "/d/new/", "", to("/d", "dir", "new")),
            ("/s/dir", "dir", "/d/old", "file", Err("cannot copy directory")),
            ("/s/dir", "dir", "/d/", "dir", into("/d/")),
            ("/s/dir/.", "dir", "/d", "dir", into("/d")),
            ("/s/dir/.", "dir", "/d/new", "", to("/d", ".", "new")),
            ("/", "dir", "/d/new", "", to("/d", "/", "new")),
        ] {
            assert_eq!(plan(&end(source, source_kind), &end(destination, there)), expected, "{source} {destination}");
        }
        let link = End { rename: "link".into(), ..end("/s/real", "file") };
        assert_eq!(plan(&link, &end("/d/new", "")), to("/d", "link", "new"));
    }

    #[test]
    fn names_in_an_archive_are_changed_at_their_beginning_only() {
        for (name, old, new, expected) in [
            ("dir/", "dir", "new", "new/"),
            ("dir/a/dir", "dir", "new", "new/a/dir"),
            ("dirty/a", "dir", "new", "dirty/a"),
            ("./a", ".", "new", "new/a"),
            ("/etc/x", "/", "root", "root/etc/x"),
            ("/", "/", "root", "root/"),
            ("file", "file", "new", "new"),
        ] {
            assert_eq!(renamed(name.as_bytes().to_vec(), old, new), expected.as_bytes(), "{name}");
        }
    }

    #[test]
    fn paths_are_taken_apart_as_go_does() {
        for (path, cleaned, directory, name) in [
            ("/a/../b/", "/b", "/", "b"),
            ("a/./b/.", "a/b", "a/b", "."),
            ("/", "/", "/", "/"),
            ("..", "..", ".", ".."),
            ("a", "a", ".", "a"),
            ("/../x", "/x", "/", "x"),
        ] {
            assert_eq!(clean(path), cleaned, "{path}");
            assert_eq!(split(path), (directory.to_owned(), name.to_owned()), "{path}");
        }
        assert_eq!(with_end_of("/a".into(), "x/."), "/a/.");
        assert_eq!(with_end_of("/a".into(), "x/"), "/a/");
        assert_eq!(through("/a/link", "../b"), "/b");
        assert_eq!(followed("/a/link/", "/b/real".into()), ("/b/real/".into(), "link".into()));
    }
}

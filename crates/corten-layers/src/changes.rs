//! What a container changed: its upper directory, or its whole tree, held against the layers below.
//!
//! Docker's judgement: a directory counts as changed by its own owner and mode, or by something in it; its times do not
//! count, since every change in it moves them. What was copied up and is as it was is no change.

use std::collections::{BTreeSet, HashMap};
use std::ffi::{OsStr, OsString};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use corten_sys::at::{self, FileType, Stat};
use corten_sys::{handle, xattr};

use crate::archive::{Entry, Kind};
use crate::diff::{DiffError, entry_of};
use crate::name::{Name, whiteout_of};
use crate::tree::{Tree, is_opaque};
use crate::writer::{Writer, blank};

/// Deepest tree that is read; a descriptor is held per level.
const DEPTH_MAX: usize = 1000;
/// Most files with several names that are remembered; beyond, each name becomes a file of its own.
const LINKS_MAX: usize = 1 << 20;

/// What happened to a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// It was there and is another now.
    Modified,
    /// It was not there.
    Added,
    /// It is gone, with all below it.
    Deleted,
}

/// The trees that are compared.
#[derive(Debug, Clone)]
pub struct Trees {
    /// The upper directory of an overlay, or a whole tree.
    pub upper: PathBuf,
    /// The layers below, topmost first.
    pub lowers: Vec<PathBuf>,
    /// Whether `upper` shows everything: then what is not in it is gone.
    pub is_whole: bool,
}

/// A changed name, with where it is unless it was deleted.
pub struct Found<'a> {
    /// The name.
    pub name: &'a Name,
    /// What happened to it.
    pub change: Change,
    /// Its directory and what it is; none for what was deleted.
    pub at: Option<(BorrowedFd<'a>, &'a Stat)>,
}

/// Whether something new in the upper tree is none of the container's: a place that only a mount needed.
pub type IsPlaceholder<'a> = &'a dyn Fn(&Name, &Stat) -> bool;

/// Tells `found` every change, a directory before what is in it, names in byte order.
///
/// # Errors
/// [`DiffError::Read`], and those of `found`.
pub fn changes(
    trees: &Trees,
    is_placeholder: IsPlaceholder<'_>,
    found: &mut dyn FnMut(Found<'_>) -> Result<(), DiffError>,
) -> Result<(), DiffError> {
    let tree = Tree::open(&trees.upper, &trees.lowers)
        .map_err(|(path, source)| DiffError::Read { path: path.display().to_string(), source })?;
    let root = at::open_dir(tree.root(), OsStr::new(".")).map_err(failed(&Name::root()))?;
    let mut walk = Walk { tree, is_placeholder, found, pending: Vec::new() };
    let below = if walk.tree.has_lowers() { Below::Directory } else { Below::Nothing };
    walk.directory(&Rc::new(root), &Name::root(), below, trees.is_whole)
}

/// Writes the changes as a layer, uncompressed; how many there were.
///
/// # Errors
/// [`DiffError`]; what was written then is no whole archive.
pub fn layer(trees: &Trees, is_placeholder: IsPlaceholder<'_>, out: impl Write) -> Result<u64, DiffError> {
    let mut out = Writer::new(out);
    let mut links: HashMap<(u64, u64), Vec<u8>> = HashMap::new();
    let mut count = 0;
    changes(trees, is_placeholder, &mut |found| {
        count += 1;
        let Some((parent, last)) = found.name.split() else { return Ok(()) };
        let Some((dir, stat)) = found.at else {
            let path = parent.join(&whiteout_of(last)).as_bytes().to_vec();
            let entry = Entry { path, ..blank(Kind::File, 0) };
            return out.append(&entry, &mut io::empty()).map_err(DiffError::Write);
        };
        append(&mut out, &mut links, dir, last, found.name, stat)
    })?;
    out.finish().map_err(DiffError::Write)?;
    Ok(count)
}

fn append<W: Write>(
    out: &mut Writer<W>,
    links: &mut HashMap<(u64, u64), Vec<u8>>,
    dir: BorrowedFd<'_>,
    last: &OsStr,
    name: &Name,
    stat: &Stat,
) -> Result<(), DiffError> {
    if stat.file_type == FileType::Socket {
        return Ok(());
    }
    let mut path = name.as_bytes().to_vec();
    if stat.file_type == FileType::Directory {
        path.push(b'/');
    }
    // A running container may exchange the file meanwhile: what is written is what was opened.
    let opened = match stat.file_type {
        FileType::Regular => match handle::open_regular(dir, last).map_err(failed(name))? {
            None => return Err(failed(name)(io::Error::from(io::ErrorKind::NotFound))),
            opened => opened,
        },
        _ => None,
    };
    let stat = opened.as_ref().map_or(*stat, |(_, stat)| *stat);
    let mut entry = entry_of(dir, last, path, &stat).map_err(failed(name))?;
    if stat.links > 1 && entry.kind != Kind::Directory {
        let key = (stat.device, stat.inode);
        if let Some(first) = links.get(&key) {
            (entry.kind, entry.link, entry.size) = (Kind::HardLink, first.clone(), 0);
            entry.xattrs.clear();
        } else if links.len() < LINKS_MAX {
            links.insert(key, entry.path.clone());
        }
    }
    let mut data: Box<dyn Read> = match opened {
        Some((file, _)) => Box::new(file),
        None => Box::new(io::empty()),
    };
    out.append(&entry, &mut data).map_err(DiffError::Write)
}

/// What the layers below have in the place of a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Below {
    Directory,
    Nothing,
}

struct Walk<'a> {
    tree: Tree,
    is_placeholder: IsPlaceholder<'a>,
    found: &'a mut dyn FnMut(Found<'_>) -> Result<(), DiffError>,
    /// Directories above the place walked that count only if something in them does.
    pending: Vec<(Rc<OwnedFd>, Name, Stat, Change)>,
}

impl Walk<'_> {
    fn directory(&mut self, dir: &Rc<OwnedFd>, name: &Name, below: Below, hides: bool) -> Result<(), DiffError> {
        let mut names: BTreeSet<OsString> = at::read_dir(dir.as_fd()).map_err(failed(name))?.into_iter().collect();
        let lower = match (below, hides) {
            (Below::Directory, true) => self.tree.list_below(name).map_err(failed(name))?,
            _ => BTreeSet::new(),
        };
        names.extend(lower.iter().cloned());
        for last in names {
            let child = name.join(&last);
            let stat = match at::stat(dir.as_fd(), &last) {
                Ok(stat) => Some(stat).filter(|stat| !stat.is_whiteout()),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    if !lower.contains(&last) {
                        continue;
                    }
                    None
                }
                Err(error) => return Err(failed(&child)(error)),
            };
            let was = match below {
                Below::Directory => self.was(&child, hides).map_err(failed(&child))?,
                Below::Nothing => None,
            };
            match (stat, was) {
                (None, None) => {}
                (None, Some(_)) => self.tell(&child, Change::Deleted, None)?,
                (Some(stat), was) => self.entry(dir, &child, &stat, was, hides)?,
            }
        }
        Ok(())
    }

    /// What the layers below have under a name; a directory that hides them was asked about without its own mark.
    fn was(&self, name: &Name, hides: bool) -> io::Result<Option<(OwnedFd, Stat)>> {
        if hides { self.tree.find_in_lowers(name) } else { self.tree.find_below(name) }
    }

    fn entry(
        &mut self,
        dir: &Rc<OwnedFd>,
        name: &Name,
        stat: &Stat,
        was: Option<(OwnedFd, Stat)>,
        hides: bool,
    ) -> Result<(), DiffError> {
        let Some((_, last)) = name.split() else { return Ok(()) };
        let is_directory = stat.file_type == FileType::Directory;
        let was_directory = was.as_ref().is_some_and(|(_, was)| was.file_type == FileType::Directory);
        let change = if was.is_some() { Change::Modified } else { Change::Added };
        let counts = match &was {
            None => !(self.is_placeholder)(name, stat),
            Some((below, was)) => !is_same(below.as_fd(), was, dir.as_fd(), stat, last).map_err(failed(name))?,
        };
        if !is_directory {
            return if counts { self.tell(name, change, Some((dir.as_fd(), stat))) } else { Ok(()) };
        }
        let marker = self.pending.len();
        if counts {
            self.tell(name, change, Some((dir.as_fd(), stat)))?;
        } else {
            self.pending.push((Rc::clone(dir), name.clone(), *stat, change));
        }
        if name.depth() > DEPTH_MAX {
            let why = format!("directories are nested more than {DEPTH_MAX} deep");
            return Err(failed(name)(io::Error::new(io::ErrorKind::InvalidInput, why)));
        }
        let inside = Rc::new(at::open_dir(dir.as_fd(), last).map_err(failed(name))?);
        let below = if was_directory { Below::Directory } else { Below::Nothing };
        let hides = hides || is_opaque(dir.as_fd(), last).map_err(failed(name))?;
        self.directory(&inside, name, below, hides)?;
        self.pending.truncate(marker);
        Ok(())
    }

    fn tell(&mut self, name: &Name, change: Change, at: Option<(BorrowedFd<'_>, &Stat)>) -> Result<(), DiffError> {
        for (dir, name, stat, change) in self.pending.drain(..) {
            (self.found)(Found { name: &name, change, at: Some((dir.as_fd(), &stat)) })?;
        }
        (self.found)(Found { name, change, at })
    }
}

/// Docker's equality: owner, mode, device, capability; of what is no directory size and time too, where a time without
/// fraction equals any of the same second.
fn is_same(below: BorrowedFd<'_>, was: &Stat, dir: BorrowedFd<'_>, stat: &Stat, last: &OsStr) -> io::Result<bool> {
    let key = |stat: &Stat| (stat.file_type, stat.mode, stat.uid, stat.gid, stat.rdev);
    if key(was) != key(stat) {
        return Ok(false);
    }
    let same_second = was.mtime.0 == stat.mtime.0;
    let same_time = was.mtime == stat.mtime || (same_second && (was.mtime.1 == 0 || stat.mtime.1 == 0));
    if stat.file_type != FileType::Directory && !(same_time && was.size == stat.size) {
        return Ok(false);
    }
    if stat.file_type == FileType::Symlink {
        return Ok(at::readlink(below, last)? == at::readlink(dir, last)?);
    }
    let capability = OsStr::new("security.capability");
    Ok(xattr::get(below, last, capability)? == xattr::get(dir, last, capability)?)
}

fn failed(name: &Name) -> impl Fn(io::Error) -> DiffError {
    let path = name.display();
    move |source| DiffError::Read { path: path.clone(), source }
}

/// The trees behind a container's mounts as a snapshotter gives them; `parent` is where its parent can be seen, for a
/// snapshotter that copies.
///
/// # Errors
/// What kind of mount cannot be compared.
pub fn trees_of(kind: &str, source: &str, options: &[String], parent: Option<&Path>) -> Result<Trees, String> {
    let option = |name: &str| options.iter().find_map(|option| option.strip_prefix(name));
    match (kind, parent) {
        ("overlay", _) => {
            let upper = option("upperdir=").ok_or("an overlay without upperdir is read-only")?;
            let lowers = option("lowerdir=").unwrap_or_default();
            let lowers = lowers.split(':').filter(|lower| !lower.is_empty()).map(PathBuf::from).collect();
            Ok(Trees { upper: upper.into(), lowers, is_whole: false })
        }
        ("bind", parent) => {
            let lowers = parent.map(Path::to_owned).into_iter().collect();
            Ok(Trees { upper: source.into(), lowers, is_whole: true })
        }
        (other, _) => Err(format!("a mount of type {other:?}: not supported yet")),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;
    use crate::apply::{Target, apply};

    fn listed(trees: &Trees) -> Vec<String> {
        let mut all = Vec::new();
        let placeholder = |name: &Name, _: &Stat| name.as_bytes() == b"proc";
        changes(trees, &placeholder, &mut |found| {
            let letter = match found.change {
                Change::Modified => "C",
                Change::Added => "A",
                Change::Deleted => "D",
            };
            all.push(format!("{letter} /{}", found.name.display()));
            Ok(())
        })
        .unwrap();
        all
    }

    fn lower() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("etc/deep")).unwrap();
        for name in ["etc/kept", "etc/changed", "etc/gone", "etc/deep/one", "etc/deep/two", "file"] {
            fs::write(dir.path().join(name), "text").unwrap();
        }
        symlink("kept", dir.path().join("etc/link")).unwrap();
        dir
    }

    /// An upper directory with one change of each kind, written as a layer.
    fn upper(lower: &Path) -> tempfile::TempDir {
        let upper = tempfile::tempdir().unwrap();
        let mut tar = Writer::new(Vec::new());
        let mut dir = |path: &str| {
            let entry = Entry { path: path.into(), mode: 0o755, mtime: (9, 0), ..blank(Kind::Directory, 0) };
            tar.append(&entry, &mut io::empty()).unwrap();
        };
        dir("etc/");
        dir("etc/deep/");
        dir("proc/");
        dir("new/");
        for (path, text) in [
            ("etc/changed", "other"),
            ("etc/.wh.gone", ""),
            ("etc/deep/.wh..wh..opq", ""),
            ("etc/deep/two", "again"),
            ("new/file", "new"),
        ] {
            tar.append_bytes(path, 0o644, text.as_bytes()).unwrap();
        }
        let bytes = tar.finish().unwrap();
        apply(&bytes[..], &Target::overlay(upper.path(), vec![lower.to_owned()])).unwrap();
        // Copied up and not changed.
        fs::copy(lower.join("etc/kept"), upper.path().join("etc/kept")).unwrap();
        let time = fs::metadata(lower.join("etc/kept")).unwrap().modified().unwrap();
        fs::File::options().write(true).open(upper.path().join("etc/kept")).unwrap().set_modified(time).unwrap();
        upper
    }

    const EXPECTED: [&str; 8] = [
        "C /etc",
        "C /etc/changed",
        "C /etc/deep",
        "D /etc/deep/one",
        "C /etc/deep/two",
        "D /etc/gone",
        "A /new",
        "A /new/file",
    ];

    #[test]
    fn each_kind_of_change_is_told_once() {
        let lower = lower();
        let upper = upper(lower.path());
        let trees = Trees { upper: upper.path().into(), lowers: vec![lower.path().into()], is_whole: false };
        assert_eq!(listed(&trees), EXPECTED);
        fs::set_permissions(upper.path().join("etc/kept"), fs::Permissions::from_mode(0o600)).unwrap();
        assert!(listed(&trees).contains(&"C /etc/kept".to_owned()));
    }

    #[test]
    fn the_layer_of_the_changes_makes_them_again() {
        let lower = lower();
        let upper = upper(lower.path());
        let trees = Trees { upper: upper.path().into(), lowers: vec![lower.path().into()], is_whole: false };
        let mut bytes = Vec::new();
        assert_eq!(layer(&trees, &|_, _| false, &mut bytes).unwrap(), 9);
        let again = tempfile::tempdir().unwrap();
        apply(&bytes[..], &Target::overlay(again.path(), vec![lower.path().into()])).unwrap();
        let again = Trees { upper: again.path().into(), ..trees.clone() };
        assert_eq!(listed(&again), EXPECTED);
    }

    #[test]
    fn a_whole_tree_lacks_what_is_gone() {
        let (one, two) = (lower(), lower());
        fs::remove_file(two.path().join("etc/gone")).unwrap();
        fs::remove_dir_all(two.path().join("etc/deep")).unwrap();
        fs::write(two.path().join("added"), "").unwrap();
        for name in ["etc/kept", "etc/changed", "file"] {
            let time = fs::metadata(one.path().join(name)).unwrap().modified().unwrap();
            fs::File::options().write(true).open(two.path().join(name)).unwrap().set_modified(time).unwrap();
        }
        // The link is made again as it was, with its time.
        let stat = at::stat(at::open_root(&one.path().join("etc")).unwrap().as_fd(), OsStr::new("link")).unwrap();
        let etc = at::open_root(&two.path().join("etc")).unwrap();
        at::set_times(etc.as_fd(), OsStr::new("link"), stat.mtime, stat.mtime).unwrap();
        let trees = Trees { upper: two.path().into(), lowers: vec![one.path().into()], is_whole: true };
        assert_eq!(listed(&trees), ["A /added", "C /etc", "D /etc/deep", "D /etc/gone"]);
    }
}

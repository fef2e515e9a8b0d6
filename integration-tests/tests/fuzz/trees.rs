//! Trees as their owners left them, exported and imported: the same tree comes out, so its second export is equal.

use std::ffi::OsStr;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::{fs, io::Write};

use corten_layers::{
    Target,
    diff::{Source, diff},
};
use corten_sys::at::{self, FileType};
use corten_sys::xattr;
use integration_tests::{TempRoot, hostile::Outside};

use crate::{each_of, mutate::Random};

/// Trees in `make test`.
const TREES: u64 = 100;
/// Most entries of one.
const ENTRIES_MAX: usize = 40;
/// One tree in so many has names that mean the removal of others in a layer: they do not come back.
const WHITEOUTS_IN: usize = 20;

/// A tree being made.
struct Tree<'r> {
    random: &'r mut Random,
    root: PathBuf,
    /// Whether names of whiteouts may occur.
    may_hide: bool,
    hides: bool,
    directories: Vec<PathBuf>,
    files: Vec<PathBuf>,
}

impl Tree<'_> {
    /// Fills the directory; whether it has names of whiteouts.
    fn fill(&mut self) -> bool {
        for number in 0..=self.random.below(ENTRIES_MAX) {
            let directory = self.directories[self.random.below(self.directories.len())].clone();
            let path = directory.join(self.name(number));
            self.entry(&path);
        }
        // Directories' times last, the deepest first.
        for directory in std::mem::take(&mut self.directories).iter().rev() {
            self.adorn(directory, true);
        }
        self.hides
    }

    fn name(&mut self, number: usize) -> String {
        if self.may_hide && self.random.one_in(4) {
            self.hides = true;
            return format!("{}{number}", self.random.of(&[".wh.", ".wh..wh.plnk", ".wh..wh."]));
        }
        let stem = self.random.of(&["a", "file", "ä€😀", "with space", "new\nline", "..x", ".", "-", "wh.", "\u{1}"]);
        // Longer than an archive's header holds, now and then.
        let filling = if self.random.one_in(8) { "long".repeat(1 + self.random.below(60)) } else { String::new() };
        let end = (0..=filling.len().min(200)).rev().find(|end| filling.is_char_boundary(*end)).unwrap_or(0);
        format!("{stem}{}{number}", &filling[..end])
    }

    fn entry(&mut self, path: &Path) {
        let (parent, name) = (at::open_root(path.parent().unwrap()).unwrap(), path.file_name().unwrap());
        let dir = parent.as_fd();
        match self.random.below(12) {
            0..=2 => {
                fs::create_dir(path).unwrap();
                // Deep enough; a path longer than the kernel takes is another test's.
                if path.as_os_str().len() < 3000 {
                    self.directories.push(path.to_owned());
                } else {
                    self.adorn(path, true);
                }
                return;
            }
            3 => {
                let target = self
                    .random
                    .of(&["a", "/nowhere", "../../..", "x/y", "ä€😀", "./."])
                    .repeat(1 + self.random.below(40));
                at::symlink(OsStr::new(&target), dir, name).unwrap();
            }
            4 if !self.files.is_empty() => {
                let first = &self.files[self.random.below(self.files.len())];
                fs::hard_link(first, path).unwrap();
                return;
            }
            5 => at::mknod(dir, name, FileType::Fifo, 0o644, (0, 0)).unwrap(),
            6 => at::mknod(dir, name, FileType::CharDevice, 0o600, (1, 3)).unwrap(),
            _ => {
                let mut file = fs::File::create(path).unwrap();
                let size = [0, 1, 511, 512, 513, 5000][self.random.below(6)];
                let data: Vec<u8> = (0..size).map(|_| self.random.next() as u8).collect();
                file.write_all(&data).unwrap();
                if self.random.one_in(6) {
                    file.set_len(size + 100_000).unwrap();
                }
                self.files.push(path.to_owned());
            }
        }
        let is_link = fs::symlink_metadata(path).unwrap().is_symlink();
        self.adorn(path, !is_link);
    }

    /// Owner, attributes, mode and times.
    fn adorn(&mut self, path: &Path, has_mode: bool) {
        if path == self.root {
            return;
        }
        let (parent, name) = (at::open_root(path.parent().unwrap()).unwrap(), path.file_name().unwrap());
        let dir = parent.as_fd();
        let id = |random: &mut Random| [0, 1, 65_534, 3_000_000][random.below(4)];
        at::chown(dir, name, id(self.random), id(self.random)).unwrap();
        let is_plain = fs::symlink_metadata(path).unwrap().is_file();
        if is_plain && self.random.one_in(4) {
            let value: Vec<u8> = (0..self.random.below(60)).map(|_| self.random.next() as u8).collect();
            // Not every file system has them.
            let _ =
                xattr::set(dir, name, OsStr::new(self.random.of(&["user.a", "user.long.name", "trusted.b"])), &value);
        }
        if has_mode {
            let mode = [0o644, 0o755, 0o4755, 0o2750, 0o1777, 0o000][self.random.below(6)];
            at::chmod(dir, name, mode).unwrap();
        }
        let seconds = [0, 1, 1_700_000_000, 8_589_934_000][self.random.below(4)];
        let time = (seconds, [0, 1, 999_999_999][self.random.below(3)]);
        at::set_times(dir, name, time, time).unwrap();
    }
}

fn exported(tree: &Path) -> Vec<u8> {
    let mut archive = Vec::new();
    diff(&Source::Trees(None, tree.to_owned()), &mut archive).unwrap();
    archive
}

#[test]
fn a_tree_that_was_exported_is_imported_as_the_same_tree() {
    let root = TempRoot::new();
    let outside = Outside::make(&root.make("outside"));
    let (mut same, mut all, mut entries) = (0_usize, 0_usize, 0_usize);
    each_of(TREES, "export and import", |random: &mut Random| {
        let trees = [root.make("first"), root.make("second")];
        let may_hide = random.one_in(WHITEOUTS_IN);
        let directories = vec![trees[0].clone()];
        let mut tree = Tree { random, root: trees[0].clone(), may_hide, hides: false, directories, files: Vec::new() };
        let hides = tree.fill();
        let archive = exported(&trees[0]);
        corten_layers::apply(&archive[..], &Target::plain(&trees[1])).unwrap_or_else(|error| {
            // A name that removes something else may also be refused.
            assert!(hides, "{}", corten_types::error::chain(&error));
            corten_layers::apply(&[0; 1024][..], &Target::plain(&trees[1])).unwrap()
        });
        let again = exported(&trees[1]);
        all += 1;
        if !hides {
            assert!(again == archive, "the second export is another: {} and {} bytes", again.len(), archive.len());
            same += 1;
            entries += tar::Archive::new(&archive[..]).entries().unwrap().count();
        }
        outside.assert_untouched("an import");
        trees.iter().for_each(|tree| fs::remove_dir_all(tree).unwrap());
    });
    assert!(same * 10 >= all * 9, "only {same} of {all} trees were compared");
    assert!(entries >= same * 5, "{same} trees had {entries} entries: too few to mean anything");
    println!("export and import: {same} of {all} trees compared, {entries} entries");
}

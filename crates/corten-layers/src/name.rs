//! Names of archive entries: cleaned, kept inside the tree, whiteouts told apart (image-spec layer.md, "Whiteouts").

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

/// Longest path: the kernel's PATH_MAX with its NUL.
const PATH_MAX: usize = 4095;
/// Longest component on every file system that can hold a layer.
const NAME_MAX: usize = 255;
const WHITEOUT: &[u8] = b".wh.";
const OPAQUE: &[u8] = b".wh..wh..opq";

/// Why a name cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// `..` leads above the root.
    #[error("leaves the root filesystem through \"..\"")]
    Escape,
    /// Nothing is left of it.
    #[error("the name is empty")]
    Empty,
    /// A C string could not hold it.
    #[error("the name holds a NUL byte")]
    Nul,
    /// Over 4095 bytes, or a component over 255.
    #[error("the name is too long")]
    TooLong,
    /// `.wh.`, `.wh..` or `.wh...` would remove the directory itself or its parent.
    #[error("the whiteout names no file")]
    Whiteout,
}

/// A name inside a tree: relative, without `.`, `..`, empty components; empty for the root.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name(Vec<u8>);

impl Name {
    /// Cleans an archived name as Go's `path.Clean` does: a leading `/` and `./` go, `a/../b` is `b`.
    ///
    /// # Errors
    /// [`NameError::Escape`] for a name that leaves the root, and the other bounds.
    pub fn clean(archived: &[u8]) -> Result<Self, NameError> {
        if archived.is_empty() {
            return Err(NameError::Empty);
        }
        if archived.contains(&0) {
            return Err(NameError::Nul);
        }
        if archived.len() > PATH_MAX {
            return Err(NameError::TooLong);
        }
        let mut parts: Vec<&[u8]> = Vec::new();
        for part in archived.split(|byte| *byte == b'/') {
            match part {
                b"" | b"." => {}
                b".." => {
                    parts.pop().ok_or(NameError::Escape)?;
                }
                part if part.len() > NAME_MAX => return Err(NameError::TooLong),
                part => parts.push(part),
            }
        }
        Ok(Self(parts.join(&b'/')))
    }

    /// The root of the tree.
    pub const fn root() -> Self {
        Self(Vec::new())
    }

    /// True of the root.
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// Directory and last component; none for the root.
    pub fn split(&self) -> Option<(Self, &OsStr)> {
        if self.is_root() {
            return None;
        }
        match self.0.iter().rposition(|byte| *byte == b'/') {
            Some(slash) => Some((Self(self.0[..slash].to_vec()), OsStr::from_bytes(&self.0[slash + 1..]))),
            None => Some((Self::root(), OsStr::from_bytes(&self.0))),
        }
    }

    /// The name under `self`.
    #[must_use]
    pub fn join(&self, last: &OsStr) -> Self {
        if self.is_root() {
            return Self(last.as_bytes().to_vec());
        }
        Self([&self.0, &b"/"[..], last.as_bytes()].concat())
    }

    /// The components from the root down.
    pub fn components(&self) -> impl Iterator<Item = &OsStr> {
        self.0.split(|byte| *byte == b'/').filter(|part| !part.is_empty()).map(OsStr::from_bytes)
    }

    /// How many components it has.
    pub fn depth(&self) -> usize {
        self.components().count()
    }

    /// The name as the kernel takes it, relative.
    pub fn as_os_str(&self) -> &OsStr {
        OsStr::from_bytes(&self.0)
    }

    /// The name in bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The name for messages.
    pub fn display(&self) -> String {
        if self.is_root() { "/".to_owned() } else { String::from_utf8_lossy(&self.0).into_owned() }
    }
}

/// What the last component of an entry means in a layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Marker {
    /// No marker: the entry itself.
    None,
    /// `.wh.NAME`: NAME of the layers below is gone.
    Whiteout(OsString),
    /// `.wh..wh..opq`: nothing of the layers below is seen in this directory.
    Opaque,
    /// Another `.wh..wh.` name: bookkeeping of aufs, no part of the image.
    Ignored,
}

/// Reads the marker in a last component.
///
/// # Errors
/// [`NameError::Whiteout`] when what would be removed is the directory itself or its parent.
pub fn marker(last: &OsStr) -> Result<Marker, NameError> {
    let bytes = last.as_bytes();
    if bytes == OPAQUE {
        return Ok(Marker::Opaque);
    }
    match bytes.strip_prefix(WHITEOUT) {
        None => Ok(Marker::None),
        Some(b"" | b"." | b"..") => Err(NameError::Whiteout),
        Some(rest) if rest.starts_with(WHITEOUT) => Ok(Marker::Ignored),
        Some(rest) => Ok(Marker::Whiteout(OsStr::from_bytes(rest).to_owned())),
    }
}

/// The archived name of the whiteout for `last`.
pub fn whiteout_of(last: &OsStr) -> OsString {
    OsStr::from_bytes(&[WHITEOUT, last.as_bytes()].concat()).to_owned()
}

/// The archived name that makes a directory opaque.
pub fn opaque() -> &'static OsStr {
    OsStr::from_bytes(OPAQUE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_cleaned_and_kept_inside() {
        for (archived, expected) in [
            (&b"etc/passwd"[..], Ok("etc/passwd")),
            (b"/etc//passwd", Ok("etc/passwd")),
            (b"./", Ok("")),
            (b"a/../b", Ok("b")),
            (b"../x", Err(NameError::Escape)),
            (b"/../x", Err(NameError::Escape)),
            (b"a/../../x", Err(NameError::Escape)),
            (b"", Err(NameError::Empty)),
            (b"a\0b", Err(NameError::Nul)),
            (&[b'a'; 256], Err(NameError::TooLong)),
            (&b"a/".repeat(2048), Err(NameError::TooLong)),
        ] {
            let name = Name::clean(archived);
            assert_eq!(name.as_ref().map(|name| name.as_os_str().to_str().unwrap()), expected.as_ref().map(|e| *e));
        }
    }

    #[test]
    fn markers_are_told_from_names() {
        for (last, expected) in [
            ("a", Ok(Marker::None)),
            (".wh.a", Ok(Marker::Whiteout("a".into()))),
            (".wh..a", Ok(Marker::Whiteout(".a".into()))),
            (".wh..wh..opq", Ok(Marker::Opaque)),
            (".wh..wh.plnk", Ok(Marker::Ignored)),
            (".wh.", Err(NameError::Whiteout)),
            (".wh..", Err(NameError::Whiteout)),
            (".wh...", Err(NameError::Whiteout)),
        ] {
            assert_eq!(marker(OsStr::new(last)), expected, "{last}");
        }
    }
}

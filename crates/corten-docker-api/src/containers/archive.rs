//! `/containers/{id}/archive`: what a path in a container is, in a header.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::{Deserialize, Serialize};

/// The header that carries a [`PathStat`].
pub const PATH_STAT_HEADER: &str = "x-docker-container-path-stat";

/// What a path is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PathStat {
    /// Its last component.
    pub name: String,
    /// Its size in bytes.
    pub size: i64,
    /// Kind and permissions.
    pub mode: FileMode,
    /// When it was last changed, RFC 3339.
    pub mtime: String,
    /// Where a symbolic link leads in the end, as the container sees it.
    #[serde(rename = "linkTarget")]
    pub link_target: String,
}

impl PathStat {
    /// The header's text.
    ///
    /// # Errors
    /// Nothing in it can fail to be written.
    pub fn to_header(&self) -> serde_json::Result<String> {
        serde_json::to_vec(self).map(|json| BASE64_STANDARD.encode(json))
    }

    /// Reads the header's text; `None` when it is none.
    #[must_use]
    pub fn from_header(text: &str) -> Option<Self> {
        serde_json::from_slice(&BASE64_STANDARD.decode(text).ok()?).ok()
    }
}

/// Kind and permissions as Go's `fs.FileMode` has them: the low nine bits are POSIX's, the others are not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileMode(pub u32);

impl FileMode {
    const DIRECTORY: u32 = 1 << 31;
    const SYMLINK: u32 = 1 << 27;
    const DEVICE: u32 = 1 << 26;
    const FIFO: u32 = 1 << 25;
    const SOCKET: u32 = 1 << 24;
    const SET_USER_ID: u32 = 1 << 23;
    const SET_GROUP_ID: u32 = 1 << 22;
    const CHARACTER: u32 = 1 << 21;
    const STICKY: u32 = 1 << 20;
    const KINDS: u32 = Self::DIRECTORY | Self::SYMLINK | Self::DEVICE | Self::FIFO | Self::SOCKET | Self::CHARACTER;

    /// From stat(2)'s `st_mode`.
    #[must_use]
    pub const fn from_posix(mode: u32) -> Self {
        let kind = match mode & 0o170_000 {
            0o040_000 => Self::DIRECTORY,
            0o120_000 => Self::SYMLINK,
            0o060_000 => Self::DEVICE,
            0o020_000 => Self::DEVICE | Self::CHARACTER,
            0o010_000 => Self::FIFO,
            0o140_000 => Self::SOCKET,
            _ => 0,
        };
        let mut bits = kind | mode & 0o777;
        if mode & 0o4000 != 0 {
            bits |= Self::SET_USER_ID;
        }
        if mode & 0o2000 != 0 {
            bits |= Self::SET_GROUP_ID;
        }
        if mode & 0o1000 != 0 {
            bits |= Self::STICKY;
        }
        Self(bits)
    }

    /// Whether it is a directory.
    #[must_use]
    pub const fn is_directory(self) -> bool {
        self.0 & Self::DIRECTORY != 0
    }

    /// Whether it is a symbolic link.
    #[must_use]
    pub const fn is_symlink(self) -> bool {
        self.0 & Self::SYMLINK != 0
    }

    /// Whether it is an ordinary file.
    #[must_use]
    pub const fn is_regular(self) -> bool {
        self.0 & Self::KINDS == 0
    }

    /// Whether it is a device.
    #[must_use]
    pub const fn is_device(self) -> bool {
        self.0 & Self::DEVICE != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_is_docker_s() {
        let stat = PathStat {
            name: "etc".into(),
            size: 4096,
            mode: FileMode::from_posix(0o040_755),
            mtime: "2024-01-02T03:04:05Z".into(),
            link_target: String::new(),
        };
        let json = r#"{"name":"etc","size":4096,"mode":2147484141,"mtime":"2024-01-02T03:04:05Z","linkTarget":""}"#;
        assert_eq!(serde_json::to_string(&stat).unwrap(), json);
        assert_eq!(PathStat::from_header(&stat.to_header().unwrap()), Some(stat));
        assert_eq!(PathStat::from_header("%"), None);
    }

    #[test]
    fn kinds_and_set_id_bits_are_go_s() {
        for (posix, go) in [
            (0o100_644, 0o644),
            (0o104_755, (1 << 23) | 0o755),
            (0o120_777, (1 << 27) | 0o777),
            (0o041_777, (1 << 31) | (1 << 20) | 0o777),
            (0o020_666, (1 << 26) | (1 << 21) | 0o666),
        ] {
            assert_eq!(FileMode::from_posix(posix).0, go);
        }
        assert!(FileMode::from_posix(0o104_755).is_regular() && !FileMode::from_posix(0o010_644).is_regular());
    }
}

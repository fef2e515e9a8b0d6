//! Reads single files of a root filesystem that is not mounted: `/etc/passwd` before a start.
//!
//! Chosen over a mount for two files: nothing can be left behind. Layers are looked at from the top;
//! a whiteout ends the search, as it does in overlayfs.

use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;

use corten_proto::containerd::types::Mount;
use corten_sys::openat2::{self, InRootfs, Resolve};

/// `O_RDONLY | O_NONBLOCK`: a fifo in an image must not hold the engine up.
const READ_WITHOUT_WAITING: i32 = 0o4000;

/// `ENXIO`: what opening a whiteout (a device that does not exist) answers.
const NO_SUCH_DEVICE: i32 = 6;

/// The directories of a snapshot, highest first; empty when its mounts are of a kind not known.
pub fn directories(mounts: &[Mount]) -> Vec<PathBuf> {
    let Some(mount) = mounts.first() else { return Vec::new() };
    let option = |name: &str| mount.options.iter().find_map(|option| option.strip_prefix(name));
    match mount.r#type.as_str() {
        "bind" => vec![PathBuf::from(&mount.source)],
        "overlay" => {
            let upper = option("upperdir=").map(PathBuf::from);
            let lower = option("lowerdir=").into_iter().flat_map(|all| all.split(':')).map(PathBuf::from);
            upper.into_iter().chain(lower).collect()
        }
        _ => Vec::new(),
    }
}

/// The content of a file, at most `limit_bytes` of it; `None` when there is none.
///
/// # Errors
/// Those of openat2(2) and read(2).
pub fn read_file(directories: &[PathBuf], path: &str, limit_bytes: u64) -> io::Result<Option<String>> {
    let path = InRootfs::new(path)?;
    for directory in directories {
        let root = File::open(directory)?;
        match openat2::open(&root, &path, READ_WITHOUT_WAITING, 0, Resolve::IN_ROOT) {
            Ok(file) => {
                let file = File::from(file);
                if !file.metadata()?.is_file() {
                    return Ok(None);
                }
                let mut content = Vec::new();
                file.take(limit_bytes).read_to_end(&mut content)?;
                return Ok(Some(String::from_utf8_lossy(&content).into_owned()));
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) if error.raw_os_error() == Some(NO_SUCH_DEVICE) => return Ok(None),
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_layer_wins_and_links_stay_inside() {
        let root = tempfile::tempdir().unwrap();
        let layer = |name: &str| root.path().join(name);
        for name in ["upper", "middle", "lower"] {
            std::fs::create_dir_all(layer(name).join("etc")).unwrap();
        }
        std::fs::write(layer("lower").join("etc/passwd"), "low").unwrap();
        std::fs::write(layer("middle").join("etc/passwd"), "middle").unwrap();
        std::os::unix::fs::symlink("/../../etc/hostname", layer("upper").join("etc/escape")).unwrap();
        let mount = Mount {
            r#type: "overlay".into(),
            source: "overlay".into(),
            target: String::new(),
            options: vec![
                format!("upperdir={}", layer("upper").display()),
                format!("lowerdir={}:{}", layer("middle").display(), layer("lower").display()),
            ],
        };
        let all = directories(&[mount]);
        assert_eq!(all.len(), 3);
        assert_eq!(read_file(&all, "/etc/passwd", 100).unwrap().unwrap(), "middle");
        assert_eq!(read_file(&all, "/etc/passwd", 3).unwrap().unwrap(), "mid");
        assert_eq!(read_file(&all, "/etc/escape", 100).unwrap(), None);
        assert_eq!(read_file(&all, "/etc", 100).unwrap(), None);
    }
}

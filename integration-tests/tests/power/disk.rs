//! A disk that can lose power: ext4 in a file, on a loop device.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::Command,
};

use corten_sys::filesystem;
use integration_tests::{DEADLINE, Ran, TempRoot, programs, wait_for};

const SIZE_BYTES: u64 = 512 << 20;

/// The disk, mounted.
pub struct Disk {
    file: PathBuf,
    mountpoint: PathBuf,
}

impl Disk {
    /// Makes one and mounts it at `mountpoint`.
    pub fn make(root: &TempRoot, mountpoint: &Path) -> Disk {
        let file = root.join("disk.img");
        File::create(&file).and_then(|file| file.set_len(SIZE_BYTES)).expect("the root is writable");
        let _ = Ran::of(Command::new(programs::original("mke2fs")).args(["-q", "-t", "ext4", "-F"]).arg(&file)).ok();
        let disk = Disk { file, mountpoint: mountpoint.to_owned() };
        disk.mount();
        disk
    }

    /// Mounts it; after a cut the kernel replays the journal, when nobody has the file system of before any more: whoever
    /// was killed in the middle of writing takes its time to end.
    pub fn mount(&self) {
        wait_for("the file system of before to be gone", DEADLINE, || !self.is_attached());
        let _ = Ran::of(Command::new("mount").args(["-o", "loop"]).arg(&self.file).arg(&self.mountpoint)).ok();
    }

    /// Whether a loop device has it: each goes with the file system on it.
    fn is_attached(&self) -> bool {
        let devices = fs::read_dir("/sys/block").into_iter().flatten().flatten();
        let mut files = devices.filter_map(|device| fs::read_to_string(device.path().join("loop/backing_file")).ok());
        files.any(|file| Path::new(file.trim_end()) == self.file)
    }

    /// Stops all writing at once; what was not on the disk is lost.
    pub fn cut(&self) {
        let directory = File::open(&self.mountpoint).expect("it is mounted");
        filesystem::shut_down(&directory).expect("ext4 can be shut down");
    }
}

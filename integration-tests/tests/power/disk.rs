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
    cuts: usize,
}

impl Disk {
    /// Makes one and mounts it at `mountpoint`.
    pub fn make(root: &TempRoot, mountpoint: &Path) -> Disk {
        let file = root.join("disk.img");
        File::create(&file).and_then(|file| file.set_len(SIZE_BYTES)).expect("the root is writable");
        let _ = Ran::of(Command::new(programs::original("mke2fs")).args(["-q", "-t", "ext4", "-F"]).arg(&file)).ok();
        let disk = Disk { file, mountpoint: mountpoint.to_owned(), cuts: 0 };
        disk.mount();
        disk
    }

    /// Mounts it; after a cut the kernel replays the journal.
    pub fn mount(&self) {
        let _ = Ran::of(Command::new("mount").args(["-o", "loop"]).arg(&self.file).arg(&self.mountpoint)).ok();
    }

    /// Stops all writing at once; what was not on the disk is lost.
    ///
    /// What is on it then is another disk: whoever is in a mount namespace of his own keeps the file system that was
    /// shut down, which would be the one that is mounted again.
    pub fn cut(&mut self) {
        let directory = File::open(&self.mountpoint).expect("it is mounted");
        filesystem::shut_down(&directory).expect("ext4 can be shut down");
        wait_for("what was on its way to the disk to be there", DEADLINE, || !self.is_written_to());
        self.cuts += 1;
        let copy = self.file.with_extension(format!("{}.img", self.cuts));
        let _ = Ran::of(Command::new("cp").arg("--sparse=always").arg(&self.file).arg(&copy)).ok();
        fs::remove_file(&self.file).expect("the root is writable");
        self.file = copy;
    }

    /// Whether its loop device has something to do; what was shut down gives it nothing more.
    fn is_written_to(&self) -> bool {
        let devices: Vec<PathBuf> = fs::read_dir("/sys/block")
            .expect("sysfs is mounted")
            .flatten()
            .map(|device| device.path())
            .filter(|device| {
                let file = fs::read_to_string(device.join("loop/backing_file")).unwrap_or_default();
                Path::new(file.trim_end()) == self.file
            })
            .collect();
        assert_eq!(devices.len(), 1, "{} has one loop device", self.file.display());
        let under_way = fs::read_to_string(devices[0].join("inflight")).expect("the device is there");
        under_way.split_whitespace().any(|count| count != "0")
    }
}

//! Limits that this kernel does not have: docker makes the container without them, and warns.

use std::path::Path;

use corten_docker_api::containers::HostConfig;

use crate::system::info::is_cgroup_v2;

/// What the kernel can limit about block devices.
#[derive(Debug, Clone, Copy)]
struct Blocks {
    weight: bool,
    weight_device: bool,
    read_bytes: bool,
    write_bytes: bool,
    reads: bool,
    writes: bool,
}

impl Blocks {
    fn here() -> Self {
        if is_cgroup_v2() {
            let controllers = std::fs::read_to_string("/sys/fs/cgroup/cgroup.controllers").unwrap_or_default();
            let has = controllers.split_whitespace().any(|name| name == "io");
            return Self {
                weight: has,
                weight_device: has,
                read_bytes: has,
                write_bytes: has,
                reads: has,
                writes: has,
            };
        }
        let has = |names: &[&str]| names.iter().any(|name| Path::new("/sys/fs/cgroup/blkio").join(name).exists());
        Self {
            weight: has(&["blkio.weight", "blkio.bfq.weight"]),
            weight_device: has(&["blkio.weight_device", "blkio.bfq.weight_device"]),
            read_bytes: has(&["blkio.throttle.read_bps_device"]),
            write_bytes: has(&["blkio.throttle.write_bps_device"]),
            reads: has(&["blkio.throttle.read_iops_device"]),
            writes: has(&["blkio.throttle.write_iops_device"]),
        }
    }
}

/// Takes out of `host` what the kernel cannot; docker's warnings about it.
pub fn discard(host: &mut HostConfig) -> Vec<String> {
    discard_blocks(host, Blocks::here())
}

fn discard_blocks(host: &mut HostConfig, blocks: Blocks) -> Vec<String> {
    let mut warnings = Vec::new();
    let mut gone = |is_here: bool, limit: &str, what: &str| {
        if !is_here {
            let text = format!("Your kernel does not support {limit} or the cgroup is not mounted. {what} discarded.");
            warnings.push(text);
        }
        !is_here
    };
    fn given<T>(list: &Option<Vec<T>>) -> bool {
        list.as_ref().is_some_and(|list| !list.is_empty())
    }
    if host.blkio_weight > 0 && gone(blocks.weight, "Block I/O weight", "Weight") {
        host.blkio_weight = 0;
    }
    if given(&host.blkio_weight_device) && gone(blocks.weight_device, "Block I/O weight_device", "Weight-device") {
        host.blkio_weight_device = None;
    }
    for (list, is_here, limit, what) in [
        (&mut host.blkio_device_read_bps, blocks.read_bytes, "BPS Block I/O read limit", "Block I/O BPS read limit"),
        (
            &mut host.blkio_device_write_bps,
            blocks.write_bytes,
            "BPS Block I/O write limit",
            "Block I/O BPS write limit",
        ),
        (&mut host.blkio_device_read_iops, blocks.reads, "IOPS Block read limit", "Block I/O IOPS read limit"),
        (&mut host.blkio_device_write_iops, blocks.writes, "IOPS Block write limit", "Block I/O IOPS write limit"),
    ] {
        if given(list) && gone(is_here, limit, what) {
            *list = None;
        }
    }
    warnings
}

#[cfg(test)]
mod tests {
    use super::*;
    use corten_docker_api::containers::ThrottleDevice;

    #[test]
    fn what_the_kernel_cannot_is_taken_out_with_a_warning() {
        let rates = || Some(vec![ThrottleDevice { path: "/dev/vda".into(), rate: 1 }]);
        let asked = || HostConfig {
            blkio_weight: 300,
            blkio_device_read_bps: rates(),
            blkio_device_write_iops: rates(),
            ..HostConfig::default()
        };
        let none = Blocks {
            weight: false,
            weight_device: false,
            read_bytes: false,
            write_bytes: false,
            reads: false,
            writes: false,
        };
        let mut host = asked();
        let warnings = discard_blocks(&mut host, none);
        assert_eq!(host, HostConfig::default());
        assert_eq!(warnings.len(), 3);
        assert_eq!(
            warnings[0],
            "Your kernel does not support Block I/O weight or the cgroup is not mounted. Weight discarded."
        );
        let all = Blocks { weight: true, read_bytes: true, writes: true, ..none };
        let mut host = asked();
        assert!(discard_blocks(&mut host, all).is_empty());
        assert_eq!(host, asked());
    }
}

//! Limits that name what they are for: a block device, a size of pages, a network interface, an RDMA device.

use crate::CgroupError;
use crate::limits::{Missing, Writes};

/// The limits; an empty list leaves what is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Named {
    /// Of block devices.
    pub block: Vec<BlockLimit>,
    /// Of huge pages: their size, such as `2MB`, and bytes.
    pub huge_pages: Vec<(String, u64)>,
    /// Of RDMA devices.
    pub rdma: Vec<RdmaLimit>,
    /// The class that packets are marked with; v1 only.
    pub network_class: Option<u32>,
    /// Priorities of packets by interface; v1 only.
    pub network_priorities: Vec<(String, u32)>,
}

/// One limit of one block device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlockLimit {
    /// Its place in the specification's list.
    pub index: usize,
    /// The device's numbers.
    pub device: (u32, u32),
    /// What is limited.
    pub kind: BlockLimitKind,
    /// The limit; 0 takes one of a rate back.
    pub value: u64,
}

/// What is limited of a block device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BlockLimitKind {
    /// Weight against others, 10 to 1000.
    Weight,
    /// Weight of the cgroup's own tasks against those below; gone from the kernel with its scheduler.
    LeafWeight,
    /// Bytes read a second.
    ReadBytes,
    /// Bytes written a second.
    WriteBytes,
    /// Reads a second.
    Reads,
    /// Writes a second.
    WriteOperations,
}

/// Limits of one RDMA device; `None` leaves what is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RdmaLimit {
    /// The device's name.
    pub device: String,
    /// Handles.
    pub handles: Option<u32>,
    /// Objects.
    pub objects: Option<u32>,
}

impl BlockLimitKind {
    /// The file of v1, the key in `io.max` of v2, the specification's name.
    const fn names(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::Weight => ("blkio.bfq.weight_device", "", "weightDevice"),
            Self::LeafWeight => ("blkio.leaf_weight_device", "", "leafWeight"),
            Self::ReadBytes => ("blkio.throttle.read_bps_device", "rbps", "throttleReadBpsDevice"),
            Self::WriteBytes => ("blkio.throttle.write_bps_device", "wbps", "throttleWriteBpsDevice"),
            Self::Reads => ("blkio.throttle.read_iops_device", "riops", "throttleReadIOPSDevice"),
            Self::WriteOperations => ("blkio.throttle.write_iops_device", "wiops", "throttleWriteIOPSDevice"),
        }
    }
}

/// Adds the writes of version 1 or 2.
pub(crate) fn add(writes: &mut Writes, named: &Named, is_v2: bool) -> Result<(), CgroupError> {
    for limit in &named.block {
        block(writes, limit, is_v2)?;
    }
    for (index, (size, bytes)) in named.huge_pages.iter().enumerate() {
        let name = format!("hugepageLimits[{index}]");
        let (file, reserved) = if is_v2 { ("max", "rsvd.max") } else { ("limit_in_bytes", "rsvd.limit_in_bytes") };
        writes.add("hugetlb", &format!("hugetlb.{size}.{file}"), &name, Some(bytes));
        // Pages that are mapped but not yet touched count since Linux 5.7.
        let reserved = format!("hugetlb.{size}.{reserved}");
        writes.add_with("hugetlb", &reserved, &name, Some(bytes), Missing::PassedOver);
    }
    for limit in &named.rdma {
        let mut value = limit.device.clone();
        for (name, number) in [("hca_handle", limit.handles), ("hca_object", limit.objects)] {
            if let Some(number) = number {
                value.push_str(&format!(" {name}={number}"));
            }
        }
        writes.add("rdma", "rdma.max", &format!("rdma[{}]", limit.device), Some(value));
    }
    let is_network = named.network_class.is_some() || !named.network_priorities.is_empty();
    if is_v2 && is_network {
        return Err(CgroupError::NotInVersion { limit: "linux.resources.network", version: 2 });
    }
    writes.add("net_cls", "net_cls.classid", "network.classID", named.network_class);
    for (name, priority) in &named.network_priorities {
        let value = Some(format!("{name} {priority}"));
        writes.add("net_prio", "net_prio.ifpriomap", &format!("network.priorities[{name}]"), value);
    }
    Ok(())
}

fn block(writes: &mut Writes, limit: &BlockLimit, is_v2: bool) -> Result<(), CgroupError> {
    let (file, key, name) = limit.kind.names();
    let name = format!("blockIO.{name}[{}]", limit.index);
    let (major, minor) = limit.device;
    let value = limit.value;
    match (is_v2, limit.kind) {
        (false, BlockLimitKind::Weight) => {
            // As with the weight of all devices: the file of the scheduler that the kernel has.
            let value = Some(format!("{major}:{minor} {value}"));
            writes.add_with("blkio", "blkio.weight_device", &name, value.clone(), Missing::Next);
            writes.add("blkio", file, &name, value);
        }
        (false, _) => writes.add("blkio", file, &name, Some(format!("{major}:{minor} {value}"))),
        (true, BlockLimitKind::Weight) => {
            writes.add("io", "io.bfq.weight", &name, Some(format!("{major}:{minor} {value}")));
        }
        (true, BlockLimitKind::LeafWeight) => {
            return Err(CgroupError::NotInVersion { limit: "linux.resources.blockIO.leafWeight", version: 2 });
        }
        (true, _) => {
            let value = if value == 0 { "max".to_owned() } else { value.to_string() };
            writes.add("io", "io.max", &name, Some(format!("{major}:{minor} {key}={value}")));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::fs;

    use super::*;
    use crate::{Cgroup, Limits};

    /// A tree of files as a kernel with every controller has them; what neither kernel at hand can do is shown on it.
    fn write_to(files: &[(&str, &str)], named: Named) -> Result<BTreeMap<String, String>, String> {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let mut paths = BTreeMap::new();
        for (controller, file) in files {
            let path = directory.path().join(controller);
            fs::create_dir_all(&path).expect("mkdir");
            fs::write(path.join(file), "").expect("writes");
            paths.insert((*controller).to_owned(), path);
        }
        let cgroup = Cgroup::from_paths(&paths);
        cgroup.limit(&Limits { named, ..Limits::default() }).map_err(|error| error.to_string())?;
        let written = files.iter().map(|(controller, file)| {
            let text = fs::read_to_string(directory.path().join(controller).join(file)).expect("there");
            ((*file).to_owned(), text)
        });
        Ok(written.collect())
    }

    fn limit(kind: BlockLimitKind, value: u64) -> BlockLimit {
        BlockLimit { index: 0, device: (8, 16), kind, value }
    }

    #[test]
    fn each_limit_has_its_file_on_v1() {
        let named = Named {
            block: vec![
                limit(BlockLimitKind::Weight, 500),
                limit(BlockLimitKind::LeafWeight, 600),
                limit(BlockLimitKind::ReadBytes, 1000),
                limit(BlockLimitKind::WriteBytes, 2000),
                limit(BlockLimitKind::Reads, 6),
                limit(BlockLimitKind::WriteOperations, 7),
            ],
            huge_pages: vec![("2MB".to_owned(), 4 << 20)],
            rdma: vec![RdmaLimit { device: "mlx5_0".to_owned(), handles: Some(3), objects: Some(9) }],
            network_class: Some(0x10_0001),
            network_priorities: vec![("eth0".to_owned(), 5)],
        };
        let files = [
            ("blkio", "blkio.bfq.weight_device"),
            ("blkio", "blkio.leaf_weight_device"),
            ("blkio", "blkio.throttle.read_bps_device"),
            ("blkio", "blkio.throttle.write_bps_device"),
            ("blkio", "blkio.throttle.read_iops_device"),
            ("blkio", "blkio.throttle.write_iops_device"),
            ("hugetlb", "hugetlb.2MB.limit_in_bytes"),
            ("rdma", "rdma.max"),
            ("net_cls", "net_cls.classid"),
            ("net_prio", "net_prio.ifpriomap"),
        ];
        let written = write_to(&files, named).expect("every file is there");
        let expected = [
            "8:16 500",
            "8:16 600",
            "8:16 1000",
            "8:16 2000",
            "8:16 6",
            "8:16 7",
            "4194304",
            "mlx5_0 hca_handle=3 hca_object=9",
            "1048577",
            "eth0 5",
        ];
        for ((_, file), value) in files.iter().zip(expected) {
            assert_eq!(written[*file], value, "{file}");
        }
    }

    #[test]
    fn rates_are_keys_of_one_file_on_v2() {
        for (kind, value, expected) in [
            (BlockLimitKind::ReadBytes, 1000, "8:16 rbps=1000"),
            (BlockLimitKind::WriteBytes, 0, "8:16 wbps=max"),
            (BlockLimitKind::Reads, 5, "8:16 riops=5"),
        ] {
            let named = Named { block: vec![limit(kind, value)], ..Named::default() };
            assert_eq!(write_to(&[("", "io.max")], named).expect("written")["io.max"], expected);
        }
        let named = Named { huge_pages: vec![("1GB".to_owned(), 0)], ..Named::default() };
        assert_eq!(write_to(&[("", "hugetlb.1GB.max")], named).expect("written")["hugetlb.1GB.max"], "0");
    }

    #[test]
    fn what_is_not_there_is_named() {
        let class = Named { network_class: Some(1), ..Named::default() };
        let error = write_to(&[("memory", "x")], class.clone()).expect_err("no controller");
        assert_eq!(error, "linux.resources.network.classID: the net_cls controller is not available");
        let error = write_to(&[("", "x")], class).expect_err("not in v2");
        assert_eq!(error, "linux.resources.network: invalid configuration: not possible with cgroup v2");
        let pages = Named { huge_pages: vec![("3MB".to_owned(), 1)], ..Named::default() };
        let error = write_to(&[("", "x")], pages).expect_err("no such size");
        assert_eq!(error, "linux.resources.hugepageLimits[0]: the hugetlb controller is not available");
    }
}

//! `linux.resources` → limits.

use corten_cgroups::{Access, BlockLimit, BlockLimitKind, DeviceKind, DeviceRule, Limits, Named, RdmaLimit};

use super::invalid;
use crate::spec::{DeviceRule as SpecRule, Resources, SpecError};

/// The limits of a new container.
///
/// # Errors
/// [`SpecError::Invalid`].
pub fn limits(resources: &Resources) -> Result<Limits, SpecError> {
    let (memory, cpu) = (&resources.memory, &resources.cpu);
    // runc takes 0 for "not given" in these: Go's zero value.
    let given = |value: Option<i64>| value.filter(|value| *value != 0);
    let given_u64 = |value: Option<u64>| value.filter(|value| *value != 0);
    let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let mut rules = resources.devices.iter().map(rule).collect::<Result<Vec<_>, _>>()?;
    rules.extend(default_rules());
    Ok(Limits {
        memory_bytes: given(memory.limit),
        memory_and_swap_bytes: given(memory.swap),
        memory_reservation_bytes: given(memory.reservation),
        swappiness: memory.swappiness.filter(|value| i64::try_from(*value).is_ok_and(|value| value >= 0)),
        disable_oom_killer: memory.disable_oom_killer,
        cpu_shares: given_u64(cpu.shares),
        cpu_quota_us: given(cpu.quota),
        cpu_period_us: given_u64(cpu.period),
        cpu_burst_us: given_u64(cpu.burst),
        cpu_realtime_runtime_us: given(cpu.realtime_runtime),
        cpu_realtime_period_us: given_u64(cpu.realtime_period),
        cpu_idle: cpu.idle,
        cpuset_cpus: text(&cpu.cpus),
        cpuset_mems: text(&cpu.mems),
        pids: resources.pids.limit,
        blkio_weight: resources.block_io.weight.filter(|weight| *weight != 0),
        blkio_leaf_weight: resources.block_io.leaf_weight.filter(|weight| *weight != 0),
        kernel_tcp_bytes: given(memory.kernel_tcp),
        named: named(resources)?,
        devices: Some(rules),
        unified: resources.unified.clone(),
    })
}

fn named(resources: &Resources) -> Result<Named, SpecError> {
    use BlockLimitKind::{LeafWeight, ReadBytes, Reads, Weight, WriteBytes, WriteOperations};
    let io = &resources.block_io;
    let mut block = Vec::new();
    let number = |key: &str, number: i64| {
        u32::try_from(number)
            .map_err(|_| invalid(format!("linux.resources.blockIO.{key}"), format!("{number} is no device number")))
    };
    for (index, given) in io.weight_device.iter().enumerate() {
        let device = (number("weightDevice", given.major)?, number("weightDevice", given.minor)?);
        for (kind, value) in [(Weight, given.weight), (LeafWeight, given.leaf_weight)] {
            block.extend(value.map(|value| BlockLimit { index, device, kind, value: u64::from(value) }));
        }
    }
    for (kind, key, list) in [
        (ReadBytes, "throttleReadBpsDevice", &io.throttle_read_bps_device),
        (WriteBytes, "throttleWriteBpsDevice", &io.throttle_write_bps_device),
        (Reads, "throttleReadIOPSDevice", &io.throttle_read_iops_device),
        (WriteOperations, "throttleWriteIOPSDevice", &io.throttle_write_iops_device),
    ] {
        for (index, given) in list.iter().enumerate() {
            let device = (number(key, given.major)?, number(key, given.minor)?);
            block.push(BlockLimit { index, device, kind, value: given.rate });
        }
    }
    let mut huge_pages = Vec::new();
    for (index, given) in resources.hugepage_limits.iter().enumerate() {
        // It becomes part of a file's name.
        let digits = given.page_size.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
        let is_size = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        if !is_size || !matches!(&given.page_size[digits.len()..], "KB" | "MB" | "GB") {
            let key = format!("linux.resources.hugepageLimits[{index}].pageSize");
            return Err(invalid(key, format!("{:?} is no size of pages", given.page_size)));
        }
        huge_pages.push((given.page_size.clone(), given.limit));
    }
    let rdma = resources.rdma.iter().map(|(device, given)| RdmaLimit {
        device: device.clone(),
        handles: given.hca_handles,
        objects: given.hca_objects,
    });
    let network = &resources.network;
    Ok(Named {
        block,
        huge_pages,
        rdma: rdma.collect(),
        network_class: network.class_id.filter(|class| *class != 0),
        network_priorities: network.priorities.iter().map(|one| (one.name.clone(), one.priority)).collect(),
    })
}

fn rule(rule: &SpecRule) -> Result<DeviceRule, SpecError> {
    let key = "linux.resources.devices";
    let number = |number: Option<i64>| match number {
        None | Some(-1) => Ok(None),
        Some(number) => {
            u32::try_from(number).map(Some).map_err(|_| invalid(key, format!("{number} is no number of a device")))
        }
    };
    let kind = match rule.kind.as_str() {
        "" | "a" => DeviceKind::All,
        "c" | "u" => DeviceKind::Char,
        "b" => DeviceKind::Block,
        other => return Err(invalid(key, format!("invalid cgroup device type {other:?}"))),
    };
    let access = match rule.access.as_str() {
        "" => Access::ALL,
        text => Access::parse(text).ok_or_else(|| invalid(key, format!("{text:?} is no access: letters of rwm")))?,
    };
    // runc takes a rule about all devices as one about all of them, whatever its numbers say.
    let (major, minor) =
        if kind == DeviceKind::All { (None, None) } else { (number(rule.major)?, number(rule.minor)?) };
    Ok(DeviceRule { allow: rule.allow, kind, major, minor, access })
}

/// What every container may use, after the spec's own rules: runc's list.
fn default_rules() -> impl Iterator<Item = DeviceRule> {
    const fn allow(kind: DeviceKind, major: Option<u32>, minor: Option<u32>, access: Access) -> DeviceRule {
        DeviceRule { allow: true, kind, major, minor, access }
    }
    const RULES: [DeviceRule; 10] = [
        allow(DeviceKind::Char, None, None, Access::MAKE),
        allow(DeviceKind::Block, None, None, Access::MAKE),
        allow(DeviceKind::Char, Some(1), Some(3), Access::ALL),
        allow(DeviceKind::Char, Some(1), Some(8), Access::ALL),
        allow(DeviceKind::Char, Some(1), Some(7), Access::ALL),
        allow(DeviceKind::Char, Some(5), Some(0), Access::ALL),
        allow(DeviceKind::Char, Some(1), Some(5), Access::ALL),
        allow(DeviceKind::Char, Some(1), Some(9), Access::ALL),
        allow(DeviceKind::Char, Some(136), None, Access::ALL),
        allow(DeviceKind::Char, Some(5), Some(2), Access::ALL),
    ];
    RULES.into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zero_means_not_given() {
        let json = r#"{"memory":{"limit":0,"swap":0},"cpu":{"shares":0,"quota":0,"cpus":""},"pids":{}}"#;
        let resources: Resources = serde_json::from_str(json).expect("parses");
        let limits = limits(&resources).expect("plans");
        assert_eq!(Limits { devices: None, ..limits }, Limits::default());
    }

    #[test]
    fn rules_of_the_spec_come_before_the_defaults() {
        let json = r#"{"devices":[{"allow":false,"access":"rwm"},{"allow":true,"type":"c","major":10,"minor":-1,"access":"rw"}]}"#;
        let resources: Resources = serde_json::from_str(json).expect("parses");
        let rules = limits(&resources).expect("plans").devices.expect("rules");
        assert_eq!((rules[0].allow, rules[0].kind), (false, DeviceKind::All));
        assert_eq!((rules[1].major, rules[1].minor), (Some(10), None));
        assert_eq!(rules.len(), 12);
    }

    /// Each field of the specification is another number, so that none can stand in another's place.
    #[test]
    fn every_field_of_resources_is_the_limit_of_its_name() {
        let json = r#"{
            "memory": {"limit": 1, "reservation": 2, "swap": 3, "kernelTCP": 4, "swappiness": 5, "disableOOMKiller": true},
            "cpu": {"shares": 6, "quota": 7, "burst": 8, "period": 9, "realtimeRuntime": 10, "realtimePeriod": 11,
                "cpus": "12", "mems": "13", "idle": 14},
            "pids": {"limit": 15},
            "blockIO": {"weight": 16, "leafWeight": 17,
                "weightDevice": [{"major": 18, "minor": 19, "weight": 20, "leafWeight": 21}],
                "throttleReadBpsDevice": [{"major": 22, "minor": 23, "rate": 24}],
                "throttleWriteBpsDevice": [{"major": 25, "minor": 26, "rate": 27}],
                "throttleReadIOPSDevice": [{"major": 28, "minor": 29, "rate": 30}],
                "throttleWriteIOPSDevice": [{"major": 31, "minor": 32, "rate": 33}]},
            "hugepageLimits": [{"pageSize": "34MB", "limit": 35}],
            "network": {"classID": 36, "priorities": [{"name": "eth37", "priority": 38}]},
            "rdma": {"mlx39": {"hcaHandles": 40, "hcaObjects": 41}},
            "unified": {"memory.high": "42"}
        }"#;
        let resources: Resources = serde_json::from_str(json).expect("parses");
        let limit = |device, kind, value| BlockLimit { index: 0, device, kind, value };
        let expected = Limits {
            memory_bytes: Some(1),
            memory_reservation_bytes: Some(2),
            memory_and_swap_bytes: Some(3),
            kernel_tcp_bytes: Some(4),
            swappiness: Some(5),
            disable_oom_killer: Some(true),
            cpu_shares: Some(6),
            cpu_quota_us: Some(7),
            cpu_burst_us: Some(8),
            cpu_period_us: Some(9),
            cpu_realtime_runtime_us: Some(10),
            cpu_realtime_period_us: Some(11),
            cpuset_cpus: Some("12".to_owned()),
            cpuset_mems: Some("13".to_owned()),
            cpu_idle: Some(14),
            pids: Some(15),
            blkio_weight: Some(16),
            blkio_leaf_weight: Some(17),
            named: Named {
                block: vec![
                    limit((18, 19), BlockLimitKind::Weight, 20),
                    limit((18, 19), BlockLimitKind::LeafWeight, 21),
                    limit((22, 23), BlockLimitKind::ReadBytes, 24),
                    limit((25, 26), BlockLimitKind::WriteBytes, 27),
                    limit((28, 29), BlockLimitKind::Reads, 30),
                    limit((31, 32), BlockLimitKind::WriteOperations, 33),
                ],
                huge_pages: vec![("34MB".to_owned(), 35)],
                rdma: vec![RdmaLimit { device: "mlx39".to_owned(), handles: Some(40), objects: Some(41) }],
                network_class: Some(36),
                network_priorities: vec![("eth37".to_owned(), 38)],
            },
            devices: None,
            unified: [("memory.high".to_owned(), "42".to_owned())].into(),
        };
        assert_eq!(Limits { devices: None, ..limits(&resources).expect("plans") }, expected);
    }
}

//! `docker update`: limits and restart policy of a container that exists.

use std::sync::Arc;

use corten_docker_api::containers::{ContainerUpdated, HostConfig};

use super::record::Record;
use super::{check, discard};
use crate::engine::Engine;
use crate::errors::{EngineError, Result};
use crate::events::Kind;
use crate::spec;
use crate::system::info::is_cgroup_v2;
use crate::tasks;

/// Changes what is given; zero and empty leave a value as it is. Running containers feel it at once.
///
/// # Errors
/// 400 for limits that cannot be, 501 for those not built yet, 409 in the midst of a removal.
pub async fn update(engine: &Arc<Engine>, wanted: &str, change: HostConfig) -> Result<ContainerUpdated> {
    let container = engine.containers.find(wanted)?;
    // Only limits and the policy are read of the body, as dockerd does.
    let mut asked = HostConfig {
        restart_policy: change.restart_policy.clone(),
        cpu_shares: change.cpu_shares,
        memory: change.memory,
        nano_cpus: change.nano_cpus,
        blkio_weight: change.blkio_weight,
        cpu_period: change.cpu_period,
        cpu_quota: change.cpu_quota,
        cpu_realtime_period: change.cpu_realtime_period,
        cpu_realtime_runtime: change.cpu_realtime_runtime,
        cpuset_cpus: change.cpuset_cpus.clone(),
        cpuset_mems: change.cpuset_mems.clone(),
        kernel_memory: change.kernel_memory,
        memory_reservation: change.memory_reservation,
        memory_swap: change.memory_swap,
        pids_limit: change.pids_limit,
        ..HostConfig::default()
    };
    let warnings = discard::discard(&mut asked);
    check::restart_policy(&asked)?;
    // What can never be is refused by itself; what does not go with the rest, as this container's.
    let alone = HostConfig { memory_swap: 0, ..asked.clone() };
    check::limits(&alone)?;
    let turn = container.turn().await;
    let view = turn.view();
    let refused = |error: EngineError| error.while_doing(format!("Cannot update container {}", container.id));
    if view.state.removing || view.state.dead {
        return Err(refused(EngineError::conflict("container is marked for removal and cannot be \"update\".")));
    }
    let mut host = view.record.host_config.clone();
    apply(&mut host, &asked).map_err(refused)?;
    check::host(&host).map_err(refused)?;
    let record = Record { host_config: host, ..Record::clone(&view.record) };
    if view.state.is_alive() {
        engine.containerd.linked().await?;
        let resources = spec::resources(&record.host_config, is_cgroup_v2()).map_err(refused)?;
        tasks::update::update(engine, &turn.id, &resources).await.map_err(refused)?;
    }
    turn.replace_record(record).map_err(|error| EngineError::internal("write the container down").caused_by(error))?;
    engine.events.publish(Kind::Container, "update", &turn.id, turn.view().record.event_attributes());
    Ok(ContainerUpdated { warnings: Some(warnings).filter(|warnings| !warnings.is_empty()) })
}

fn apply(host: &mut HostConfig, asked: &HostConfig) -> Result<()> {
    fn set<T: Default + PartialEq + Clone>(field: &mut T, value: &T) {
        if *value != T::default() {
            field.clone_from(value);
        }
    }
    let conflict = |what: &str, other: &str| {
        let text = format!("Conflicting options: {what} cannot be updated as {other} has already been set");
        Err(EngineError::conflict(text))
    };
    if asked.nano_cpus != 0 && host.cpu_period != 0 {
        return conflict("Nano CPUs", "CPU Period");
    }
    if asked.nano_cpus != 0 && host.cpu_quota != 0 {
        return conflict("Nano CPUs", "CPU Quota");
    }
    if asked.cpu_period != 0 && host.nano_cpus != 0 {
        return conflict("CPU Period", "NanoCPUs");
    }
    if asked.cpu_quota != 0 && host.nano_cpus != 0 {
        return conflict("CPU Quota", "NanoCPUs");
    }
    if asked.memory != 0 {
        // Docker's guard: a limit above the swap limit would be refused by the kernel half way.
        if asked.memory > host.memory_swap && host.memory_swap > 0 && asked.memory_swap == 0 {
            return Err(EngineError::conflict(
                "Memory limit should be smaller than already set memoryswap limit, update the memoryswap at the same time",
            ));
        }
        host.memory = asked.memory;
    }
    set(&mut host.cpu_shares, &asked.cpu_shares);
    set(&mut host.nano_cpus, &asked.nano_cpus);
    set(&mut host.blkio_weight, &asked.blkio_weight);
    set(&mut host.cpu_period, &asked.cpu_period);
    set(&mut host.cpu_quota, &asked.cpu_quota);
    set(&mut host.cpu_realtime_period, &asked.cpu_realtime_period);
    set(&mut host.cpu_realtime_runtime, &asked.cpu_realtime_runtime);
    set(&mut host.cpuset_cpus, &asked.cpuset_cpus);
    set(&mut host.cpuset_mems, &asked.cpuset_mems);
    set(&mut host.kernel_memory, &asked.kernel_memory);
    set(&mut host.memory_reservation, &asked.memory_reservation);
    set(&mut host.memory_swap, &asked.memory_swap);
    if let Some(limit) = asked.pids_limit {
        host.pids_limit = Some(limit).filter(|limit| *limit > 0);
    }
    if !asked.restart_policy.name.is_empty() {
        if host.auto_remove && asked.restart_policy.name != "no" {
            return Err(EngineError::invalid(
                "Restart policy cannot be updated because AutoRemove is enabled for the container",
            ));
        }
        host.restart_policy = asked.restart_policy.clone();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zero_and_empty_leave_a_value_as_it_is() {
        let mut host = HostConfig { memory: 8 << 20, memory_swap: 16 << 20, cpu_shares: 5, ..HostConfig::default() };
        apply(&mut host, &HostConfig { memory: 12 << 20, pids_limit: Some(7), ..HostConfig::default() }).unwrap();
        assert_eq!((host.memory, host.memory_swap, host.cpu_shares, host.pids_limit), (12 << 20, 16 << 20, 5, Some(7)));
        let error = apply(&mut host, &HostConfig { memory: 64 << 20, ..HostConfig::default() }).unwrap_err();
        assert!(error.message().starts_with("Memory limit should be smaller than already set memoryswap limit"));
        host.auto_remove = true;
        let mut asked = HostConfig::default();
        asked.restart_policy.name = "always".into();
        assert_eq!(apply(&mut host, &asked).unwrap_err().kind().http_status(), 400);
    }
}

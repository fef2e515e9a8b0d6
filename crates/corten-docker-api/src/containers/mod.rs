//! `/containers`.

mod archive;
mod changes;
mod config;
mod create;
mod host_config;
mod inspect;
mod list;
mod networking;
mod prune;
mod stats;
mod top;
mod update;
mod wait;

pub use archive::{FileMode, PATH_STAT_HEADER, PathStat};
pub use changes::{Committed, FileChange};
pub use config::{ContainerConfig, Healthcheck};
pub use create::{ContainerCreate, ContainerCreated};
pub use host_config::{
    BindOptions, Device, DeviceRequest, DriverConfig, HostConfig, ImageOptions, LogConfig, Mount, PortBinding, PortMap,
    RestartPolicy, ThrottleDevice, TmpfsOptions, Ulimit, VolumeOptions, WeightDevice,
};
pub use inspect::{ContainerInspect, ContainerState, Health, HealthResult, MountPoint, NetworkSettings};
pub use list::{ContainerSummary, ListHostConfig, ListNetworkSettings, Port};
pub use networking::{Endpoint, EndpointAddresses, NetworkingConfig};
pub use prune::ContainersPruned;
pub use stats::{BlkioEntry, BlkioStats, CpuStats, CpuUsage, MemoryStats, NetworkStats, PidsStats, Stats, Throttling};
pub use top::Top;
pub use update::{ContainerUpdate, ContainerUpdated};
pub use wait::{WaitError, WaitResponse};

//! The harness of the scenarios: finds the built programs and the originals, starts them in
//! roots of their own, and takes away whatever they leave.
//!
//! Reading order: [`TempRoot`] is what every test owns; [`programs`] finds what is to be run and
//! [`Ran`] runs it; the daemons ([`Containerd`], [`Dockerd`], [`Supervisor`], [`Cortend`]) live in a
//! root; [`Stack`] is ours or the original under one scenario; [`busybox`] makes images and bundles;
//! [`Leaks`] counts what is left, [`NetLeaks`] what is left in a host's network.

pub mod busybox;
pub mod cgroups;
mod containerd;
mod cortend;
mod daemon;
mod docker_cli;
mod docker_peer;
mod docker_registry;
mod dockerd;
mod engine_api;
mod firewalld;
pub mod hostile;
mod image;
mod leaks;
mod mounts;
mod net_container;
mod net_leaks;
mod net_probe;
mod network;
mod port_proxy;
mod processes;
pub mod programs;
mod ran;
pub mod registry;
pub mod seccomp_profile;
mod signals;
mod stack;
mod supervisor;
mod temp_root;
mod terminal;
mod wait;
mod wrappers;

pub use containerd::{Containerd, ContainerdOptions, Ctr};
pub use cortend::{Cortend, CortendNetwork, CortendOptions};
pub use daemon::Daemon;
pub use docker_cli::DockerCli;
pub use docker_peer::DockerPeer;
pub use docker_registry::{DockerRegistry, DockerRegistryOptions};
pub use dockerd::{Dockerd, DockerdNetwork, DockerdOptions};
pub use engine_api::{Answer, EngineApi};
pub use firewalld::Firewalld;
pub use image::{ImageFiles, digest, docker_archive, oci_layout};
pub use leaks::{Counts, Leaks};
pub use mounts::{Mount, mounts};
pub use net_container::NetContainer;
pub use net_leaks::NetLeaks;
pub use net_probe::{connects, connects_within, resolve, resolve_within};
pub use network::{PrivateNetwork, in_network_of, in_own_network, sh, try_sh};
pub use port_proxy::{PortProxy, ProxiedPort, run_port_proxy};
pub use processes::{Process, child_processes, parent_of, process, processes};
pub use ran::Ran;
pub use signals::{send_signal, unmount};
pub use stack::{Kind, Stack, StackOptions};
pub use supervisor::{Supervisor, SupervisorOptions};
pub use temp_root::{TempRoot, random_id};
pub use terminal::Terminal;
pub use wait::{DEADLINE, try_for, wait_for, wait_for_some};
pub use wrappers::Wrappers;

//! `start`: binds the socket, forks the daemon with it, and prints the address. No exec: the daemon is this
//! program already, and a second start-up would cost more than everything else here.

use std::{
    env, fs, io,
    io::{PipeWriter, Read, Write},
    os::unix::{
        fs::{DirBuilderExt, PermissionsExt},
        net::UnixListener,
    },
    path::{Path, PathBuf},
};

use corten_cgroups::Host;
use corten_proto::containerd::runtime::bootstrap::v1::BootstrapResult;
use corten_shim_api::start::{Address, Invocation};
use corten_sys::{
    atomic_file::{self, Durability},
    daemon::{self, Forked},
    sockets,
};
use prost::Message;
use sha2::{Digest, Sha256};

use super::{BootstrapError, failed, print, read_input, serve};
use crate::container::Config;

/// Where shims listen, until containerd 2.3 tells a directory.
const SOCKET_DIRECTORY: &str = "/run/containerd/s";
/// Annotations that put containers into one shim, in containerd's order.
const GROUP_ANNOTATIONS: [&str; 2] = ["io.containerd.runc.v2.group", "io.kubernetes.cri.sandbox-id"];
/// Where the daemon's score lies.
const OOM_SCORE: &str = "/proc/self/oom_score_adj";

/// Starts the daemon of the container, or finds the one of its group, and prints its address.
pub(super) fn start(invocation: &Invocation) -> Result<(), BootstrapError> {
    let input = read_input(&invocation.id, &invocation.namespace)?;
    let bundle = env::current_dir().map_err(failed("find the bundle"))?;
    let config = Config::load(&bundle).map_err(failed(format!("read {}", bundle.join("config.json").display())))?;
    let group = GROUP_ANNOTATIONS.iter().find_map(|name| config.annotations.get(*name));
    let directory = input.bootstrap.as_ref().and_then(|bootstrap| bootstrap.socket_dir.clone());
    let directory = directory.filter(|directory| !directory.is_empty()).map_or(SOCKET_DIRECTORY.into(), PathBuf::from);
    let socket = match &invocation.socket {
        Some(socket) => socket.clone(),
        None => socket_path(&directory, &invocation.address, &invocation.namespace, group.unwrap_or(&invocation.id)),
    };
    let address = Address::ttrpc(&socket);
    let listener = listen(&socket).map_err(failed(format!("listen at {}", socket.display())))?;
    let answer = match &input.bootstrap {
        Some(_) => {
            let Address { version, address, protocol } = address.clone();
            BootstrapResult { version, address, protocol, ..BootstrapResult::default() }.encode_to_vec()
        }
        None => address.address.clone().into_bytes(),
    };
    // containerd 1.6 and 1.7 find the shim of an earlier life by it.
    atomic_file::replace(&bundle.join("address"), address.address.as_bytes(), Durability::Process)
        .map_err(failed(format!("write {}", bundle.join("address").display())))?;
    let Some(listener) = listener else { return print(&answer) };
    let options = input.runc_options().map_err(BootstrapError::Input)?.unwrap_or_default();
    let (mut ready, say_ready) = io::pipe().map_err(failed("make a pipe"))?;
    match daemon::fork_single_threaded().map_err(failed("fork the daemon"))? {
        Forked::Child => {
            drop(ready);
            let served =
                become_daemon(&listener, say_ready).and_then(|()| serve::serve(invocation, listener, &bundle, &socket));
            if let Err(error) = served {
                tracing::error!(error = corten_types::error::chain(&error), "the shim cannot serve");
            }
            Ok(())
        }
        Forked::Parent(pid) => {
            drop(say_ready);
            if !options.shim_cgroup.is_empty() {
                join(pid, &options.shim_cgroup)?;
            }
            // Whoever connects from now on sees the daemon as its peer.
            ready.read_exact(&mut [0]).map_err(failed("wait for the daemon"))?;
            print(&answer)
        }
    }
}

fn socket_path(directory: &Path, address: &str, namespace: &str, group: &str) -> PathBuf {
    let joined = Path::new(address).join(namespace).join(group);
    let hash = Sha256::digest(joined.as_os_str().as_encoded_bytes());
    let name: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    directory.join(name)
}

/// Binds the socket; `None` when the shim of the group listens there.
fn listen(socket: &Path) -> io::Result<Option<UnixListener>> {
    if let Some(directory) = socket.parent() {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    }
    let listener = match sockets::listen_replacing_dead(socket) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => return Ok(None),
        other => other?,
    };
    fs::set_permissions(socket, fs::Permissions::from_mode(0o600))?;
    listener.set_nonblocking(true)?;
    Ok(Some(listener))
}

/// Leaves the caller: its pipes, which it reads to their end, its process group, and its kill score.
fn become_daemon(listener: &UnixListener, mut say_ready: PipeWriter) -> Result<(), BootstrapError> {
    let null = fs::File::options().read(true).write(true).open("/dev/null").map_err(failed("open /dev/null"))?;
    sockets::listen_again(listener).map_err(failed("listen"))?;
    say_ready.write_all(&[1]).map_err(failed("tell the caller"))?;
    daemon::redirect_standard_streams(&null).map_err(failed("leave the standard streams"))?;
    drop((null, say_ready));
    daemon::close_all_but(listener).map_err(failed("close what the caller left open"))?;
    daemon::new_process_group().map_err(failed("leave the process group"))?;
    // One above the caller's, so that the kernel takes a shim before its supervisor. Not allowed to
    // everybody, and no reason to fail.
    if let Ok(score) = fs::read_to_string(OOM_SCORE)
        && let Ok(score) = score.trim().parse::<i32>()
    {
        let _ = fs::write(OOM_SCORE, (score + 1).min(1000).to_string());
    }
    Ok(())
}

/// Moves the daemon into the cgroup that the options name, before the address is printed.
fn join(pid: u32, path: &str) -> Result<(), BootstrapError> {
    let host = Host::detect().map_err(|error| failed("find the cgroup hierarchies")(io::Error::other(error)))?;
    let cgroup = host.place(Some(&format!("/{}", path.trim_start_matches('/'))), "");
    for directory in cgroup.directories().iter().filter(|directory| directory.is_unified() == host.is_v2()) {
        let procs = directory.path.join("cgroup.procs");
        let written = fs::File::options().write(true).open(&procs).and_then(|mut file| write!(file, "{pid}"));
        written.map_err(failed(format!("join {}", procs.display())))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_socket_is_where_containerd_puts_it() {
        let path = socket_path(Path::new("/run/containerd/s"), "/run/containerd/containerd.sock", "default", "x");
        // printf %s /run/containerd/containerd.sock/default/x | sha256sum
        assert_eq!(
            path,
            Path::new("/run/containerd/s/5e250b13f984a15f73216d143af1bf3c64171aa56c781ba9d4040c75b2c1eee2")
        );
    }
}

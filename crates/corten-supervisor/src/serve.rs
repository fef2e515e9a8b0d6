//! From nothing to answering: the lock, the stores, the sockets, then the shims that live.
//!
//! The sockets are bound when the stores are open, so the first answer is already the truth about
//! records; shims are adopted behind it, each on its own, and calls for their tasks wait for that.

use std::{
    fs::{self, File},
    io,
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::Arc,
    task::Poll,
    time::Duration,
};

use corten_containerd_api::{
    containerd::services::{
        containers::v1::containers_server::ContainersServer, content::v1::content_server::ContentServer,
        diff::v1::diff_server::DiffServer, images::v1::images_server::ImagesServer,
        introspection::v1::introspection_server::IntrospectionServer, leases::v1::leases_server::LeasesServer,
        namespaces::v1::namespaces_server::NamespacesServer, snapshots::v1::snapshots_server::SnapshotsServer,
        streaming::v1::streaming_server::StreamingServer, tasks::v1::tasks_server::TasksServer,
        transfer::v1::transfer_server::TransferServer, version::v1::version_server::VersionServer,
    },
    grpc::health::v1::health_server::HealthServer,
};
use corten_sys::lock_file::{self, LockError};
use tokio::{net::UnixListener, signal::unix};
use tokio_stream::wrappers::UnixListenerStream;
use tonic::transport::Server;
use tracing::{info, warn};

use crate::{
    Supervisor,
    config::Config,
    containers::ContainersService,
    content::{self, ContentService},
    diff::DiffService,
    events::{Bus, EventsServer},
    gc,
    health::HealthService,
    images::ImagesService,
    introspection::IntrospectionService,
    leases::LeasesService,
    metadata::{Database, OpenError},
    namespaces::NamespacesService,
    shims,
    snapshots::{Snapshots, SnapshotsService},
    streams::{StreamingService, Streams},
    tasks::{Tasks, TasksService},
    transfer::{self, TransferService},
    version::VersionService,
};

/// Largest gRPC message, both ways, as containerd's (defaults.DefaultMaxRecvMsgSize).
pub const MAX_MESSAGE: usize = 16 << 20;

/// What a client may send on one stream before it is read: a message of a content write is 1 MiB, and
/// HTTP's own 64 KiB would stop it sixteen times.
const STREAM_WINDOW: u32 = 2 << 20;
/// The same for all streams of a connection.
const CONNECTION_WINDOW: u32 = 8 << 20;

/// Time a dead supervisor's lock may take to become free: until the shims it was starting have done
/// their exec, or have died.
const LOCK_PATIENCE: Duration = Duration::from_secs(10);

/// Why the supervisor did not start, or stopped.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// Another supervisor has this root.
    #[error("root {} is in use by another supervisor", path.display())]
    Locked {
        /// The root directory.
        path: PathBuf,
        /// Who it is.
        source: LockError,
    },
    /// A directory, a lock or a socket.
    #[error("{what} {}", path.display())]
    Prepare {
        /// What was being made.
        what: &'static str,
        /// Where.
        path: PathBuf,
        /// The kernel's answer.
        source: io::Error,
    },
    /// The metadata.
    #[error(transparent)]
    Metadata(#[from] OpenError),
    /// The snapshotter.
    #[error("{0}")]
    Snapshots(crate::error::Error),
    /// The server ended by itself.
    #[error("serve {}", path.display())]
    Serve {
        /// The socket.
        path: PathBuf,
        /// Why.
        source: tonic::transport::Error,
    },
}

/// Runs the supervisor until SIGTERM or SIGINT. Shims and their containers stay.
///
/// # Errors
/// [`ServeError`] when it cannot start.
pub async fn serve(config: Config) -> Result<(), ServeError> {
    if let Err(error) = corten_sys::rlimit::raise_open_files() {
        warn!(%error, "the limit of open files stays as it is");
    }
    let failed = |what, path: &Path| {
        let path = path.to_owned();
        move |source| ServeError::Prepare { what, path, source }
    };
    for directory in [&config.root, &config.state] {
        let made = fs::DirBuilder::new().recursive(true).mode(0o711).create(directory);
        made.map_err(failed("make directory", directory))?;
    }
    let _lock = lock(&config.root)?;
    let supervisor = Arc::new(open(config).await?);
    let config = &supervisor.config;
    gc::remove_orphans(&supervisor);
    let shims_found = shims::adopt::find(&supervisor);

    // Before the sockets: who can connect may also end us, and then they are to be removed.
    let stop = StopSignal::listen();
    let events = listen(&config.ttrpc_address()).map_err(failed("listen on", &config.ttrpc_address()))?;
    let listener = listen(&config.address).map_err(failed("listen on", &config.address))?;
    tokio::spawn(corten_shim_api::server::serve(events, Arc::new(shims::EventsSocket(supervisor.clone()))));
    tokio::spawn(shims::adopt::adopt_all(supervisor.clone(), shims_found));
    tokio::spawn(transfer::settle(supervisor.clone()));
    tokio::spawn(gc::Schedule::run(Arc::downgrade(&supervisor)));
    info!(address = %config.address.display(), "serving");

    // Not a graceful shutdown, which waits for subscribers to leave: every answer given stands already.
    let served = tokio::select! {
        served = router(&supervisor).serve_with_incoming(UnixListenerStream::new(listener)) => {
            served.map_err(|source| ServeError::Serve { path: config.address.clone(), source })
        }
        () = stop.came() => Ok(()),
    };
    for socket in [&config.address, &config.ttrpc_address()] {
        if let Err(error) = fs::remove_file(socket) {
            warn!(path = %socket.display(), %error, "socket is left");
        }
    }
    served
}

async fn open(config: Config) -> Result<Supervisor, ServeError> {
    let metadata = Database::open(&config.root)?;
    if let Some(aside) = metadata.set_aside() {
        tracing::error!(path = %aside.path.display(), error = aside.reason, "broken metadata was set aside");
    }
    let content = content::Store::open(&config.root).map_err(|source| ServeError::Prepare {
        what: "open content under",
        path: config.root.clone(),
        source,
    })?;
    let snapshots =
        Snapshots::open(&config.root, &config.state, &metadata, &content).await.map_err(ServeError::Snapshots)?;
    Ok(Supervisor {
        metadata,
        content,
        snapshots,
        events: Bus::default(),
        streams: Streams::default(),
        transfers: corten_images::registry::Limits::default(),
        tasks: Tasks::default(),
        gc: gc::Schedule::default(),
        config,
    })
}

/// Takes the root for this process alone. The kernel lets go when the process ends, however it ends.
fn lock(root: &Path) -> Result<File, ServeError> {
    let path = root.join("lock");
    lock_file::hold(&path, LOCK_PATIENCE).map_err(|error| match error {
        LockError::File(source) => ServeError::Prepare { what: "lock", path, source },
        source @ LockError::Held { .. } => ServeError::Locked { path: root.to_owned(), source },
    })
}

fn listen(path: &Path) -> io::Result<UnixListener> {
    if let Some(parent) = path.parent() {
        fs::DirBuilder::new().recursive(true).mode(0o711).create(parent)?;
    }
    let listener = corten_sys::sockets::listen_replacing_dead(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o660))?;
    listener.set_nonblocking(true)?;
    UnixListener::from_std(listener)
}

fn router(supervisor: &Arc<Supervisor>) -> tonic::transport::server::Router {
    let shared = || supervisor.clone();
    Server::builder()
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .add_service(ContainersServer::new(ContainersService(shared())).max_decoding_message_size(MAX_MESSAGE))
        .add_service(TasksServer::new(TasksService(shared())).max_decoding_message_size(MAX_MESSAGE))
        .add_service(ContentServer::new(ContentService(shared())).max_decoding_message_size(MAX_MESSAGE))
        .add_service(SnapshotsServer::new(SnapshotsService(shared())).max_decoding_message_size(MAX_MESSAGE))
        .add_service(DiffServer::new(DiffService(shared())).max_decoding_message_size(MAX_MESSAGE))
        .add_service(ImagesServer::new(ImagesService(shared())).max_decoding_message_size(MAX_MESSAGE))
        .add_service(LeasesServer::new(LeasesService(shared())).max_decoding_message_size(MAX_MESSAGE))
        .add_service(NamespacesServer::new(NamespacesService(shared())).max_decoding_message_size(MAX_MESSAGE))
        .add_service(StreamingServer::new(StreamingService(shared())).max_decoding_message_size(MAX_MESSAGE))
        .add_service(TransferServer::new(TransferService(shared())))
        .add_service(EventsServer::new(shared()))
        .add_service(IntrospectionServer::new(IntrospectionService(shared())))
        .add_service(VersionServer::new(VersionService))
        .add_service(HealthServer::new(HealthService))
}

/// SIGTERM and SIGINT, from when it is made.
struct StopSignal(Vec<(&'static str, unix::Signal)>);

impl StopSignal {
    fn listen() -> Self {
        let kinds = [("SIGTERM", unix::SignalKind::terminate()), ("SIGINT", unix::SignalKind::interrupt())];
        let listened = kinds.into_iter().filter_map(|(name, kind)| match unix::signal(kind) {
            Ok(signal) => Some((name, signal)),
            Err(error) => {
                warn!(signal = name, %error, "the signal ends the process without cleaning up");
                None
            }
        });
        Self(listened.collect())
    }

    async fn came(mut self) {
        let first = std::future::poll_fn(|context| {
            let mut came =
                self.0.iter_mut().filter_map(|(name, signal)| signal.poll_recv(context).is_ready().then_some(*name));
            came.next().map_or(Poll::Pending, Poll::Ready)
        });
        let signal = first.await;
        info!(signal, "stopping; shims stay");
    }
}

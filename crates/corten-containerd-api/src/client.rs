//! One connection to a containerd; every call carries the namespace and, where one is held, the lease.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint, Uri};
use tonic::{Request, Status};

use crate::containerd::services::{
    containers::v1::containers_client::ContainersClient, content::v1::content_client::ContentClient,
    diff::v1::diff_client::DiffClient, events::v1::events_client::EventsClient,
    images::v1::images_client::ImagesClient, introspection::v1::introspection_client::IntrospectionClient,
    leases::v1::leases_client::LeasesClient, namespaces::v1::namespaces_client::NamespacesClient,
    snapshots::v1::snapshots_client::SnapshotsClient, streaming::v1::streaming_client::StreamingClient,
    tasks::v1::tasks_client::TasksClient, transfer::v1::transfer_client::TransferClient,
    version::v1::version_client::VersionClient,
};
use crate::line::{Line, Presence};

/// Most bytes of one message, both ways: containerd's own bound.
const MESSAGE_MAX: usize = 16 << 20;
/// A socket's address holds 108 bytes with its NUL (unix(7)).
const ADDRESS_MAX: usize = 107;

/// Puts namespace and lease on every call.
#[derive(Clone, Debug)]
pub struct Headers {
    namespace: MetadataValue<Ascii>,
    lease: Option<MetadataValue<Ascii>>,
}

impl Interceptor for Headers {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        request.metadata_mut().insert("containerd-namespace", self.namespace.clone());
        if let Some(lease) = &self.lease {
            request.metadata_mut().insert("containerd-lease", lease.clone());
        }
        Ok(request)
    }
}

/// A line whose calls carry the headers.
pub type Service = InterceptedService<Line, Headers>;

/// A namespace or lease that no header can carry.
#[derive(Debug, thiserror::Error)]
#[error("{what} {value:?} holds bytes that are not printable ASCII")]
pub struct InvalidHeader {
    what: &'static str,
    value: String,
}

fn header(what: &'static str, value: &str) -> Result<MetadataValue<Ascii>, InvalidHeader> {
    MetadataValue::try_from(value).map_err(|_| InvalidHeader { what, value: value.to_owned() })
}

/// A connection to a containerd, cheap to clone.
#[derive(Clone, Debug)]
pub struct Client {
    line: Line,
    headers: Headers,
    snapshotter: String,
    pub(crate) rebases: bool,
}

macro_rules! services {
    ($($(#[$doc:meta])* $name:ident: $client:ident;)*) => {
        impl Client {
            $($(#[$doc])* pub fn $name(&self) -> $client<Service> {
                $client::with_interceptor(self.line.clone(), self.headers.clone())
                    .max_decoding_message_size(MESSAGE_MAX)
                    .max_encoding_message_size(MESSAGE_MAX)
            })*
        }
    };
}

services! {
    /// Records of containers.
    containers: ContainersClient;
    /// Blobs by digest.
    content: ContentClient;
    /// Layers onto snapshots and back.
    diff: DiffClient;
    /// What happens, across namespaces.
    events: EventsClient;
    /// Records of images by name.
    images: ImagesClient;
    /// What this containerd consists of.
    introspection: IntrospectionClient;
    /// What is kept from garbage collection while in use.
    leases: LeasesClient;
    /// Namespaces themselves.
    namespaces: NamespacesClient;
    /// Directory trees by key.
    snapshots: SnapshotsClient;
    /// Byte streams by name, for transfers.
    streaming: StreamingClient;
    /// Running containers.
    tasks: TasksClient;
    /// Images from one place to another.
    transfers: TransferClient;
    /// Version and revision.
    version: VersionClient;
}

impl Client {
    /// A connection to the socket at `address`, of any length, made at the first call and again whenever it broke.
    ///
    /// # Errors
    /// [`InvalidHeader`] when the namespace cannot be sent.
    pub fn connect(address: impl Into<PathBuf>, namespace: &str) -> Result<Self, InvalidHeader> {
        Self::over(Line::direct(channel(address.into())), namespace)
    }

    /// The same, of a containerd that may be started again: its calls wait for `presence`, and are made again when
    /// that changes nothing.
    ///
    /// # Errors
    /// [`InvalidHeader`] when the namespace cannot be sent.
    pub fn connect_patiently(
        address: impl Into<PathBuf>,
        namespace: &str,
        presence: Arc<Presence>,
    ) -> Result<Self, InvalidHeader> {
        Self::over(Line::patient(channel(address.into()), presence), namespace)
    }

    fn over(line: Line, namespace: &str) -> Result<Self, InvalidHeader> {
        let headers = Headers { namespace: header("namespace", namespace)?, lease: None };
        Ok(Self { line, headers, snapshotter: "overlayfs".to_owned(), rebases: false })
    }

    /// The same connection, to a supervisor of ours: layers may be unpacked each on its own and put on top of one
    /// another when they are finished (`Snapshotter::rebases`).
    #[must_use]
    pub fn rebasing(&self) -> Self {
        Self { rebases: true, ..self.clone() }
    }

    /// The same connection, whose calls fail at once when nobody is there.
    #[must_use]
    pub fn without_patience(&self) -> Self {
        Self { line: self.line.without_patience(), ..self.clone() }
    }

    /// The same connection in another namespace.
    ///
    /// # Errors
    /// [`InvalidHeader`] when the namespace cannot be sent.
    pub fn in_namespace(&self, namespace: &str) -> Result<Self, InvalidHeader> {
        let mut other = self.clone();
        other.headers.namespace = header("namespace", namespace)?;
        Ok(other)
    }

    /// The same connection, everything it creates held by the lease `id`.
    ///
    /// # Errors
    /// [`InvalidHeader`] when the id cannot be sent.
    pub fn under_lease(&self, id: &str) -> Result<Self, InvalidHeader> {
        let mut other = self.clone();
        other.headers.lease = Some(header("lease", id)?);
        Ok(other)
    }

    /// The same connection with snapshots by `name` instead of `overlayfs`.
    #[must_use]
    pub fn with_snapshotter(&self, name: &str) -> Self {
        Self { snapshotter: name.to_owned(), ..self.clone() }
    }

    /// The namespace of every call.
    pub fn namespace(&self) -> &str {
        self.headers.namespace.to_str().unwrap_or_default()
    }

    /// The snapshotter asked for snapshots.
    pub fn snapshotter_name(&self) -> &str {
        &self.snapshotter
    }
}

fn channel(path: PathBuf) -> Channel {
    let connector = tower::service_fn(move |_: Uri| {
        let path = path.clone();
        async move { connect(&path).await.map(TokioIo::new) }
    });
    // The name is only the `:authority` header; the connector knows the socket.
    Endpoint::from_static("http://containerd").connect_with_connector_lazy(connector)
}

/// Connects to a socket whose path may be longer than an address: then through a descriptor of its directory.
async fn connect(path: &Path) -> io::Result<UnixStream> {
    if path.as_os_str().as_bytes().len() <= ADDRESS_MAX {
        return UnixStream::connect(path).await;
    }
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::Error::from(io::ErrorKind::InvalidInput));
    };
    let directory = File::open(parent)?;
    let short = PathBuf::from(format!("/proc/self/fd/{}", directory.as_raw_fd())).join(name);
    UnixStream::connect(short).await
}

//! One connection for all calls; each call carries the namespace and has a deadline.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::time::Duration;

use corten_containerd_api::containerd::services as stubs;
use corten_types::ErrorKind;
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tokio::sync::watch;
use tonic::metadata::MetadataValue;
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint, Uri};
use tonic::{Request, Status};

use crate::errors::{EngineError, Result};

/// Most bytes of one message, as containerd's own.
const MESSAGE_LIMIT_BYTES: usize = 16 * 1024 * 1024;

/// Time a change waits for a containerd that is being started again.
const LINK_PATIENCE: Duration = Duration::from_secs(20);

/// Time a step may take that starts or ends processes on a busy host.
const STEP_DEADLINE: Duration = Duration::from_secs(120);

/// Adds the namespace, and a lease where one is given.
#[derive(Clone)]
pub struct Headers {
    namespace: MetadataValue<tonic::metadata::Ascii>,
}

impl Interceptor for Headers {
    fn call(&mut self, mut request: Request<()>) -> std::result::Result<Request<()>, Status> {
        request.metadata_mut().insert("containerd-namespace", self.namespace.clone());
        Ok(request)
    }
}

/// A channel whose calls carry the namespace.
pub type Service = InterceptedService<Channel, Headers>;

/// The connection.
pub struct Containerd {
    address: PathBuf,
    namespace: String,
    channel: Channel,
    headers: Headers,
    linked: watch::Sender<bool>,
}

impl Containerd {
    /// A connection to the socket at `address`, made at the first call and again whenever it broke.
    ///
    /// # Errors
    /// 400 when the namespace cannot be a header.
    pub fn new(address: &Path, namespace: &str) -> Result<Self> {
        let headers = Headers {
            namespace: MetadataValue::try_from(namespace).map_err(|error| {
                EngineError::invalid(format!("containerd namespace {namespace:?}")).caused_by(error)
            })?,
        };
        let path = address.to_owned();
        let connector = tower::service_fn(move |_: Uri| {
            let path = path.clone();
            async move { connect(&path).await.map(TokioIo::new) }
        });
        // The name is only the `:authority` header; the connector knows the socket.
        let channel = Endpoint::from_static("http://containerd").connect_with_connector_lazy(connector);
        let (address, namespace) = (address.to_owned(), namespace.to_owned());
        Ok(Self { address, namespace, channel, headers, linked: watch::Sender::new(false) })
    }

    /// Its socket.
    pub fn address(&self) -> &Path {
        &self.address
    }

    /// The namespace of every call.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// The channel itself, for clients that add the namespace themselves.
    pub fn channel(&self) -> Channel {
        self.channel.clone()
    }

    /// The tasks service.
    pub fn tasks(&self) -> stubs::tasks::v1::tasks_client::TasksClient<Service> {
        stubs::tasks::v1::tasks_client::TasksClient::with_interceptor(self.channel.clone(), self.headers.clone())
            .max_decoding_message_size(MESSAGE_LIMIT_BYTES)
    }

    /// The containers service.
    pub fn containers(&self) -> stubs::containers::v1::containers_client::ContainersClient<Service> {
        stubs::containers::v1::containers_client::ContainersClient::with_interceptor(
            self.channel.clone(),
            self.headers.clone(),
        )
        .max_decoding_message_size(MESSAGE_LIMIT_BYTES)
    }

    /// The snapshots service.
    pub fn snapshots(&self) -> stubs::snapshots::v1::snapshots_client::SnapshotsClient<Service> {
        stubs::snapshots::v1::snapshots_client::SnapshotsClient::with_interceptor(
            self.channel.clone(),
            self.headers.clone(),
        )
        .max_decoding_message_size(MESSAGE_LIMIT_BYTES)
    }

    /// The images service.
    pub fn images(&self) -> stubs::images::v1::images_client::ImagesClient<Service> {
        stubs::images::v1::images_client::ImagesClient::with_interceptor(self.channel.clone(), self.headers.clone())
            .max_decoding_message_size(MESSAGE_LIMIT_BYTES)
    }

    /// The content service.
    pub fn content(&self) -> stubs::content::v1::content_client::ContentClient<Service> {
        stubs::content::v1::content_client::ContentClient::with_interceptor(self.channel.clone(), self.headers.clone())
            .max_decoding_message_size(MESSAGE_LIMIT_BYTES)
    }

    /// The events service; its subscriptions reach across namespaces.
    pub fn events(&self) -> stubs::events::v1::events_client::EventsClient<Service> {
        stubs::events::v1::events_client::EventsClient::with_interceptor(self.channel.clone(), self.headers.clone())
            .max_decoding_message_size(MESSAGE_LIMIT_BYTES)
    }

    /// The version service.
    pub fn version(&self) -> stubs::version::v1::version_client::VersionClient<Service> {
        stubs::version::v1::version_client::VersionClient::with_interceptor(self.channel.clone(), self.headers.clone())
    }

    /// Whether events arrive and every task has been looked at since the last connection.
    pub fn is_linked(&self) -> bool {
        *self.linked.borrow()
    }

    pub(super) fn set_linked(&self, linked: bool) {
        self.linked.send_replace(linked);
    }

    /// Waits for the link; a change must not start without it, as its events would be lost.
    ///
    /// # Errors
    /// 503 when there is none within twenty seconds.
    pub async fn linked(&self) -> Result<()> {
        let mut linked = self.linked.subscribe();
        let waited = tokio::time::timeout(LINK_PATIENCE, linked.wait_for(|linked| *linked)).await;
        match waited {
            Ok(Ok(_)) => Ok(()),
            _ => Err(EngineError::new(
                ErrorKind::Unavailable,
                format!("containerd at {} does not answer; try again", self.address.display()),
            )),
        }
    }

    /// Makes one call with a deadline; an error says which step it was.
    ///
    /// # Errors
    /// What containerd answers, or 503 naming the step that is stuck.
    pub async fn step<T>(
        &self,
        step: &str,
        call: impl Future<Output = std::result::Result<tonic::Response<T>, Status>>,
    ) -> Result<T> {
        match tokio::time::timeout(STEP_DEADLINE, call).await {
            Ok(Ok(response)) => Ok(response.into_inner()),
            Ok(Err(status)) => Err(EngineError::from(status).while_doing(step)),
            Err(_) => Err(EngineError::new(
                ErrorKind::Unavailable,
                format!("{step}: containerd has not answered for {} s", STEP_DEADLINE.as_secs()),
            )),
        }
    }
}

/// Connects to a socket whose path may be longer than an address.
async fn connect(path: &Path) -> std::io::Result<UnixStream> {
    // connect(2) on a unix stream socket does not wait for accept(2), so this does not block.
    let stream = corten_sys::sockets::connect(path)?;
    stream.set_nonblocking(true)?;
    UnixStream::from_std(stream)
}

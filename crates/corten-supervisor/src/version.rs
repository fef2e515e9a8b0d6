//! The daemon's version.

use corten_containerd_api::containerd::services::version::v1::version_server::Version;
use corten_proto::containerd::services::version::v1::VersionResponse;
use tonic::{Request, Response, Status, async_trait};

/// The containerd whose interface this is: clients choose what they call by it (nerdctl wants at
/// least 1.6, and from 2.0 on uses the Transfer service). Our own version is the build metadata.
pub const VERSION: &str = concat!("1.7.27+corten-", env!("CARGO_PKG_VERSION"));

/// The handlers.
#[derive(Debug)]
pub struct VersionService;

#[async_trait]
impl Version for VersionService {
    async fn version(&self, _: Request<()>) -> Result<Response<VersionResponse>, Status> {
        Ok(Response::new(VersionResponse { version: VERSION.to_owned(), revision: "corten".to_owned() }))
    }
}

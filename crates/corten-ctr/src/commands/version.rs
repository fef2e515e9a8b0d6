//! `ctr version`.

use crate::session::{Outcome, Session, api};

/// Prints the versions of this program and of the other side.
pub async fn version(session: &Session) -> Outcome {
    println!("Client:");
    println!("  Version:  {}", env!("CARGO_PKG_VERSION"));
    println!("  Revision: {}", option_env!("CORTEN_REVISION").unwrap_or_default());
    println!();
    let server = session.client.version().version(()).await.map_err(api)?.into_inner();
    let identity = session.client.introspection().server(()).await.map_err(api)?.into_inner();
    println!("Server:");
    println!("  Version:  {}", server.version);
    println!("  Revision: {}", server.revision);
    println!("  UUID: {}", identity.uuid);
    Ok(())
}

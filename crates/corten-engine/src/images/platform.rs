//! An image for another platform than this machine's.

use std::sync::Arc;

use corten_images::catalog::read_details;
use corten_images::{Details, Listed, Platform};
use corten_types::ErrorKind;

use crate::engine::Engine;
use crate::errors::{EngineError, Result};

/// What `image` consists of for `platform`.
///
/// # Errors
/// 404 in docker's words when it has none for it.
pub async fn details(engine: &Engine, image: &Listed, wanted: &str, platform: &Platform) -> Result<Arc<Details>> {
    let missing = || {
        EngineError::not_found(format!(
            "image with reference {wanted} was found but does not provide the specified platform ({platform})"
        ))
    };
    let record = image.records.first().ok_or_else(missing)?;
    match read_details(engine.catalog.store(), &record.target, platform).await {
        Ok(details) if platform.rank(&details.parsed.platform()).is_some() => Ok(Arc::new(details)),
        Ok(_) => Err(missing()),
        Err(error) if error.kind() == ErrorKind::NotFound => Err(missing()),
        Err(error) => Err(EngineError::new(error.kind(), format!("read image {wanted}")).caused_by(error)),
    }
}

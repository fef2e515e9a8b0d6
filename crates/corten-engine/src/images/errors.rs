//! Errors of images as the engine's.

use corten_containerd_api::ApiError;
use corten_images::{CommitError, ImportError, LoadError, ResolveError, SaveError};
use corten_types::error::chain;

use crate::errors::EngineError;

impl From<ApiError> for EngineError {
    fn from(error: ApiError) -> Self {
        Self::new(error.kind(), error.reason().to_owned())
    }
}

impl From<ResolveError> for EngineError {
    fn from(error: ResolveError) -> Self {
        Self::new(error.kind(), chain(&error))
    }
}

impl From<LoadError> for EngineError {
    fn from(error: LoadError) -> Self {
        Self::new(error.kind(), chain(&error))
    }
}

impl From<SaveError> for EngineError {
    fn from(error: SaveError) -> Self {
        Self::new(error.kind(), chain(&error))
    }
}

impl From<ImportError> for EngineError {
    fn from(error: ImportError) -> Self {
        Self::new(error.kind(), chain(&error))
    }
}

impl From<CommitError> for EngineError {
    fn from(error: CommitError) -> Self {
        Self::new(error.kind(), chain(&error))
    }
}

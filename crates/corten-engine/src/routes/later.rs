//! Calls that are known and not built yet: each answers 501 by its name, so that a client says what is missing.

use std::sync::Arc;

use crate::engine::Engine;
use crate::errors::{EngineError, Result};
use crate::http::{Answer, Request};

macro_rules! later {
    ($($name:ident: $text:literal;)*) => {
        $(#[doc = $text]
        pub async fn $name(_: Arc<Engine>, request: Request) -> Result<Answer> {
            // An archive may come with it: its client reads the refusal once it has sent it.
            crate::images::body::discard(request.into_body()).await;
            Err(EngineError::unimplemented(concat!($text, ": not supported yet")))
        })*
    };
}

later! {
    attach_websocket: "attaching by websocket";
    checkpoint: "checkpoints";
    build: "building images";
    build_prune: "pruning the build cache";
}

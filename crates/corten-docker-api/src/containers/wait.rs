//! `POST /containers/{id}/wait`.

use crate::json::body;

body! {
    /// How a container ended.
    pub struct WaitResponse {
        /// Why the wait itself failed, such as a removal that did not succeed.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub error: Option<WaitError>,
        /// The exit status.
        pub status_code: i64,
    }
}

body! {
    /// Why a wait failed.
    pub struct WaitError {
        /// One sentence.
        #[serde(skip_serializing_if = "String::is_empty")]
        pub message: String,
    }
}

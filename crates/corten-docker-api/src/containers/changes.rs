//! `GET /containers/{id}/changes` and `POST /commit`.

use crate::json::body;

body! {
    /// A name that a container changed.
    pub struct FileChange {
        /// It.
        pub path: String,
        /// 0 changed, 1 added, 2 deleted.
        pub kind: u8,
    }
}

body! {
    /// The image that a commit made.
    pub struct Committed {
        /// Its id.
        pub id: String,
    }
}

//! `GET /containers/{id}/top`.

use crate::json::body;

body! {
    /// The output of `ps` for a container's processes.
    pub struct Top {
        /// One row a process.
        pub processes: Option<Vec<Vec<String>>>,
        /// The columns.
        pub titles: Option<Vec<String>>,
    }
}

//! `POST /containers/prune`.

use crate::json::body;

body! {
    /// What went.
    pub struct ContainersPruned {
        /// Ids; `null` for none.
        pub containers_deleted: Option<Vec<String>>,
        /// Bytes freed.
        pub space_reclaimed: u64,
    }
}

//! `GET /events`: one object a line.

use std::collections::BTreeMap;

use crate::json::{body, is_zero};

body! {
    in "camelCase",
    /// Something that happened.
    ///
    /// `status`, `id` and `from` repeat type-specific parts for clients below 1.52; they are absent
    /// for networks and volumes.
    pub struct Event {
        /// The action of a container or image event.
        #[serde(skip_serializing_if = "is_zero")]
        pub status: String,
        /// The object of a container or image event.
        #[serde(skip_serializing_if = "is_zero")]
        pub id: String,
        /// The image of a container event.
        #[serde(skip_serializing_if = "is_zero")]
        pub from: String,
        /// `container`, `image`, `network`, `volume`, `daemon`.
        #[serde(rename = "Type")]
        pub kind: String,
        /// `create`, `start`, `die`, …
        #[serde(rename = "Action")]
        pub action: String,
        /// What it happened to.
        #[serde(rename = "Actor")]
        pub actor: Actor,
        /// `local`.
        #[serde(skip_serializing_if = "is_zero")]
        pub scope: String,
        /// Seconds since 1970.
        pub time: i64,
        /// Nanoseconds since 1970.
        pub time_nano: i64,
    }
}

body! {
    /// The object of an event.
    pub struct Actor {
        /// Its id.
        #[serde(rename = "ID")]
        pub id: String,
        /// Labels, name, image, exit code and the like.
        pub attributes: Option<BTreeMap<String, String>>,
    }
}

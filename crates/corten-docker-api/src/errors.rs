//! The body of every answer that refuses, and the texts clients match on.

crate::json::body! {
    in "lowercase",
    /// `{"message":"…"}`.
    pub struct ErrorResponse {
        /// One sentence for the person at the other end.
        pub message: String,
    }
}

/// The answer to an unknown path and to a known one with another method.
pub const PAGE_NOT_FOUND: &str = "page not found";

/// Swarm reads and writes while the node is in no swarm. Compose, Portainer and Traefik go on
/// after this 503; a 404 stops them.
pub const NOT_A_SWARM_MANAGER: &str = "This node is not a swarm manager. Use \"docker swarm init\" or \"docker swarm join\" to connect this node to swarm and try again.";

/// `swarm/leave` while in no swarm.
pub const NOT_IN_A_SWARM: &str = "This node is not part of a swarm";

//! A query that is forwarded, and the servers it is sent to.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use corten_relay::names::Server;

use super::{message::Transport, upstream::Asked};

/// How long a server is waited for before the next one is asked, too.
pub const NEXT_AFTER: Duration = Duration::from_secs(1);
/// How long the last server is waited for: docker's time, and less than the clients'.
pub const LAST_WAITS: Duration = Duration::from_secs(4);
/// Most queries of a container that are on their way: docker's number. Beyond, they are refused.
pub const MOST_OF_CONTAINER: usize = 1024;
/// Most queries on their way at all, and most descriptors of them: a share of what the process may have open.
pub const MOST_OF_ALL: usize = 16 * 1024;

/// A query on its way.
#[derive(Debug)]
pub struct Forward {
    /// Whose.
    pub container: u64,
    /// Who waits.
    pub asker: Asker,
    /// The id under which the asker knows it.
    pub id: [u8; 2],
    /// The query as it is sent on, with an id of ours.
    pub query: Vec<u8>,
    /// Where its question ends.
    pub question_end: usize,
    /// Those that were not asked yet.
    pub servers: std::vec::IntoIter<Server>,
    /// Those that were, by token, until they fail.
    pub asked: Vec<(u64, Asked)>,
    /// When the next one is asked, or all is given up.
    pub due: Instant,
}

/// Who waits for an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asker {
    /// A client that sent a datagram.
    Datagram(SocketAddr),
    /// A client with a stream, by token.
    Stream(u64),
}

impl Asker {
    /// How it asks, and so how servers are asked.
    pub const fn transport(self) -> Transport {
        match self {
            Asker::Datagram(_) => Transport::Udp,
            Asker::Stream(_) => Transport::Tcp,
        }
    }
}

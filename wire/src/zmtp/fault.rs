//! What ends a connection.

use super::command;
use bytes::Bytes;

/// The peer is none that the relay speaks with, or broke the protocol. What it says is escaped in the text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// The first bytes are no greeting since ZMTP 2.
    #[error("not ZMTP, or ZMTP 1: the greeting's signature is missing")]
    Signature,
    /// The major version that the greeting names is older than 3.
    #[error("the greeting names version {0} of ZMTP: 3 or later is spoken here")]
    Version(u8),
    /// The greeting names another mechanism.
    #[error("the mechanism is {0}: NULL is spoken here")]
    Mechanism(String),
    /// Sockets of these types do not talk to each other.
    #[error("a {theirs} connects to a {ours}")]
    SocketType {
        /// What the relay is.
        ours: &'static str,
        /// What the peer is.
        theirs: String,
    },
    /// The metadata of a READY are not properties from end to end.
    #[error("malformed metadata")]
    Metadata,
    /// A message, or a command that is neither READY nor ERROR, came first.
    #[error("the first frame must be READY")]
    BeforeReady,
    /// The peer sent an ERROR, with this reason.
    #[error("the peer refuses: {0}")]
    Refused(String),
    /// The bytes are not a frame, or not the command that its name says.
    #[error("malformed frame: {0}")]
    Malformed(&'static str),
    /// Something is larger, or there is more of it, than the limit.
    #[error("{field} is {got}, the limit is {limit}")]
    Limit {
        /// What.
        field: &'static str,
        /// The limit.
        limit: usize,
        /// What came.
        got: u64,
    },
}

impl Fault {
    /// What to send before the connection is closed: an ERROR where the handshake failed, else nothing.
    pub fn farewell(&self) -> Bytes {
        match self {
            Self::SocketType { .. } => command::error("socket-type-not-accepted"),
            Self::Metadata => command::error("malformed-metadata"),
            Self::BeforeReady => command::error("ready-expected"),
            _ => Bytes::new(),
        }
    }
}

//! One `ZeroMQ` peer's connection: the wire protocol on a stream.

use super::endpoint::Stream;
use atomwire_wire::zmtp::{Event, Fault, Limits, Peer, Role, Subscriptions};
use bytes::{Buf, Bytes, BytesMut};
use std::collections::VecDeque;
use std::io::IoSlice;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;

/// How long a peer may take to say who it is.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// What is read at once; peers have little to say.
const READ_BYTES: usize = 4096;

/// Pieces that one `writev` takes.
const PIECES: usize = 64;

/// The peer is gone, or as good as gone.
#[derive(Debug)]
pub(super) struct Gone;

impl From<std::io::Error> for Gone {
    fn from(_: std::io::Error) -> Self {
        Self
    }
}

/// A peer that has shown who it is.
pub(super) struct Connection {
    stream: Stream,
    peer: Peer,
    read: BytesMut,
}

impl Connection {
    /// Shakes hands.
    pub(super) async fn open(stream: Stream, role: Role, limits: Limits) -> Result<Self, Gone> {
        let mut it = Self { stream, peer: Peer::new(role, limits), read: BytesMut::new() };
        it.stream.write_all(it.peer.greeting()).await?;
        let handshake = async {
            while !it.peer.is_ready() {
                it.receive().await?;
            }
            Ok(())
        };
        timeout(HANDSHAKE_TIMEOUT, handshake).await.map_err(|_| Gone)??;
        Ok(it)
    }

    /// What it has subscribed to.
    pub(super) fn subscriptions(&self) -> &Subscriptions {
        self.peer.subscriptions()
    }

    /// What it says next. To cancel it loses nothing but an answer to a PING.
    pub(super) async fn receive(&mut self) -> Result<Vec<Event>, Gone> {
        self.read.clear();
        self.read.reserve(READ_BYTES);
        if self.stream.read_buf(&mut self.read).await? == 0 {
            return Err(Gone);
        }
        let mut events = Vec::new();
        let taken = self.peer.receive(&self.read, &mut events);
        for event in &events {
            if let Event::Send(bytes) = event {
                self.stream.write_all(bytes).await?;
            }
        }
        if let Err(fault) = taken {
            self.dismiss(&fault).await?;
            return Err(Gone);
        }
        Ok(events)
    }

    /// Sends whole messages, in pieces.
    pub(super) async fn send(&mut self, pieces: impl IntoIterator<Item = Bytes>) -> Result<(), Gone> {
        let mut pieces = VecDeque::from_iter(pieces);
        while !pieces.is_empty() {
            let mut slices = [IoSlice::new(&[]); PIECES];
            let mut used = 0;
            for (slice, piece) in slices.iter_mut().zip(&pieces) {
                *slice = IoSlice::new(piece);
                used += 1;
            }
            let mut written = self.stream.write_vectored(&slices[..used]).await?;
            if written == 0 {
                return Err(Gone);
            }
            while let Some(piece) = pieces.front_mut() {
                if written < piece.len() {
                    piece.advance(written);
                    break;
                }
                written -= piece.len();
                pieces.pop_front();
            }
        }
        Ok(())
    }

    /// Says that nothing more comes, and waits until the peer has heard so: it has read everything then.
    pub(super) async fn finish(&mut self) -> Result<(), Gone> {
        self.stream.shutdown().await?;
        loop {
            self.read.clear();
            self.read.reserve(READ_BYTES);
            if self.stream.read_buf(&mut self.read).await? == 0 {
                return Ok(());
            }
        }
    }

    async fn dismiss(&mut self, fault: &Fault) -> Result<(), Gone> {
        tracing::debug!(%fault, "a ZeroMQ peer was sent away");
        self.stream.write_all(&fault.farewell()).await?;
        self.finish().await
    }
}

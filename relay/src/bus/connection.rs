//! One `ZeroMQ` peer's connection: the wire protocol on a stream.

use super::listener::Stream;
use atomwire_wire::zmtp::{Event, Fault, Limits, Peer, Role, Subscriptions};
use bytes::{Buf, Bytes, BytesMut};
use std::collections::VecDeque;
use std::io::IoSlice;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;

/// How long a peer may take to say who it is.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a peer may take to hang up when everything is said.
const GOODBYE_TIMEOUT: Duration = Duration::from_secs(1);

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
    /// What came together with the handshake's end.
    early: Vec<Event>,
}

impl Connection {
    /// Shakes hands.
    pub(super) async fn open(stream: Stream, role: Role, limits: Limits) -> Result<Self, Gone> {
        let peer = Peer::new(role, limits);
        let mut it = Self { stream, peer, read: BytesMut::new(), early: Vec::new() };
        it.stream.write_all(it.peer.greeting()).await?;
        let handshake = async {
            while !it.peer.is_ready() {
                it.early = it.receive().await?;
            }
            Ok::<_, Gone>(())
        };
        timeout(HANDSHAKE_TIMEOUT, handshake).await.map_err(|_| Gone)??;
        Ok(it)
    }

    /// What it has subscribed to.
    pub(super) fn subscriptions(&self) -> &Subscriptions {
        self.peer.subscriptions()
    }

    /// What it says next.
    pub(super) async fn receive(&mut self) -> Result<Vec<Event>, Gone> {
        self.read().await?;
        self.events().await
    }

    /// Waits until it says something. This may be cancelled.
    pub(super) async fn read(&mut self) -> Result<(), Gone> {
        if self.early.is_empty() {
            self.read.clear();
            self.read.reserve(READ_BYTES);
            if self.stream.read_buf(&mut self.read).await? == 0 {
                return Err(Gone);
            }
        }
        Ok(())
    }

    /// What that meant, once it is answered.
    pub(super) async fn events(&mut self) -> Result<Vec<Event>, Gone> {
        let mut events = std::mem::take(&mut self.early);
        let taken = self.peer.receive(&self.read, &mut events);
        self.read.clear();
        for event in &events {
            if let Event::Send(bytes) = event {
                self.stream.write_all(bytes).await?;
            }
        }
        if let Err(fault) = taken {
            self.dismiss(&fault).await?;
            return Err(Gone);
        }
        events.retain(|event| !matches!(event, Event::Send(_)));
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

    /// Says that nothing more comes, and reads for a while until the peer has heard so: the system resets a connection
    /// that is closed with something unread, and a reset overtakes what was said last. The rest is the system's to
    /// deliver, also when this process has ended.
    pub(super) async fn finish(&mut self) -> Result<(), Gone> {
        self.stream.shutdown().await?;
        let _ = timeout(GOODBYE_TIMEOUT, tokio::io::copy(&mut self.stream, &mut tokio::io::sink())).await;
        Ok(())
    }

    async fn dismiss(&mut self, fault: &Fault) -> Result<(), Gone> {
        tracing::debug!(%fault, "a ZeroMQ peer was sent away");
        self.stream.write_all(&fault.farewell()).await?;
        self.finish().await
    }
}

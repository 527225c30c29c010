//! What a WebSocket reads and writes through.

use super::lengths::Lengths;
use crate::server::Stream;
use bytes::Bytes;
use hyper::upgrade::{Parts, Upgraded};
use hyper_util::rt::TokioIo;
use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Bytes that are read at once: a browser's batch of a few dozen updates.
const READ: usize = 8 * 1024;

/// A connection's stream after its upgrade. It reads large pieces, and keeps no more of them than is not yet asked for:
/// who is silent takes no buffer.
pub(super) struct Transport {
    stream: Stream,
    unread: Bytes,
    lengths: Lengths,
}

impl Transport {
    pub(super) fn new(upgraded: Upgraded) -> Self {
        let parts = upgraded.downcast::<TokioIo<Stream>>();
        let Parts { io, read_buf, .. } =
            parts.unwrap_or_else(|_| unreachable!("connections are served on this type (server.rs)"));
        // Copied: what is left of the request's buffer is in the whole of it.
        let unread = Bytes::copy_from_slice(&read_buf);
        Self { stream: io.into_inner(), unread, lengths: Lengths::default() }
    }

    /// Hands bytes over, unless they break a rule that nobody behind this looks at.
    fn give(&mut self, bytes: &[u8], buffer: &mut ReadBuf<'_>) -> io::Result<()> {
        if !self.lengths.are_minimal(bytes) {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a frame's length is not minimal"));
        }
        buffer.put_slice(bytes);
        Ok(())
    }
}

impl AsyncRead for Transport {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.unread.is_empty() {
            let mut piece = [MaybeUninit::uninit(); READ];
            let mut piece = ReadBuf::uninit(&mut piece);
            ready!(self.stream.as_mut().poll_read(context, &mut piece))?;
            let (asked, rest) = piece.filled().split_at(piece.filled().len().min(buffer.remaining()));
            self.unread = Bytes::copy_from_slice(rest);
            self.give(asked, buffer)?;
        } else {
            let len = self.unread.len().min(buffer.remaining());
            let asked = self.unread.split_to(len);
            if self.unread.is_empty() {
                self.unread = Bytes::new();
            }
            self.give(&asked, buffer)?;
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Transport {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.stream.as_mut().poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream.as_mut().poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream.as_mut().poll_shutdown(context)
    }
}

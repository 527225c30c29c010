//! Encoded messages in the order in which they were published, bounded in bytes. Every subscriber is sent from here,
//! at its own pace: who is too slow is overtaken, and knows by how many messages.

use bytes::{Bytes, BytesMut};
use std::collections::VecDeque;

/// What is asked of the allocator at once. Larger messages have an allocation of their own.
const SEGMENT_BYTES: usize = 256 * 1024;
const LARGE_BYTES: usize = SEGMENT_BYTES / 4;

/// What one look gives: as many bytes as a socket's buffer takes, in as many pieces as one `writev` does.
const READ_BYTES: usize = 256 * 1024;
const READ_CHUNKS: usize = 64;

/// A place between two messages: what was published before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Position {
    pub(super) bytes: u64,
    pub(super) messages: u64,
}

/// Whole messages, which nobody changes any more.
#[derive(Debug)]
struct Chunk {
    start: Position,
    bytes: Bytes,
}

/// The last messages that were published.
#[derive(Debug)]
pub(super) struct Ring {
    /// Oldest first, without a hole between them.
    chunks: VecDeque<Chunk>,
    /// What was added since the last of them, and room for more of it.
    open: BytesMut,
    open_at: Position,
    end: Position,
    most: u64,
}

impl Ring {
    /// Holds `most` bytes of messages, and takes up to half a megabyte more than that.
    pub(super) fn new(most: usize) -> Self {
        let (open_at, end) = (Position::default(), Position::default());
        Self { chunks: VecDeque::new(), open: BytesMut::new(), open_at, end, most: most as u64 }
    }

    /// Where the oldest message begins that is still here.
    pub(super) fn start(&self) -> Position {
        self.chunks.front().map_or(self.open_at, |chunk| chunk.start)
    }

    /// Where the next message will begin.
    pub(super) fn end(&mut self) -> Position {
        // What is read from here on is a piece of its own.
        self.seal();
        self.end
    }

    /// Adds a message of `len` bytes, which `write` writes; the answer is where it begins. What has to make room for
    /// it is given away first, to `leave`: whole messages, with the place of the first.
    pub(super) fn append(
        &mut self,
        len: usize,
        write: impl FnOnce(&mut BytesMut),
        mut leave: impl FnMut(Position, &Bytes),
    ) -> Position {
        while self.end.bytes + len as u64 - self.start().bytes > self.most {
            self.seal();
            let Some(chunk) = self.chunks.pop_front() else { break };
            leave(chunk.start, &chunk.bytes);
        }
        let is_large = len > LARGE_BYTES;
        if is_large || self.open.capacity() - self.open.len() < len {
            self.seal();
        }
        let at = self.end;
        self.end = Position { bytes: at.bytes + len as u64, messages: at.messages + 1 };
        if is_large {
            let mut bytes = BytesMut::with_capacity(len);
            write(&mut bytes);
            self.chunks.push_back(Chunk { start: at, bytes: bytes.freeze() });
            self.open_at = self.end;
        } else {
            if self.open.capacity() - self.open.len() < len {
                self.open = BytesMut::with_capacity(SEGMENT_BYTES);
            }
            write(&mut self.open);
        }
        at
    }

    /// Puts what stands from `from` on into `into`, as much as is sent at once, and moves `from` behind it. The answer
    /// is how many messages are gone that stood there.
    pub(super) fn read(&mut self, from: &mut Position, into: &mut Vec<Bytes>) -> u64 {
        self.seal();
        let missed = self.start().messages.saturating_sub(from.messages);
        let first = self.chunks.partition_point(|chunk| chunk.start.bytes < from.bytes);
        let mut bytes = 0;
        for (number, chunk) in self.chunks.range(first..).take(READ_CHUNKS).enumerate() {
            bytes += chunk.bytes.len();
            if bytes > READ_BYTES && number > 0 {
                break;
            }
            into.push(chunk.bytes.clone());
            let next = self.chunks.get(first + number + 1);
            *from = next.map_or(self.end, |next| next.start);
        }
        missed
    }

    /// The messages from `at` on which are in one piece: that one at least. Nothing where it is gone.
    pub(super) fn from(&mut self, at: u64) -> Bytes {
        self.seal();
        let after = self.chunks.partition_point(|chunk| chunk.start.bytes <= at);
        let chunk = after.checked_sub(1).and_then(|chunk| self.chunks.get(chunk));
        chunk.map_or_else(Bytes::new, |chunk| chunk.bytes.slice((at - chunk.start.bytes) as usize..))
    }

    fn seal(&mut self) {
        if !self.open.is_empty() {
            self.chunks.push_back(Chunk { start: self.open_at, bytes: self.open.split().freeze() });
        }
        self.open_at = self.end;
    }
}

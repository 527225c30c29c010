//! Encoded messages in the order in which they were published, bounded in bytes. Everybody is sent from here, at its
//! own pace: who is too slow is overtaken, and knows by how many messages.

use atomwire_wire::zmtp::frames;
use bytes::{Bytes, BytesMut};
use std::collections::VecDeque;

/// What is asked of the allocator at once. Larger messages have an allocation of their own.
const SEGMENT_BYTES: usize = 256 * 1024;
const LARGE_BYTES: usize = SEGMENT_BYTES / 4;

/// What one look gives: as many bytes as a socket's buffer takes, in as many pieces as one `writev` does.
const READ_BYTES: usize = 256 * 1024;
const READ_CHUNKS: usize = 64;

/// A place between two messages: what was published before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
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

    /// Bytes of messages that it holds at the most, save for those that [`Ring::append`] may not let go.
    pub(super) fn most(&self) -> u64 {
        self.most
    }

    /// Where the oldest message begins that is still here.
    pub(super) fn start(&self) -> Position {
        self.chunks.front().map_or(self.open_at, |chunk| chunk.start)
    }

    /// Where the next message will begin.
    pub(super) fn end(&self) -> Position {
        self.end
    }

    /// Adds a message of `len` bytes, which `write` writes; the oldest make room for it, but none from `held` on.
    pub(super) fn append(&mut self, len: usize, write: impl FnOnce(&mut BytesMut), held: Position) {
        while self.end.bytes + len as u64 - self.start().bytes > self.most {
            self.seal();
            if self.chunks.get(1).map_or(self.end, |second| second.start) > held {
                break;
            }
            if self.chunks.pop_front().is_none() {
                break;
            }
        }
        let is_large = len > LARGE_BYTES;
        if is_large || self.open.capacity() - self.open.len() < len {
            self.seal();
        }
        let start = self.end;
        self.end = Position { bytes: start.bytes + len as u64, messages: start.messages + 1 };
        if is_large {
            let mut bytes = BytesMut::with_capacity(len);
            write(&mut bytes);
            self.chunks.push_back(Chunk { start, bytes: bytes.freeze() });
            self.open_at = self.end;
        } else {
            if self.open.capacity() - self.open.len() < len {
                self.open = BytesMut::with_capacity(SEGMENT_BYTES);
            }
            write(&mut self.open);
        }
    }

    /// Where the message begins before which so many were published, or the nearest to it that is here.
    pub(super) fn seek(&mut self, messages: u64) -> Position {
        if messages >= self.end.messages {
            return self.end;
        }
        self.seal();
        let after = self.chunks.partition_point(|chunk| chunk.start.messages <= messages);
        let Some(chunk) = after.checked_sub(1).and_then(|chunk| self.chunks.get(chunk)) else {
            return self.start();
        };
        let mut rest = frames(&chunk.bytes);
        // A message is a topic and a payload.
        let skipped = (chunk.start.messages..messages).all(|_| rest.next().and(rest.next()).is_some());
        debug_assert!(skipped, "a chunk's messages end where the next one's begin");
        let bytes = chunk.start.bytes + (chunk.bytes.len() - rest.rest().len()) as u64;
        Position { bytes, messages }
    }

    /// Puts what stands from `from` on into `into`, as much as is sent at once, and moves `from` behind it. The answer
    /// is how many messages are gone that stood there.
    pub(super) fn read(&mut self, from: &mut Position, into: &mut Vec<Bytes>) -> u64 {
        self.seal();
        let start = self.start();
        let missed = start.messages.saturating_sub(from.messages);
        *from = start.max(*from);
        let after = self.chunks.partition_point(|chunk| chunk.start.bytes <= from.bytes);
        let first = after.saturating_sub(1);
        let mut bytes = 0;
        for (number, chunk) in self.chunks.range(first..).take(READ_CHUNKS).enumerate() {
            let rest = chunk.bytes.slice((from.bytes - chunk.start.bytes) as usize..);
            bytes += rest.len();
            if bytes > READ_BYTES && number > 0 {
                break;
            }
            if !rest.is_empty() {
                into.push(rest);
            }
            let next = self.chunks.get(first + number + 1);
            *from = next.map_or(self.end, |next| next.start);
        }
        missed
    }

    fn seal(&mut self) {
        if !self.open.is_empty() {
            self.chunks.push_back(Chunk { start: self.open_at, bytes: self.open.split().freeze() });
        }
        self.open_at = self.end;
    }
}

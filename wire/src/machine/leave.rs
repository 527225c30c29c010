//! What a page leaves when it goes: a last request, and a journal for the next page to go on with.

use super::frames::{BATCH, HEAD_BYTES, LOST_BYTES, Room};
use super::log::{HEAD, JOURNALED, SENT};
use super::memory::Memory;
use super::queue::UPDATES;
use super::writer::Writer;
use super::{Connection, Hello, Machine, Malformed};
use crate::decode::{Field, Fields, Scanned, oneof};
use crate::{LostReason, Micros, limits};

/// What ends a last request: a batch with one lost range, and a `Bye`.
const LAST_BYTES: usize = HEAD_BYTES + LOST_BYTES + 16;
/// A frame of a last request that holds less is not worth its head.
const LEAST_FRAME_BYTES: usize = 512;

impl<M: Memory> Machine<M> {
    /// Writes what is pending as the body of a last request (PROTOCOL.md, section 11) of at most `bytes` bytes.
    /// The answer is its length, zero when there is nothing to say. The socket must be closed already.
    ///
    /// Nothing is settled by it, since nobody waits for an answer: a page that comes back sends again what
    /// the relay does not know. With `for_good` the page does not come back: what does not fit is lost, the
    /// request says so, and ends the session.
    pub fn last_request(
        &mut self,
        about: Hello<'_>,
        bytes: usize,
        for_good: bool,
        now: Micros,
        out: &mut [u8],
    ) -> usize {
        let nothing = if for_good { self.stats().created == 0 } else { self.all_settled() };
        if nothing || self.open {
            return 0;
        }
        let mut body = Writer::new(out, 0);
        let frame = body.open_delimited();
        self.hello(about, now, &mut body);
        body.close(frame);
        // A connection like any other, but that nobody answers.
        self.connection = Connection::new(now);
        let granted = self.queue.settled.saturating_add(self.credit);
        while let Some(left) =
            bytes.checked_sub(body.at + LAST_BYTES).filter(|left| *left >= LEAST_FRAME_BYTES)
        {
            let room = Room::of(left.min(self.offered.frame_bytes), granted, self.offered.batch_updates);
            let (begun, before) = (body.at, self.progress());
            let frame = body.open_delimited();
            self.send_batch(room, &mut body);
            body.close(frame);
            if self.progress() == before {
                body.at = begun;
                break;
            }
        }
        if for_good {
            self.queue.give_up(SENT, usize::MAX, LostReason::PageClosed);
            self.farewell(self.queue.log.mark(SENT).seq, &mut body);
        }
        self.queue.rewind();
        body.at
    }

    /// What has been sent on this connection, in numbers and keys.
    fn progress(&self) -> (u64, u32) {
        (self.queue.log.mark(SENT).seq, self.connection.keys)
    }

    /// Writes what was made since the last call as a `Batch` frame to keep where it outlives the page; its length,
    /// zero when nothing was: ask again until then. [`Machine::restore`] takes such frames once the page is gone.
    pub fn journal(&mut self, out: &mut [u8]) -> usize {
        let seq = self.queue.log.mark(JOURNALED).seq;
        let mut frame = Writer::new(out, 0);
        let room = Room::of(limits::FRAME_BYTES, u64::MAX, usize::MAX);
        self.batch(JOURNALED, room, &mut frame);
        if self.queue.log.mark(JOURNALED).seq > seq { frame.at } else { 0 }
    }

    /// Begins with what an earlier page left: every number below `base` is settled. The keys come next, by `intern`
    /// and in their order, then the frames.
    pub fn restore_at(&mut self, base: u64) {
        self.restored = true;
        self.queue.begin_at(base);
    }

    /// Takes a frame that `journal` gave, in their order. Of the oldest, settled ones may be missing, and any of
    /// the newest. What is missing in the middle, or comes out of order, is lost as `page_closed`.
    ///
    /// # Errors
    /// [`Malformed`] when the bytes are not what `journal` gave; what came before the fault is taken.
    pub fn restore(&mut self, frame: &[u8]) -> Result<(), Malformed> {
        let (kind, body) = oneof(frame)?;
        if kind != u64::from(BATCH) {
            return Err(Malformed::NoBatch);
        }
        let mut next = 0;
        let mut fields = Fields::new(body);
        for Field { number, value, bytes } in fields.by_ref() {
            match (number, bytes) {
                (1, _) => next = value,
                (4, Some(update)) => {
                    self.skip_missing(next)?;
                    self.restore_update(next, update);
                    next += 1;
                }
                (5, Some(lost)) => {
                    let [_, first, last, reason, ..] = Scanned::numbers(lost)?;
                    if last < first || last >= limits::SEQ_END {
                        return Err(Malformed::BadRange);
                    }
                    self.skip_missing(first)?;
                    let known = LostReason::ALL.into_iter().find(|known| *known as u64 == reason);
                    let count = (last + 1).saturating_sub(self.queue.created);
                    self.queue.lose(count, known.unwrap_or(LostReason::EmitterFailed));
                }
                _ => {}
            }
        }
        fields.finish()
    }

    /// Numbers below `next` that did not come are lost.
    fn skip_missing(&mut self, next: u64) -> Result<(), Malformed> {
        if next >= limits::SEQ_END {
            return Err(Malformed::BadRange);
        }
        self.queue.lose(next.saturating_sub(self.queue.created), LostReason::PageClosed);
        Ok(())
    }

    fn restore_update(&mut self, seq: u64, update: &[u8]) {
        if seq < self.queue.created {
            return;
        }
        if !self.queue.log.reserve(HEAD + update.len() + 16) {
            return self.queue.lose(1, LostReason::QueueFull);
        }
        let start = self.queue.log.tail + HEAD;
        let mut into = Writer::<M>::new(self.queue.log.memory.log(), start);
        into.bytes(UPDATES, update);
        // Which keys it needs, nobody looks up: all of them go before it.
        let len = into.at - start;
        self.queue.append(len, self.keys, 0);
    }

    /// Everything that was not sent on this connection is lost under `reason`, and the relay will be told.
    pub fn give_up(&mut self, reason: LostReason) {
        self.queue.give_up(SENT, usize::MAX, reason);
    }

    pub(super) fn send_batch(&mut self, room: Room, into: &mut Writer<'_, M>) {
        self.batch(SENT, room, into);
        self.queue.count_sent();
    }
}

//! What a page leaves when it goes: a last request, and a journal for the next page to go on with.

use super::frames::{BATCH, HEAD_BYTES, LOST_BYTES};
use super::log::{HEAD, JOURNALED, SENT};
use super::memory::{Memory, OUTPUT, Text};
use super::queue::{BASE, CREATED, SETTLED, UPDATES};
use super::{Hello, Machine, Malformed};
use crate::{LostReason, Micros, limits};

/// What ends a last request: a batch with one lost range, and a `Bye`.
const LAST_BYTES: usize = HEAD_BYTES + LOST_BYTES + 16;
/// A frame of a last request that holds less is not worth its head.
const LEAST_FRAME_BYTES: usize = 512;

/// The fields of a `Batch` that a journal has, as protobuf packs their numbers and types.
const FIRST_SEQ: u64 = 1 << 3;
const UPDATE: u64 = (UPDATES as u64) << 3 | 2;
const LOST: u64 = 5 << 3 | 2;

impl<M: Memory> Machine<M> {
    /// Writes what is pending as the body of a last request (PROTOCOL.md, section 11) of at most `bytes` bytes.
    /// The answer is its length, zero when there is nothing to say. The socket must be closed already.
    ///
    /// Nothing is settled by it, since nobody waits for an answer: a page that comes back sends again what
    /// the relay does not know. With `for_good` the page does not come back: what does not fit is lost, the
    /// request says so, and ends the session.
    pub fn last_request(&mut self, about: Hello, bytes: usize, for_good: bool, now: Micros) -> usize {
        let said = if for_good { self.counts[BASE] } else { self.counts[SETTLED] };
        if said == self.counts[CREATED] || self.open {
            return 0;
        }
        self.at = OUTPUT;
        let frame = self.open_delimited();
        // A connection like any other, but that nobody answers.
        self.hello(about, now);
        self.close(frame);
        self.connection.granted = self.counts[SETTLED] + u64::from(limits::CREDIT);
        while self.at + LAST_BYTES + LEAST_FRAME_BYTES <= OUTPUT + bytes {
            let left = OUTPUT + bytes - LAST_BYTES - self.at;
            let (begun, sent, keys) = (self.at, self.log.mark(SENT).seq, self.connection.keys);
            let frame = self.open_delimited();
            self.send_batch(left.min(self.offered.frame_bytes));
            self.close(frame);
            if self.log.mark(SENT).seq == sent && self.connection.keys == keys {
                self.at = begun;
                break;
            }
        }
        if for_good {
            self.give_up(LostReason::PageClosed);
            self.farewell(self.log.mark(SENT).seq);
        }
        self.rewind();
        self.at - OUTPUT
    }

    /// Writes what was made since the last call as a `Batch` frame to keep where it outlives the page; its length,
    /// zero when nothing was: ask again until then. [`Machine::restore`] takes such frames once the page is gone.
    pub fn journal(&mut self) -> usize {
        let seq = self.log.mark(JOURNALED).seq;
        self.at = OUTPUT;
        self.batch(JOURNALED, limits::FRAME_BYTES, u32::MAX, u64::MAX);
        if self.log.mark(JOURNALED).seq > seq { self.at - OUTPUT } else { 0 }
    }

    /// Begins with what an earlier page left: every number below `base` is settled. The keys come next, by `intern`
    /// and in their order, then the frames.
    pub fn restore_at(&mut self, base: u64) {
        (self.counts[BASE], self.counts[CREATED], self.counts[SETTLED]) = (base, base, base);
        // Nothing new comes, and what is taken was bounded where it was made.
        (self.max_updates, self.max_bytes, self.log.most_ranges) = (usize::MAX, usize::MAX, usize::MAX);
        self.log.follow(base);
    }

    /// Takes a frame that `journal` gave, in their order, of so many bytes at the input. Of the oldest, settled ones
    /// may be missing, and any of the newest. What is missing in the middle, or comes out of order, is lost as
    /// `page_closed`.
    ///
    /// # Errors
    /// [`Malformed`] when the bytes are not what `journal` gave; what came before the fault is taken.
    pub fn restore(&mut self, len: usize) -> Result<(), Malformed> {
        if self.read_frame(len) != u64::from(BATCH) {
            self.reader.fail(Malformed::NoBatch);
        }
        let mut next = 0;
        while self.read_field() {
            match self.reader.tag {
                FIRST_SEQ => next = self.reader.value,
                UPDATE => {
                    if self.skip_missing(next) && self.counts[CREATED] == next {
                        self.restore_update(self.reader.text);
                    }
                    next += 1;
                }
                LOST => {
                    let rest = self.reader.rest();
                    self.scan(self.reader.text);
                    let [_, first, last, reason, ..] = self.reader.numbers;
                    self.reader.enter(rest);
                    if last < first || last >= limits::SEQ_END {
                        self.reader.fail(Malformed::BadRange);
                    }
                    if self.skip_missing(first) {
                        self.lose_some(
                            (last + 1).saturating_sub(self.counts[CREATED]),
                            LostReason::of(reason) as u64,
                        );
                    }
                }
                _ => {}
            }
        }
        self.reader.fault.map_or(Ok(()), Err)
    }

    /// Numbers below `next` that did not come are lost; false where something is wrong.
    #[inline(never)]
    fn skip_missing(&mut self, next: u64) -> bool {
        if next >= limits::SEQ_END {
            self.reader.fail(Malformed::BadRange);
        }
        let sound = self.reader.fault.is_none();
        if sound {
            self.lose_some(next.saturating_sub(self.counts[CREATED]), LostReason::PageClosed as u64);
        }
        sound
    }

    fn restore_update(&mut self, update: Text) {
        if !self.reserve(HEAD + update.len + 16) {
            return self.lose_some(1, LostReason::QueueFull as u64);
        }
        self.at = self.log.tail + HEAD;
        self.bytes(UPDATES, update.at, update.len);
        // Which keys it needs, nobody looks up: all of them go before it.
        self.append_written(self.keys, 0);
    }

    /// Everything that was not sent on this connection is lost under `reason`, and the relay will be told.
    pub fn give_up(&mut self, reason: LostReason) {
        self.give_up_from(SENT, u64::MAX, reason as u64);
    }

    #[inline(never)]
    pub(super) fn send_batch(&mut self, bytes: usize) {
        self.batch(SENT, bytes, self.offered.batch_updates, self.connection.granted);
        self.count_sent();
    }
}

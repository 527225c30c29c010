//! The frames to the relay, written from the log.

use super::log::{HEAD, Mark, SENT, UPDATE};
use super::memory::{INPUT, KEY_PLACE, KEYS, Memory, SEED, Text};
use super::queue::{BASE_TIME, CREATED, SETTLED};
use super::{Connection, FLUSH_BYTES, Machine};
use crate::{LostReason, Micros, limits};

/// Field numbers of `ClientFrame`.
const HELLO: u8 = 1;
pub(super) const BATCH: u8 = 2;
pub(super) const PING: u8 = 4;
pub(super) const BYE: u8 = 5;

/// A batch's tag, length and numbers, at their longest 51 bytes.
pub(super) const HEAD_BYTES: usize = 64;
/// One `Batch.lost` at its longest: two tags and numbers of 8 bytes (2^53), the reason, tag and length.
pub(super) const LOST_BYTES: usize = 22;

/// What a `Hello` says beside the session's own stands at the input, in so many bytes each.
#[derive(Debug, Clone, Copy)]
pub struct Hello {
    /// OpenTelemetry resource attributes: keys and values alternating, a NUL after each.
    pub resource: usize,
    /// Then what the operator asks clients to present, or nothing.
    pub token: usize,
}

/// An eighth of a frame of so many bytes: two are for new keys, one for lost ranges, and five for updates, of the
/// protocol's own 512 KiB 320, enough for the largest value. So whatever waits, a frame stays within what the relay
/// takes.
fn eighth(bytes: usize) -> usize {
    (bytes - HEAD_BYTES) / 8
}

impl<M: Memory> Machine<M> {
    /// A connection begins, with its `Hello`.
    #[inline(never)]
    pub(super) fn hello(&mut self, about: Hello, now: Micros) {
        self.connection = Connection::new(now);
        let hello = self.open(HELLO);
        self.bytes(1, SEED, 32);
        let (mut at, end) = (INPUT, INPUT + about.resource);
        while at < end {
            let attribute = self.open(2);
            at = self.text_before_nul(1, at, end);
            at = self.text_before_nul(2, at, end);
            self.close(attribute);
        }
        self.string(3, Text { at: end, len: about.token });
        self.uint(4, self.counts[SETTLED]);
        self.uint(5, now);
        self.close(hello);
    }

    /// A string field of the text up to the next NUL; the answer is where the next text begins.
    #[inline(never)]
    fn text_before_nul(&mut self, field: u8, at: usize, end: usize) -> usize {
        let mut nul = at;
        while nul < end && self.byte_at(nul) != 0 {
            nul += 1;
        }
        self.string(field, Text { at, len: nul - at });
        nul + 1
    }

    /// Lost ranges, updates, lost ranges from a mark on, without a hole: `updates` of them at the most, below
    /// `granted`, in `bytes`. The mark moves behind them.
    #[inline(never)]
    pub(super) fn batch(&mut self, mark: usize, bytes: usize, updates: u32, granted: u64) {
        let batch = self.open(BATCH);
        let eighth = eighth(bytes);
        // What is journaled goes to nobody who would have to know the keys, or could not take it.
        let (keys, most) = match mark {
            SENT => (2 * eighth, 5 * self::eighth(self.offered.frame_bytes)),
            _ => (0, usize::MAX),
        };
        self.new_keys(keys);
        self.ranges_left = (eighth / LOST_BYTES).min(limits::BATCH_LOST);
        self.lost(mark);
        // What this relay's frames cannot hold is lost, once it is the next.
        while let at = self.log.mark(mark).at
            && self.kind(at) == UPDATE
            && self.len(at) - HEAD > most
        {
            self.give_up_from(mark, 1, LostReason::TooLarge as u64);
            self.lost(mark);
        }
        let first = self.log.mark(mark).seq;
        self.uint(1, first);
        self.uint(2, BASE_TIME);
        let last = granted.min(first + u64::from(updates));
        self.updates(mark, last, 5 * eighth);
        self.lost(mark);
        let offset = self.clock.held;
        if offset.is_known() {
            // An offset of zero is one as well, but left out; its error tells.
            self.sint(6, offset.micros);
            self.uint(7, offset.error);
        }
        self.close(batch);
    }

    fn new_keys(&mut self, room: usize) {
        let end = self.at + room;
        while self.connection.keys < self.keys {
            let place = KEYS + self.connection.keys as usize * KEY_PLACE;
            let len = self.word(place) as usize;
            // A tag, and a length of up to two bytes.
            if self.at + len + 3 > end {
                return;
            }
            self.bytes(3, place + 8, len);
            self.connection.keys += 1;
        }
    }

    /// The lost ranges from a mark on, up to the next update.
    #[inline(never)]
    fn lost(&mut self, mark: usize) {
        let Mark { mut seq, mut at } = self.log.mark(mark);
        while self.is_lost(at) {
            let (reason, mut last, mut next) = (self.kind(at), 0, at);
            while self.kind(next) == reason {
                last = self.number(next);
                next += self.len(next);
            }
            if seq <= last {
                if self.ranges_left == 0 {
                    break;
                }
                self.ranges_left -= 1;
                self.lost_range(seq, last, reason);
                seq = last + 1;
            }
            at = next;
        }
        self.log.set_mark(mark, seq, at);
    }

    /// Updates from a mark on, up to the next lost range or the number `end`, in so many bytes.
    fn updates(&mut self, mark: usize, end: u64, bytes: usize) {
        let known = if mark == SENT { self.connection.keys } else { u32::MAX };
        let Mark { mut seq, mut at } = self.log.mark(mark);
        let start = self.at;
        while self.kind(at) == UPDATE {
            let len = self.len(at) - HEAD;
            let size = self.at - start + len;
            // One update may be larger than a batch should be.
            let fits = size <= bytes && (self.at == start || size <= FLUSH_BYTES);
            if !fits || seq >= end || self.keys_of(at) > known {
                break;
            }
            self.raw(at + HEAD, len);
            seq += 1;
            at += HEAD + len;
        }
        self.log.set_mark(mark, seq, at);
    }

    /// The end of a session in a request: a batch that gives up everything from a number on, and a `Bye`.
    pub(super) fn farewell(&mut self, first: u64) {
        if first < self.counts[CREATED] {
            let frame = self.open_delimited();
            let batch = self.open(BATCH);
            self.lost_range(first, self.counts[CREATED] - 1, LostReason::PageClosed as u64);
            self.close(batch);
            self.close(frame);
        }
        let frame = self.open_delimited();
        self.number_frame(BYE, self.counts[CREATED]);
        self.close(frame);
    }

    /// A frame with one number in it.
    #[inline(never)]
    pub(super) fn number_frame(&mut self, kind: u8, number: u64) {
        let frame = self.open(kind);
        self.uint(1, number);
        self.close(frame);
    }

    /// One `Batch.lost`.
    #[inline(never)]
    fn lost_range(&mut self, first: u64, last: u64, reason: u64) {
        let lost = self.open(5);
        self.uint(1, first);
        self.uint(2, last);
        self.uint(3, reason);
        self.close(lost);
    }
}

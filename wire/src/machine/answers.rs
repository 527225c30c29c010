//! What the relay answers.

use super::Machine;
use super::memory::{Memory, Text};
use crate::decode::Malformed;
use crate::limits;

/// The field numbers of `ServerFrame`.
pub(super) const WELCOME: u64 = 1;
pub(super) const ACK: u64 = 2;
pub(super) const PONG: u64 = 3;
pub(super) const GO_AWAY: u64 = 4;

/// No number: where no update was refused.
const NEVER: u64 = u64::MAX;

/// The updates that the relay refused, in ranges of an answer: ascending.
#[derive(Debug)]
pub(super) struct Refused {
    /// What is left of the answer.
    rest: Text,
    /// The field that they stand in.
    tag: u64,
    /// The range that was read last.
    first: u64,
    last: u64,
}

impl Refused {
    pub(super) const NEW: Self = Self { rest: Text { at: 0, len: 0 }, tag: 0, first: 0, last: 0 };

    /// None.
    pub(super) fn clear(&mut self) {
        (self.first, self.last) = (NEVER, NEVER);
    }
}

impl<M: Memory> Machine<M> {
    /// Those in the fields `field` of an answer, each of which is read once before any counts: one may be malformed,
    /// or they are more than the protocol allows.
    pub(super) fn read_refused(&mut self, answer: Text, field: u64) {
        const MOST: usize = limits::REJECTED_RANGES + 1;
        self.first_refused(answer, field);
        for _ in 0..MOST {
            if self.refused.first == NEVER {
                return self.first_refused(answer, field);
            }
            self.next_refused();
        }
        self.reader.fail(Malformed::TooManyRejected);
    }

    #[inline(never)]
    fn first_refused(&mut self, answer: Text, field: u64) {
        (self.refused.rest, self.refused.tag) = (answer, field << 3 | 2);
        self.next_refused();
    }

    #[inline(never)]
    fn next_refused(&mut self) {
        self.refused.clear();
        self.reader.enter(self.refused.rest);
        while self.read_field() {
            if self.reader.tag == self.refused.tag {
                self.refused.rest = self.reader.rest();
                self.scan(self.reader.text);
                [_, self.refused.first, self.refused.last, ..] = self.reader.numbers;
                return;
            }
        }
    }

    /// Whether `seq` was refused; asked in ascending order.
    pub(super) fn is_refused(&mut self, seq: u64) -> bool {
        while self.refused.last < seq {
            self.next_refused();
        }
        self.refused.first <= seq
    }
}

/// What a relay takes. One of its limits that is left out (zero) is the protocol's own, one beyond that does
/// not count.
#[derive(Debug, Clone, Copy)]
pub(super) struct Offered {
    pub(super) frame_bytes: usize,
    pub(super) batch_updates: u32,
    pub(super) value_bytes: usize,
}

impl Offered {
    pub(super) const NONE: Self = Self { frame_bytes: 0, batch_updates: 0, value_bytes: 0 };

    #[inline(never)]
    pub(super) fn set(&mut self, frame: u64, updates: u64, value: u64) {
        self.frame_bytes = bound(frame, limits::FRAME_BYTES).max(limits::FRAME_BYTES_MIN);
        self.batch_updates = bound(updates, limits::BATCH_UPDATES) as u32;
        self.value_bytes = bound(value, limits::VALUE_BYTES);
    }
}

fn bound(offered: u64, own: usize) -> usize {
    // Of zero, one less is beyond everything.
    if offered.wrapping_sub(1) >= own as u64 { own } else { offered as usize }
}

/// A duration from a relay: an hour at the most, in microseconds.
pub(super) fn at_most_an_hour(millis: u64) -> u64 {
    millis.min(3_600_000) * 1_000
}

//! The log: pending updates, as they are sent, and lost ranges between them, in the order of their numbers.
//!
//! ```text
//!  LOG ── free ──┬─ record ─┬─ record ─┬─ … ─┬── free ──▶
//!              head       sent                tail
//! ```
//! It slides: records are appended at the tail and leave at the head, and when the end of memory comes, what is
//! left moves down. A [`Mark`] is a place in it. An update that is given up becomes a lost range where it stands.

use super::Machine;
use super::memory::{LOG, Memory, trap};

/// Before each record: its length with this head (4 bytes), how many keys it needs (2), what it is (2: zero an
/// update, else the reason of loss), and when the update was made, or the last number that is lost (8).
pub(super) const HEAD: usize = 16;

/// What stands at a place in the log: an update…
pub(super) const UPDATE: u64 = 0;
/// …nothing, at the tail; or else a lost range, by the number of its reason.
pub(super) const TAIL: u64 = u64::MAX;

/// A place: everything below the number `seq` lies before `at`, but for the head of a lost range that stands there.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mark {
    pub(super) seq: u64,
    pub(super) at: usize,
}

/// How many places are remembered: a power of two, so that an index needs no check.
const MARKS: usize = 4;
/// Their indices. What was sent on this connection…
pub(super) const SENT: usize = 0;
/// …what was ever sent, and may have arrived…
pub(super) const EVER_SENT: usize = 1;
/// …what was given out to be kept…
pub(super) const JOURNALED: usize = 2;
/// …and the newest record, if it is a lost range.
const NEWEST: usize = 3;

/// Where no record is.
const NOWHERE: usize = usize::MAX;

#[derive(Debug)]
pub(super) struct Log {
    pub(super) head: usize,
    pub(super) tail: usize,
    /// Bytes of records that nobody needs: what updates left that were given up.
    slack: usize,
    /// Records that are lost ranges.
    ranges: usize,
    /// Beyond so many, neighbours become one whatever their reasons.
    pub(super) most_ranges: usize,
    marks: [Mark; MARKS],
}

impl Log {
    pub(super) const NEW: Self = Self {
        head: 0,
        tail: 0,
        slack: 0,
        ranges: 0,
        most_ranges: 0,
        marks: [Mark { seq: 0, at: 0 }; MARKS],
    };

    /// Empty, with everything at its beginning.
    pub(super) fn clear(&mut self) {
        (self.head, self.tail) = (LOG, LOG);
        self.follow(0);
    }

    pub(super) fn mark(&self, which: usize) -> Mark {
        self.marks[which % MARKS]
    }

    pub(super) fn set_mark(&mut self, which: usize, seq: u64, at: usize) {
        self.marks[which % MARKS] = Mark { seq, at };
    }

    /// A record goes from one place to another.
    #[inline(never)]
    fn moved(&mut self, from: usize, to: usize) {
        for mark in &mut self.marks {
            if mark.at == from {
                mark.at = to;
            }
        }
    }

    /// Marks follow the head: everything below `settled` has left.
    pub(super) fn follow(&mut self, settled: u64) {
        for mark in &mut self.marks {
            *mark = Mark { seq: mark.seq.max(settled), at: mark.at.max(self.head) };
        }
    }
}

impl<M: Memory> Machine<M> {
    /// So many bytes are a record.
    #[inline(never)]
    pub(super) fn len(&self, at: usize) -> usize {
        self.word(at) as u32 as usize
    }

    /// What stands at `at`.
    #[inline(never)]
    pub(super) fn kind(&self, at: usize) -> u64 {
        if at < self.log.tail { self.word(at) >> 48 } else { TAIL }
    }

    /// Whether it is a lost range.
    pub(super) fn is_lost(&self, at: usize) -> bool {
        self.kind(at).wrapping_sub(1) < TAIL - 1
    }

    /// When the update at `at` was made; the last number of the lost range, whose first the record before tells.
    pub(super) fn number(&self, at: usize) -> u64 {
        self.word(at + 8)
    }

    /// How many keys of the table must be introduced before the update at `at`.
    pub(super) fn keys_of(&self, at: usize) -> u32 {
        (self.word(at) >> 32) as u32 & 0xffff
    }

    #[inline(never)]
    fn set_head(&mut self, at: usize, len: usize, keys: u32, reason: u64, number: u64) {
        self.set_word(at, len as u64 | u64::from(keys) << 32 | reason << 48);
        self.set_word(at + 8, number);
    }

    /// Sees to it that `len` bytes fit behind the tail; false when there is no memory.
    #[inline(never)]
    pub(super) fn reserve(&mut self, len: usize) -> bool {
        // So that each byte is moved as often as one is appended, at the most.
        if self.lacks(len) && 2 * (self.log.head + self.log.slack) >= self.log.tail + LOG {
            self.slide();
        }
        !self.lacks(len) || self.memory.grow(self.log.tail + len)
    }

    fn lacks(&self, len: usize) -> bool {
        self.log.tail + len > self.memory.bytes().len()
    }

    /// Moves everything down, and leaves out what nobody needs: what given-up updates left, and the heads of lost
    /// ranges that become one.
    fn slide(&mut self) {
        let (mut from, mut to, mut before) = (self.log.head, LOG, NOWHERE);
        while from < self.log.tail {
            let (kind, mut len, number) = (self.kind(from), self.len(from), self.number(from));
            let next = from + len;
            if kind != UPDATE {
                if self.joins(before, kind) {
                    self.log.moved(from, before);
                    self.set_word(before + 8, number);
                    self.log.ranges -= 1;
                    from = next;
                    continue;
                }
                len = HEAD;
            }
            before = to;
            self.log.moved(from, to);
            self.memory.copy(from, to, len);
            if kind != UPDATE {
                self.set_word(to, HEAD as u64 | kind << 48);
            }
            to += len;
            from = next;
        }
        self.log.moved(from, to);
        (self.log.head, self.log.tail, self.log.slack) = (LOG, to, 0);
    }

    /// Takes the `len` bytes behind the tail and a head's place as an update.
    pub(super) fn append_update(&mut self, len: usize, keys: u32, created_at: u64) {
        self.append(HEAD + len, keys, UPDATE, created_at);
        self.log.marks[NEWEST].at = NOWHERE;
    }

    #[inline(never)]
    fn append(&mut self, len: usize, keys: u32, kind: u64, number: u64) {
        let at = self.log.tail;
        self.set_head(at, len, keys, kind, number);
        self.log.marks[NEWEST].at = at;
        self.log.tail += len;
    }

    /// The numbers up to `last` are lost, from the newest on.
    pub(super) fn append_lost(&mut self, last: u64, reason: u64) {
        let newest = self.log.mark(NEWEST).at;
        if self.joins(newest, reason) {
            self.set_word(newest + 8, last);
            // Who has passed it looks at it again.
            return self.log.moved(self.log.tail, newest);
        }
        // A head's place is all that a lost range takes; without it nothing could be accounted for any more.
        if !self.reserve(HEAD) {
            trap();
        }
        self.append(HEAD, 0, reason, last);
        self.log.ranges += 1;
    }

    /// Whether at `at` is a lost range which becomes one with what is lost for `reason` just behind it.
    #[inline(never)]
    fn joins(&self, at: usize, reason: u64) -> bool {
        self.is_lost(at) && (self.kind(at) == reason || self.log.ranges >= self.log.most_ranges)
    }

    /// The update at `at`, a record of `len` bytes, is lost, the number `seq`.
    pub(super) fn become_lost(&mut self, at: usize, len: usize, seq: u64, reason: u64) {
        self.set_head(at, len, 0, reason, seq);
        self.log.slack += len;
        self.log.ranges += 1;
        if self.log.tail == at + len {
            self.log.marks[NEWEST].at = at;
        }
    }

    /// The record at the head leaves, and what stood there.
    pub(super) fn pop(&mut self) {
        let len = self.len(self.log.head);
        if self.is_lost(self.log.head) {
            self.log.ranges -= 1;
            // Of those that were never updates there is nothing to take back.
            self.log.slack = self.log.slack.saturating_sub(len);
        }
        self.log.head += len;
    }
}

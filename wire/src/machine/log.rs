//! The log: pending updates, as they are sent, and lost ranges between them, in the order of their numbers.
//!
//! ```text
//!  0 ── free ──┬─ record ─┬─ record ─┬─ … ─┬── free ──▶
//!            head       sent                tail
//! ```
//! It slides: records are appended at the tail and leave at the head, and when the end of memory comes, what is
//! left moves down. A [`Mark`] is a place in it. An update that is given up becomes a lost range where it stands.

use super::memory::{Memory, array, part, put, trap};
use crate::LostReason;

/// Before each record: its length with this head (4 bytes), how many keys it needs (2), what it is (2: zero an
/// update, else the reason of loss), and when the update was made, or the last number that is lost (8).
pub(super) const HEAD: usize = 16;

/// What stands at a place in the log: an update…
pub(super) const UPDATE: u8 = 0;
/// …nothing, at the tail; or else a lost range, by the number of its reason.
pub(super) const TAIL: u8 = u8::MAX;

/// A place: everything below the number `seq` lies before `at`, but for the head of a lost range that stands there.
#[derive(Debug, Clone, Copy, Default)]
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
/// …and what was given out to be kept.
pub(super) const JOURNALED: usize = 2;

#[derive(Debug)]
pub(super) struct Log<M> {
    pub(super) memory: M,
    pub(super) head: usize,
    pub(super) tail: usize,
    /// The newest record, if it is a lost range.
    newest: usize,
    /// Bytes of records that nobody needs: what updates left that were given up.
    slack: usize,
    /// Records that are lost ranges.
    ranges: usize,
    /// Beyond so many, neighbours become one whatever their reasons.
    most_ranges: usize,
    marks: [Mark; MARKS],
}

const NONE: usize = usize::MAX;

impl<M: Memory> Log<M> {
    pub(super) const fn new(memory: M) -> Self {
        let none = Mark { seq: 0, at: 0 };
        Self {
            memory,
            head: 0,
            tail: 0,
            newest: NONE,
            slack: 0,
            ranges: 0,
            most_ranges: 0,
            marks: [none; MARKS],
        }
    }

    pub(super) fn mark(&self, which: usize) -> Mark {
        self.marks[which % MARKS]
    }

    pub(super) fn set_mark(&mut self, which: usize, mark: Mark) {
        self.marks[which % MARKS] = mark;
    }

    pub(super) fn bound_ranges(&mut self, most: usize) {
        self.most_ranges = most;
    }

    /// So many bytes are a record.
    #[inline(never)]
    pub(super) fn len(&mut self, at: usize) -> usize {
        u32::from_le_bytes(array(self.memory.log(), at)) as usize
    }

    /// What stands at `at`.
    #[inline(never)]
    pub(super) fn kind(&mut self, at: usize) -> u8 {
        if at >= self.tail {
            return TAIL;
        }
        let [kind] = array(self.memory.log(), at + 6);
        kind
    }

    /// Whether it is a lost range.
    pub(super) fn is_lost(&mut self, at: usize) -> bool {
        !matches!(self.kind(at), UPDATE | TAIL)
    }

    /// When the update at `at` was made; the last number of the lost range, whose first the record before tells.
    #[inline(never)]
    pub(super) fn number(&mut self, at: usize) -> u64 {
        u64::from_le_bytes(array(self.memory.log(), at + 8))
    }

    /// How many keys of the table must be introduced before the update at `at`.
    pub(super) fn keys(&mut self, at: usize) -> u32 {
        u32::from(u16::from_le_bytes(array(self.memory.log(), at + 4)))
    }

    /// The bytes of an update.
    pub(super) fn update(&mut self, at: usize, len: usize) -> &[u8] {
        part(self.memory.log(), at + HEAD, len - HEAD)
    }

    /// Sees to it that `len` bytes fit behind the tail; false when there is no memory.
    pub(super) fn reserve(&mut self, len: usize) -> bool {
        if self.tail + len <= self.memory.log().len() {
            return true;
        }
        // So that each byte is moved as often as one is appended, at the most.
        if self.head + self.slack >= self.tail / 2 {
            self.slide();
        }
        self.tail + len <= self.memory.log().len() || self.memory.grow(self.tail + len)
    }

    /// Moves everything down, and leaves out what nobody needs: what given-up updates left, and the heads of lost
    /// ranges that become one.
    fn slide(&mut self) {
        let (mut from, mut to, mut before) = (self.head, 0, NONE);
        while from < self.tail {
            let (kind, len, number) = (self.kind(from), self.len(from), self.number(from));
            if kind == UPDATE {
                before = NONE;
                self.moved(from, to);
                M::shift(self.memory.log(), from, to, len);
                to += len;
            } else if before != NONE && self.joins(before, kind) {
                self.moved(from, before);
                put(self.memory.log(), before + 8, &number.to_le_bytes());
                self.ranges -= 1;
            } else {
                before = to;
                self.moved(from, to);
                self.set_head(to, HEAD, 0, kind, number);
                to += HEAD;
            }
            from += len;
        }
        self.moved(self.tail, to);
        (self.head, self.tail, self.slack) = (0, to, 0);
    }

    /// A record goes from one place to another, which is before it.
    #[inline(never)]
    fn moved(&mut self, from: usize, to: usize) {
        for at in self.marks.iter_mut().map(|mark| &mut mark.at).chain([&mut self.newest]) {
            if *at == from {
                *at = to;
            }
        }
    }

    #[inline(never)]
    fn set_head(&mut self, at: usize, len: usize, keys: u32, reason: u8, number: u64) {
        let [k0, k1, ..] = keys.to_le_bytes();
        put(self.memory.log(), at, &(len as u32).to_le_bytes());
        put(self.memory.log(), at + 4, &[k0, k1, reason, 0]);
        put(self.memory.log(), at + 8, &number.to_le_bytes());
    }

    /// Takes the `len` bytes behind the tail and a head's place as an update.
    pub(super) fn append(&mut self, len: usize, keys: u32, created_at: u64) {
        self.set_head(self.tail, HEAD + len, keys, 0, created_at);
        self.newest = NONE;
        self.tail += HEAD + len;
    }

    /// The numbers up to `last` are lost, from the newest on.
    pub(super) fn append_lost(&mut self, last: u64, reason: LostReason) {
        if self.newest != NONE && self.newest >= self.head && self.joins(self.newest, reason as u8) {
            put(self.memory.log(), self.newest + 8, &last.to_le_bytes());
            // Who has passed it looks at it again.
            for mark in &mut self.marks {
                if mark.at == self.tail {
                    mark.at = self.newest;
                }
            }
            return;
        }
        // A head's place is all that a lost range takes; without it nothing could be accounted for any more.
        if !self.reserve(HEAD) {
            trap();
        }
        self.set_head(self.tail, HEAD, 0, reason as u8, last);
        self.newest = self.tail;
        self.tail += HEAD;
        self.ranges += 1;
    }

    /// Whether what is lost for `reason` just behind the lost range at `at` becomes part of it.
    fn joins(&mut self, at: usize, reason: u8) -> bool {
        self.kind(at) == reason || self.ranges >= self.most_ranges
    }

    /// The update at `at` is lost, the number `seq`.
    pub(super) fn give_up(&mut self, at: usize, seq: u64, reason: LostReason) {
        let len = self.len(at);
        self.set_head(at, len, 0, reason as u8, seq);
        self.slack += len;
        self.ranges += 1;
        if self.tail == at + len {
            self.newest = at;
        }
    }

    /// The record at the head leaves, and what stood there.
    pub(super) fn pop(&mut self) {
        let len = self.len(self.head);
        if self.is_lost(self.head) {
            self.ranges -= 1;
            // Of those that were never updates there is nothing to take back.
            self.slack = self.slack.saturating_sub(len);
        }
        self.head += len;
    }

    /// Marks follow the head: everything below `settled` has left.
    pub(super) fn follow(&mut self, settled: u64) {
        for mark in &mut self.marks {
            *mark = Mark { seq: mark.seq.max(settled), at: mark.at.max(self.head) };
        }
    }
}

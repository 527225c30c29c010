//! The account of all updates that were created, over the log of those that are not settled.

use super::log::{EVER_SENT, HEAD, SENT, TAIL, UPDATE};
use super::memory::{Memory, Text};
use super::{FLUSH_AGE, FLUSH_BYTES, FLUSH_COUNT, GATHER, Machine};
use crate::limits::{self, KEY_BYTES};
use crate::{LostReason, Micros};

/// Which atom was written.
#[derive(Debug, Clone, Copy)]
pub enum Key {
    /// As `Machine::intern` answered.
    Index(u32),
    /// In full.
    Inline(Text),
}

/// A span's parent.
#[derive(Debug, Clone, Copy)]
pub struct Parent {
    /// Where its trace id stands: 16 bytes, not all zero.
    pub trace_id: usize,
    /// Where its span id stands: 8 bytes, not all zero.
    pub span_id: usize,
    /// W3C trace flags; meaningless when `local`.
    pub flags: u8,
    /// Empty where there is none; one beyond the protocol's limit is left out.
    pub tracestate: Text,
    /// A span of this same session.
    pub local: bool,
}

/// One atom write, as it is recorded. Texts are UTF-8.
#[derive(Debug, Clone, Copy)]
pub struct Update {
    /// Which atom.
    pub key: Key,
    /// When the write began, on the client's clock.
    pub start: Micros,
    /// How long it took, in microseconds.
    pub duration: Micros,
    /// The new value as JSON text; none when JSON cannot hold it.
    pub value: Option<Text>,
    /// JSON cannot hold all of the value: the text has something else in place of some parts.
    pub altered: bool,
    /// The error's type and message, when the write threw or rejected.
    pub error: Option<(Text, Text)>,
    /// The span's parent, where it has one.
    pub parent: Option<Parent>,
    /// The span's position in the id stream.
    pub position: u64,
}

/// The account of a session: `created = acknowledged + lost + pending`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stats {
    /// Updates that the app made.
    pub created: u64,
    /// Updates that the relay took.
    pub acknowledged: u64,
    /// Updates neither acknowledged nor lost yet.
    pub pending: u64,
    /// Updates lost, by reason, in the order of [`LostReason::ALL`].
    pub lost: [u64; LostReason::ALL.len()],
}

/// Who makes room when the queue is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WhenFull {
    /// The newest update is lost: history keeps its beginning, and has one hole.
    #[default]
    DropNewest,
    /// The oldest updates that were never sent are lost: what counts is the present. Those that were sent
    /// may have reached the relay and are never called lost; when no other is left, the newest is.
    DropOldest,
}

/// What offsets count from. They are written when an update is taken, before anybody knows which batch it will
/// travel in, so the base is fixed: 2026-01-01T00:00:00Z, seven bytes of varint from here for the next four
/// years, and never wrong for a clock that is.
pub(super) const BASE_TIME: Micros = 1_767_225_600_000_000;

/// Field number of `Batch.updates`.
pub(super) const UPDATES: u8 = 4;

/// What an update takes beside its texts, at the most.
const NUMBERS_BYTES: usize = 128;

/// The numbers of the account, by their places. After those of losses, by reason, come…
pub(super) const CREATED: usize = 0;
pub(super) const ACKNOWLEDGED: usize = 1;
pub(super) const PENDING: usize = 2;
pub(super) const LOST: usize = PENDING;
/// …the number below which everything is settled…
pub(super) const SETTLED: usize = LOST + LostReason::ALL.len() + 1;
/// …and the first number: zero, but for what an earlier page left.
pub(super) const BASE: usize = SETTLED + 1;
/// A power of two, so that an index needs no check.
pub(super) const COUNTS: usize = 16;

impl<M: Memory> Machine<M> {
    /// Takes an update. Always creates exactly one: pending, or lost with its reason.
    pub fn push(&mut self, update: &Update, now: Micros) {
        let (keys, key) = match update.key {
            Key::Index(index) => (index.wrapping_add(1), Text::default()),
            Key::Inline(key) => (0, key),
        };
        let value = update.value.unwrap_or_default().len;
        if value > self.offered.value_bytes || keys == 0 && !(1..=KEY_BYTES).contains(&key.len) {
            return self.lose_some(1, LostReason::TooLarge as u64);
        }
        // What is longer is cut.
        let texts = KEY_BYTES + limits::ERROR_TYPE_BYTES + limits::ATTRIBUTE_BYTES + limits::TRACESTATE_BYTES;
        if !self.reserve(HEAD + NUMBERS_BYTES + texts + value) {
            return self.lose_some(1, LostReason::QueueFull as u64);
        }
        self.at = self.log.tail + HEAD;
        self.encode(update, key);
        self.append_written(keys, now);
    }

    /// One `Batch.updates` field: tag, length, `Update`.
    fn encode(&mut self, update: &Update, key: Text) {
        let message = self.open(UPDATES);
        if let Key::Index(index) = update.key {
            self.uint(1, u64::from(index));
        }
        self.sint(2, update.start.wrapping_sub(BASE_TIME) as i64);
        self.uint(3, update.duration);
        if let Some(value) = update.value {
            self.bytes(4, value.at, value.len);
        }
        self.uint(5, if update.altered { 2 } else { u64::from(update.value.is_none()) });
        if let Some((kind, text)) = update.error {
            let error = self.open(6);
            self.cut(1, kind, limits::ERROR_TYPE_BYTES);
            self.cut(2, text, limits::ATTRIBUTE_BYTES);
            self.close(error);
        }
        if let Some(parent) = update.parent {
            let context = self.open(8);
            self.bytes(1, parent.trace_id, 16);
            self.bytes(2, parent.span_id, 8);
            self.uint(3, u64::from(parent.flags));
            if parent.tracestate.len <= limits::TRACESTATE_BYTES {
                self.string(4, parent.tracestate);
            }
            self.uint(5, u64::from(parent.local));
            self.close(context);
        }
        self.sint(9, update.position.wrapping_sub(self.counts[CREATED]) as i64);
        self.string(10, key);
        self.close(message);
    }

    /// A string field of the longest head of `text` within `limit` bytes.
    #[inline(never)]
    fn cut(&mut self, field: u8, mut text: Text, limit: usize) {
        if text.len > limit {
            text.len = limit;
            // A byte that goes on with a character is none to cut before.
            while self.byte_at(text.at + text.len) & 0xc0 == 0x80 {
                text.len -= 1;
            }
        }
        self.string(field, text);
    }

    /// Takes what was written behind the tail, and a head's place, as an update, if there is room for it.
    #[inline(never)]
    pub(super) fn append_written(&mut self, keys: u32, now: Micros) {
        let len = self.at - self.log.tail - HEAD;
        if !self.fits(self.pending(), self.bytes + len) {
            // What was sent stays.
            if self.when_full == WhenFull::DropNewest || !self.fits(self.sent_updates, self.sent_bytes + len)
            {
                return self.lose_some(1, LostReason::QueueFull as u64);
            }
            while !self.fits(self.pending(), self.bytes + len)
                && self.give_up_from(EVER_SENT, 1, LostReason::QueueFull as u64)
            {}
        }
        self.append_update(len, keys, now);
        self.bytes += len;
        self.counts[PENDING] += 1;
        self.counts[CREATED] += 1;
    }

    fn pending(&self) -> usize {
        self.counts[PENDING] as usize
    }

    fn fits(&self, updates: usize, bytes: usize) -> bool {
        updates < self.max_updates && bytes <= self.max_bytes
    }

    fn count(&mut self, which: usize, by: u64) {
        self.counts[which % COUNTS] += by;
    }

    /// Gives up the next `count` numbers. What is queued already stays.
    #[inline(never)]
    pub(super) fn lose_some(&mut self, count: u64, reason: u64) {
        if count > 0 {
            self.count(CREATED, count);
            self.count(LOST + reason as usize, count);
            self.append_lost(self.counts[CREATED] - 1, reason);
        }
    }

    /// The next updates after a mark are lost, so many at the most; false when there are none.
    #[inline(never)]
    pub(super) fn give_up_from(&mut self, mark: usize, most: u64, reason: u64) -> bool {
        let (mut seq, mut at) = (self.log.mark(mark).seq, self.log.mark(mark).at);
        let mut given_up = 0;
        while at < self.log.tail && given_up < most {
            let len = self.len(at);
            if self.kind(at) == UPDATE {
                self.leaves(at);
                self.become_lost(at, len, seq, reason);
                given_up += 1;
                seq += 1;
            } else {
                seq = seq.max(self.number(at) + 1);
            }
            at += len;
        }
        self.counts[PENDING] -= given_up;
        self.count(LOST + reason as usize, given_up);
        given_up > 0
    }

    /// The update at `at` is pending no more.
    #[inline(never)]
    fn leaves(&mut self, at: usize) {
        let bytes = self.len(at) - HEAD;
        self.bytes -= bytes;
        if at < self.log.mark(EVER_SENT).at {
            self.sent_updates -= 1;
            self.sent_bytes -= bytes;
        }
    }

    /// What was sent on this connection may have arrived.
    pub(super) fn count_sent(&mut self) {
        let (sent, mut ever) = (self.log.mark(SENT), self.log.mark(EVER_SENT));
        while ever.at < sent.at {
            let len = self.len(ever.at);
            if self.kind(ever.at) == UPDATE {
                self.sent_updates += 1;
                self.sent_bytes += len - HEAD;
            }
            ever.at += len;
        }
        self.log.set_mark(EVER_SENT, ever.seq.max(sent.seq), ever.at);
    }

    pub(super) fn all_sent(&self) -> bool {
        self.log.mark(SENT).seq == self.counts[CREATED]
    }

    /// When the next batch is due, the last having gone at `flushed_at`; never while there is nothing to send or
    /// no credit to send it.
    pub(super) fn flush_at(&self, now: Micros) -> Micros {
        let sent = self.log.mark(SENT);
        let mut at = self.connection.flushed_at + FLUSH_AGE;
        let mut due = self.hurry;
        if self.all_sent() {
            return Micros::MAX;
        }
        // Lost ranges need no credit, and nobody waits for them.
        if self.kind(sent.at) == UPDATE {
            if sent.seq >= self.connection.granted {
                return Micros::MAX;
            }
            let created_at = self.number(sent.at);
            // A clock that was set back does not make anybody wait longer.
            due |= created_at > now;
            at = at.max(created_at + GATHER);
        }
        due |= self.counts[CREATED] - sent.seq >= FLUSH_COUNT || self.log.tail - sent.at >= FLUSH_BYTES;
        if due { 0 } else { at }
    }

    /// Nothing counts as sent any more: the connection is gone.
    pub(super) fn rewind(&mut self) {
        self.log.set_mark(SENT, self.counts[SETTLED], self.log.head);
    }

    /// Everything below `next` is settled; what was refused of it is lost. A relay cannot settle what
    /// does not exist.
    #[inline(never)]
    pub(super) fn settle(&mut self, next: u64) {
        let next = next.min(self.counts[CREATED]);
        let mut seq = self.counts[SETTLED];
        while seq < next {
            let head = self.log.head;
            match self.kind(head) {
                TAIL => break,
                UPDATE => {
                    let refused = self.is_refused(seq);
                    self.count(if refused { LOST + LostReason::Rejected as usize } else { ACKNOWLEDGED }, 1);
                    seq += 1;
                    self.counts[PENDING] -= 1;
                    self.leaves(head);
                }
                _ => {
                    let last = self.number(head);
                    if last >= next {
                        break;
                    }
                    seq = seq.max(last + 1);
                }
            }
            self.pop();
        }
        self.counts[SETTLED] = self.counts[SETTLED].max(next);
        self.log.follow(self.counts[SETTLED]);
    }

    /// Everything pending is lost, and nobody is left to report it to.
    #[inline(never)]
    pub(super) fn abandon_all(&mut self, reason: u64) {
        self.rewind();
        self.give_up_from(SENT, u64::MAX, reason);
        self.refused.clear();
        self.settle(self.counts[CREATED]);
        self.rewind();
    }
}

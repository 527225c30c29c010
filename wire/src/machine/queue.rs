//! The account of all updates that were created, over the log of those that are not settled.

use super::answers::Refused;
use super::log::{EVER_SENT, HEAD, Log, Mark, SENT, TAIL, UPDATE};
use super::memory::Memory;
use super::writer::Writer;
use super::{FLUSH_AGE, FLUSH_BYTES, FLUSH_COUNT, GATHER};
use crate::limits::{self, KEY_BYTES};
use crate::{LostReason, Micros};

/// Which atom was written.
#[derive(Debug, Clone, Copy)]
pub enum Key<'a> {
    /// As `Machine::intern` answered.
    Index(u32),
    /// In full.
    Inline(&'a [u8]),
}

/// A span's parent.
#[derive(Debug, Clone, Copy)]
pub struct Parent<'a> {
    /// Not all zero.
    pub trace_id: [u8; 16],
    /// Not all zero.
    pub span_id: [u8; 8],
    /// W3C trace flags; meaningless when `local`.
    pub flags: u8,
    /// Empty where there is none; one beyond the protocol's limit is left out.
    pub tracestate: &'a [u8],
    /// A span of this same session.
    pub local: bool,
}

/// One atom write, as it is recorded. Texts are UTF-8.
#[derive(Debug, Clone, Copy)]
pub struct Update<'a> {
    /// Which atom.
    pub key: Key<'a>,
    /// When the write began, on the client's clock.
    pub start: Micros,
    /// How long it took, in microseconds.
    pub duration: Micros,
    /// The new value as JSON text; none when JSON cannot hold it.
    pub value: Option<&'a [u8]>,
    /// JSON cannot hold all of the value: the text has something else in place of some parts.
    pub altered: bool,
    /// The error's type and message, when the write threw or rejected.
    pub error: Option<(&'a [u8], &'a [u8])>,
    /// The span's parent, where it has one.
    pub parent: Option<Parent<'a>>,
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

#[derive(Debug)]
pub(super) struct Queue<M> {
    pub(super) log: Log<M>,
    max_updates: usize,
    max_bytes: usize,
    when_full: WhenFull,
    /// The number after the newest.
    pub(super) created: u64,
    /// The first number: zero, but for what an earlier page left.
    base: u64,
    acknowledged: u64,
    lost: [u64; LostReason::ALL.len()],
    /// Every number below this is settled.
    pub(super) settled: u64,
    /// Updates in the log, and their bytes as encoded.
    pending: usize,
    bytes: usize,
    /// Those of them that were ever sent.
    sent_updates: usize,
    sent_bytes: usize,
}

impl<M: Memory> Queue<M> {
    pub(super) const fn new(memory: M) -> Self {
        Self {
            log: Log::new(memory),
            max_updates: 0,
            max_bytes: 0,
            when_full: WhenFull::DropNewest,
            created: 0,
            base: 0,
            acknowledged: 0,
            lost: [0; LostReason::ALL.len()],
            settled: 0,
            pending: 0,
            bytes: 0,
            sent_updates: 0,
            sent_bytes: 0,
        }
    }

    pub(super) fn bound(&mut self, max_updates: usize, max_bytes: usize, when_full: WhenFull) {
        (self.max_updates, self.max_bytes, self.when_full) = (max_updates, max_bytes, when_full);
        self.log.bound_ranges(max_updates);
    }

    /// The first number is `base`; nothing new comes, and what is taken was bounded where it was made.
    pub(super) fn begin_at(&mut self, base: u64) {
        (self.base, self.created, self.settled) = (base, base, base);
        self.bound(usize::MAX, usize::MAX, WhenFull::DropNewest);
        self.log.follow(base);
    }

    /// Numbers below `next` that are not here are not this page's.
    pub(super) fn skip_to(&mut self, next: u64) {
        let others = next.min(limits::SEQ_END).saturating_sub(self.created);
        self.base += others;
        self.created += others;
    }

    pub(super) fn push(&mut self, update: &Update<'_>, value_limit: usize, now: Micros) {
        let (keys, key) = match update.key {
            Key::Index(index) => (index.saturating_add(1), &[][..]),
            Key::Inline(key) => (0, key),
        };
        let value = update.value.map_or(0, <[u8]>::len);
        if value > value_limit || keys == 0 && !(1..=KEY_BYTES).contains(&key.len()) {
            return self.lose(1, LostReason::TooLarge);
        }
        let error = update.error.map_or(0, |(kind, message)| kind.len() + message.len());
        let state = update.parent.map_or(0, |parent| parent.tracestate.len());
        if !self.log.reserve(HEAD + NUMBERS_BYTES + value + key.len() + error + state) {
            return self.lose(1, LostReason::QueueFull);
        }
        let position = update.position.wrapping_sub(self.created);
        let start = self.log.tail + HEAD;
        let mut into = Writer::<M>::new(self.log.memory.log(), start);
        encode(&mut into, update, key, position as i64);
        let len = into.at - start;
        self.append(len, keys, now);
    }

    /// Takes `len` bytes behind the tail, and a head's place, as an update, if there is room for it.
    pub(super) fn append(&mut self, len: usize, keys: u32, now: Micros) {
        if !self.fits(self.pending, self.bytes + len) {
            // What was sent stays.
            let room = self.fits(self.sent_updates, self.sent_bytes + len);
            if self.when_full == WhenFull::DropNewest || !room {
                return self.lose(1, LostReason::QueueFull);
            }
            while !self.fits(self.pending, self.bytes + len)
                && self.give_up(EVER_SENT, 1, LostReason::QueueFull)
            {}
        }
        self.log.append(len, keys, now);
        self.pending += 1;
        self.bytes += len;
        self.created += 1;
    }

    fn fits(&self, updates: usize, bytes: usize) -> bool {
        updates < self.max_updates && bytes <= self.max_bytes
    }

    /// Gives up the next `count` numbers. What is queued already stays.
    pub(super) fn lose(&mut self, count: u64, reason: LostReason) {
        if count > 0 {
            self.created += count;
            self.count_lost(count, reason);
            self.log.append_lost(self.created - 1, reason);
        }
    }

    /// The next updates after a mark are lost, so many at the most; false when there are none.
    pub(super) fn give_up(&mut self, mark: usize, most: usize, reason: LostReason) -> bool {
        let Mark { mut seq, mut at, .. } = self.log.mark(mark);
        let mut given_up = 0;
        while at < self.log.tail && given_up < most {
            if self.log.kind(at) == UPDATE {
                self.leaves(at);
                self.log.give_up(at, seq, reason);
                given_up += 1;
                seq += 1;
            } else {
                seq = seq.max(self.log.number(at) + 1);
            }
            at += self.log.len(at);
        }
        self.count_lost(given_up as u64, reason);
        given_up > 0
    }

    /// The update at `at` is pending no more.
    fn leaves(&mut self, at: usize) {
        let bytes = self.log.len(at) - HEAD;
        self.pending -= 1;
        self.bytes -= bytes;
        if at < self.log.mark(EVER_SENT).at {
            self.sent_updates -= 1;
            self.sent_bytes -= bytes;
        }
    }

    /// What lies before `SENT` may have arrived.
    pub(super) fn count_sent(&mut self) {
        let (sent, mut ever) = (self.log.mark(SENT), self.log.mark(EVER_SENT));
        while ever.at < sent.at {
            let len = self.log.len(ever.at);
            if self.log.kind(ever.at) == UPDATE {
                self.sent_updates += 1;
                self.sent_bytes += len - HEAD;
            }
            ever.at += len;
        }
        ever.seq = ever.seq.max(sent.seq);
        self.log.set_mark(EVER_SENT, ever);
    }

    fn count_lost(&mut self, count: u64, reason: LostReason) {
        if let Some(lost) = self.lost.get_mut(reason as usize - 1) {
            *lost += count;
        }
    }

    pub(super) fn stats(&self) -> Stats {
        Stats {
            created: self.created - self.base,
            acknowledged: self.acknowledged,
            pending: self.pending as u64,
            lost: self.lost,
        }
    }

    pub(super) fn all_sent(&self) -> bool {
        self.log.mark(SENT).seq == self.created
    }

    pub(super) fn all_settled(&self) -> bool {
        self.settled == self.created
    }

    /// When the next batch is due, the last having gone at `flushed_at`; never while there is nothing to send or
    /// no credit to send it.
    pub(super) fn flush_at(&mut self, granted: u64, hurry: bool, flushed_at: Micros, now: Micros) -> Micros {
        let sent = self.log.mark(SENT);
        let mut at = flushed_at.saturating_add(FLUSH_AGE);
        // A clock that was set back does not make anybody wait longer.
        let mut due = hurry;
        if self.all_sent() {
            return Micros::MAX;
        }
        // Lost ranges need no credit, and nobody waits for them.
        if self.log.kind(sent.at) == UPDATE {
            if sent.seq >= granted {
                return Micros::MAX;
            }
            let created_at = self.log.number(sent.at);
            due |= created_at > now;
            at = at.max(created_at.saturating_add(GATHER));
        }
        due |= self.created - sent.seq >= FLUSH_COUNT || self.log.tail - sent.at >= FLUSH_BYTES;
        if due { 0 } else { at }
    }

    /// Nothing counts as sent any more: the connection is gone.
    pub(super) fn rewind(&mut self) {
        let head = Mark { seq: self.settled, at: self.log.head };
        self.log.set_mark(SENT, head);
    }

    /// Everything below `next` is settled; what it `refused` is lost. A relay cannot settle what
    /// does not exist.
    pub(super) fn settle(&mut self, next: u64, refused: &mut Refused<'_>) {
        let next = next.min(self.created);
        let mut seq = self.settled;
        while seq < next {
            let head = self.log.head;
            match self.log.kind(head) {
                TAIL => break,
                UPDATE => {
                    if refused.holds(seq) {
                        self.count_lost(1, LostReason::Rejected);
                    } else {
                        self.acknowledged += 1;
                    }
                    seq += 1;
                    self.leaves(head);
                }
                _ => {
                    let last = self.log.number(head);
                    if last >= next {
                        break;
                    }
                    seq = seq.max(last + 1);
                }
            }
            self.log.pop();
        }
        self.settled = self.settled.max(next);
        self.log.follow(self.settled);
    }

    /// Everything pending is lost, and nobody is left to report it to.
    pub(super) fn abandon(&mut self, reason: LostReason) {
        self.rewind();
        self.give_up(SENT, usize::MAX, reason);
        self.settle(self.created, &mut Refused::of(&[], 0));
        self.rewind();
    }
}

/// One `Batch.updates` field: tag, length, `Update`.
fn encode<M: Memory>(into: &mut Writer<'_, M>, update: &Update<'_>, key: &[u8], id_offset: i64) {
    let message = into.open(UPDATES);
    if let Key::Index(index) = update.key {
        into.uint(1, u64::from(index));
    }
    into.sint(2, update.start.wrapping_sub(BASE_TIME) as i64);
    into.uint(3, update.duration);
    if let Some(value) = update.value {
        into.bytes(4, value);
    }
    into.uint(5, if update.altered { 2 } else { u64::from(update.value.is_none()) });
    if let Some((kind, text)) = update.error {
        let error = into.open(6);
        into.string(1, cut(kind, limits::ERROR_TYPE_BYTES));
        into.string(2, cut(text, limits::ATTRIBUTE_BYTES));
        into.close(error);
    }
    if let Some(parent) = update.parent {
        let context = into.open(8);
        into.bytes(1, &parent.trace_id);
        into.bytes(2, &parent.span_id);
        into.uint(3, u64::from(parent.flags));
        if parent.tracestate.len() <= limits::TRACESTATE_BYTES {
            into.string(4, parent.tracestate);
        }
        into.uint(5, u64::from(parent.local));
        into.close(context);
    }
    into.sint(9, id_offset);
    into.string(10, key);
    into.close(message);
}

/// The longest head of `text` within `limit` bytes.
fn cut(text: &[u8], limit: usize) -> &[u8] {
    let mut end = limit;
    // A byte that goes on with a character is none to cut before.
    while text.get(end).is_some_and(|byte| byte & 0xc0 == 0x80) {
        end -= 1;
    }
    text.get(..end).unwrap_or(text)
}

//! Pending updates, encoded, and the account of all that were created.

use super::frames::{self, Rejected, Room};
use super::{FLUSH_AGE, FLUSH_BYTES, FLUSH_COUNT, GATHER};
use crate::{LostRange, LostReason, Micros, ParentContext, limits};
use std::collections::VecDeque;

/// Which atom was written.
#[derive(Debug, Clone, Copy)]
pub enum Key<'a> {
    /// As `Emitter::intern` answered.
    Index(u32),
    /// In full.
    Inline(&'a str),
}

/// One atom write, as it is recorded.
#[derive(Debug, Clone, Copy)]
pub struct NewUpdate<'a> {
    /// Which atom.
    pub key: Key<'a>,
    /// When the write began, on the client's clock.
    pub start: Micros,
    /// How long it took, in microseconds.
    pub duration: Micros,
    /// The new value as JSON text; none when JSON cannot hold it.
    pub value: Option<&'a str>,
    /// The error's type and message, when the write threw or rejected.
    pub error: Option<(&'a str, &'a str)>,
    /// The span's parent, where it has one.
    pub parent: Option<&'a ParentContext>,
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

#[derive(Debug, Clone, Copy)]
struct Entry {
    seq: u64,
    /// Bytes that it takes in the ring, its field tag and length included.
    len: u32,
    created_at: Micros,
}

/// Consecutive updates and the lost ranges around them, ready for one frame.
pub(super) struct Batch<'a> {
    pub(super) first_seq: u64,
    /// The encoded `Update` fields; a ring's content comes in two pieces.
    pub(super) updates: (&'a [u8], &'a [u8]),
    pub(super) lost: Vec<LostRange>,
    /// The number after the last update or lost range.
    pub(super) end: u64,
}

#[derive(Debug)]
pub(super) struct Queue {
    max_updates: usize,
    max_bytes: usize,
    entries: VecDeque<Entry>,
    bytes: VecDeque<u8>,
    /// Lost ranges that the relay has not settled yet, ascending.
    lost: VecDeque<LostRange>,
    created: u64,
    acknowledged: u64,
    lost_counts: [u64; LostReason::ALL.len()],
    /// Every number below this is settled.
    settled: u64,
    /// Every number below this was sent on this connection; entries and bytes likewise.
    sent_seq: u64,
    sent_entries: usize,
    sent_bytes: usize,
}

impl Queue {
    pub(super) fn new(max_updates: usize, max_bytes: usize) -> Self {
        Self {
            max_updates,
            max_bytes,
            entries: VecDeque::new(),
            bytes: VecDeque::new(),
            lost: VecDeque::new(),
            created: 0,
            acknowledged: 0,
            lost_counts: [0; LostReason::ALL.len()],
            settled: 0,
            sent_seq: 0,
            sent_entries: 0,
            sent_bytes: 0,
        }
    }

    pub(super) fn push(&mut self, update: &NewUpdate<'_>, now: Micros) {
        let value = update.value.map_or(0, str::len);
        let key_fits = match update.key {
            Key::Index(_) => true,
            Key::Inline(key) => (1..=limits::KEY_BYTES).contains(&key.len()),
        };
        if value > limits::VALUE_BYTES || !key_fits {
            return self.lose(1, LostReason::TooLarge);
        }
        if self.entries.len() >= self.max_updates {
            return self.lose(1, LostReason::QueueFull);
        }
        let mut encoded = Vec::with_capacity(value + 64);
        frames::update(&mut encoded, update, self.created);
        if self.bytes.len() + encoded.len() > self.max_bytes {
            return self.lose(1, LostReason::QueueFull);
        }
        self.entries.push_back(Entry { seq: self.created, len: encoded.len() as u32, created_at: now });
        self.bytes.extend(&encoded);
        self.created += 1;
    }

    /// Gives up the next `count` numbers. What is queued already stays: the newest is lost, so that an
    /// update which may have reached the relay is never called lost, and history keeps one hole, not many.
    pub(super) fn lose(&mut self, count: u64, reason: LostReason) {
        if count == 0 {
            return;
        }
        let (first, last) = (self.created, self.created + count - 1);
        // There is a bound to these as well: beyond it reasons are told apart in the counts alone.
        let crowded = self.lost.len() >= self.max_updates;
        match self.lost.back_mut() {
            // A range whose tail may have been reported already is not grown, it gets a neighbour.
            Some(newest)
                if newest.last + 1 == first
                    && (newest.reason == reason || crowded)
                    && first > self.sent_seq =>
            {
                newest.last = last;
            }
            _ => self.lost.push_back(LostRange { first, last, reason }),
        }
        self.lost_counts[reason as usize - 1] += count;
        self.created += count;
    }

    pub(super) fn stats(&self) -> Stats {
        Stats {
            created: self.created,
            acknowledged: self.acknowledged,
            pending: self.entries.len() as u64,
            lost: self.lost_counts,
        }
    }

    pub(super) fn created(&self) -> u64 {
        self.created
    }

    pub(super) fn first_unsettled(&self) -> u64 {
        self.settled
    }

    pub(super) fn all_sent(&self) -> bool {
        self.sent_seq == self.created
    }

    pub(super) fn all_settled(&self) -> bool {
        self.settled == self.created
    }

    /// When the next batch is due, the last having gone at `flushed_at`; none while there is nothing to
    /// send or no credit to send it.
    pub(super) fn flush_at(
        &self,
        granted: u64,
        hurry: bool,
        flushed_at: Micros,
        now: Micros,
    ) -> Option<Micros> {
        if self.all_sent() || self.sent_seq >= granted {
            return None;
        }
        let oldest = match self.entries.get(self.sent_entries) {
            Some(entry) => entry.created_at,
            // Lost ranges alone: nobody waits for them, and nothing would wake us later.
            None => return Some(0),
        };
        // A clock that was set back does not make anybody wait longer.
        let due = hurry
            || oldest > now
            || self.entries.len() - self.sent_entries >= FLUSH_COUNT
            || self.bytes.len() - self.sent_bytes >= FLUSH_BYTES;
        let at = oldest.saturating_add(GATHER).max(flushed_at.saturating_add(FLUSH_AGE));
        Some(if due { 0 } else { at })
    }

    /// The next batch after what was sent: lost ranges, updates, lost ranges, without a hole, within
    /// the credit and the relay's limits. An update that this relay's frames cannot hold is lost.
    pub(super) fn batch(&mut self, granted: u64, max_updates: usize, room: Room) -> Batch<'_> {
        let soft = FLUSH_BYTES.min(room.updates);
        let mut lost = Vec::new();
        let mut end = self.take_lost(self.sent_seq, room.lost, &mut lost);
        while self
            .entries
            .get(self.sent_entries)
            .is_some_and(|it| it.seq == end && it.len as usize > room.updates)
        {
            self.give_up_next();
            end = self.take_lost(end, room.lost, &mut lost);
        }
        let first_seq = end;
        let (mut count, mut bytes) = (0, 0);
        while let Some(entry) = self.entries.get(self.sent_entries + count) {
            let len = entry.len as usize;
            let fits = count < max_updates && (count == 0 || bytes + len <= soft);
            if entry.seq != end || end >= granted || !fits {
                break;
            }
            (count, bytes, end) = (count + 1, bytes + len, end + 1);
        }
        end = self.take_lost(end, room.lost, &mut lost);
        let from = self.sent_bytes;
        self.sent_seq = end;
        self.sent_entries += count;
        self.sent_bytes += bytes;
        Batch { first_seq, updates: slices(&self.bytes, from, bytes), lost, end }
    }

    fn take_lost(&self, mut end: u64, most: usize, into: &mut Vec<LostRange>) -> u64 {
        let start = self.lost.partition_point(|range| range.first < end);
        for range in self.lost.range(start..) {
            if range.first != end || into.len() == most {
                break;
            }
            into.push(*range);
            end = range.last + 1;
        }
        end
    }

    /// The oldest update that was not sent is too large to be.
    fn give_up_next(&mut self) {
        let Some(entry) = self.entries.remove(self.sent_entries) else { return };
        self.bytes.drain(self.sent_bytes..self.sent_bytes + entry.len as usize);
        let at = self.lost.partition_point(|range| range.first < entry.seq);
        let reason = LostReason::TooLarge;
        self.lost.insert(at, LostRange { first: entry.seq, last: entry.seq, reason });
        self.lost_counts[reason as usize - 1] += 1;
    }

    /// Nothing counts as sent any more: the connection is gone.
    pub(super) fn rewind(&mut self) {
        (self.sent_seq, self.sent_entries, self.sent_bytes) = (self.settled, 0, 0);
    }

    /// Everything below `next_seq` is settled. The answer is where that leaves us: a relay cannot settle
    /// what does not exist.
    pub(super) fn settle(&mut self, next_seq: u64, rejected: &[Rejected]) -> u64 {
        let next_seq = next_seq.min(self.created);
        // Both are ascending.
        let mut rejected = rejected.iter().peekable();
        while let Some(entry) = self.entries.front().copied().filter(|entry| entry.seq < next_seq) {
            self.entries.pop_front();
            self.bytes.drain(..entry.len as usize);
            self.sent_bytes = self.sent_bytes.saturating_sub(entry.len as usize);
            self.sent_entries = self.sent_entries.saturating_sub(1);
            while rejected.next_if(|range| range.last < entry.seq).is_some() {}
            if rejected.peek().is_some_and(|range| range.first <= entry.seq) {
                self.lost_counts[LostReason::Rejected as usize - 1] += 1;
            } else {
                self.acknowledged += 1;
            }
        }
        while self.lost.front().is_some_and(|range| range.last < next_seq) {
            self.lost.pop_front();
        }
        if let Some(range) = self.lost.front_mut() {
            range.first = range.first.max(next_seq);
        }
        self.settled = self.settled.max(next_seq);
        self.sent_seq = self.sent_seq.max(next_seq);
        self.settled
    }

    /// Everything pending is lost, and nobody is left to report it to.
    pub(super) fn abandon(&mut self, reason: LostReason) {
        self.lost_counts[reason as usize - 1] += self.entries.len() as u64;
        self.entries.clear();
        self.bytes.clear();
        self.lost.clear();
        self.settled = self.created;
        self.rewind();
    }
}

fn slices(ring: &VecDeque<u8>, from: usize, len: usize) -> (&[u8], &[u8]) {
    let (head, tail) = ring.as_slices();
    if from >= head.len() {
        return (&tail[from - head.len()..from - head.len() + len], &[]);
    }
    let in_head = len.min(head.len() - from);
    (&head[from..from + in_head], &tail[..len - in_head])
}

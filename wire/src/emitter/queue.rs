//! Pending updates, encoded, and the account of all that were created.

use super::frames::{self, Rejected, Room};
use super::{Config, FLUSH_AGE, FLUSH_BYTES, FLUSH_COUNT, GATHER};
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
    /// How many keys of the table must be introduced before it.
    keys: u32,
    created_at: Micros,
}

/// A place in the queue: everything below `seq`, which is so many entries and bytes.
#[derive(Debug, Clone, Copy, Default)]
struct Mark {
    seq: u64,
    entries: usize,
    bytes: usize,
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

/// What one frame may hold.
#[derive(Debug, Clone, Copy)]
pub(super) struct Allowance {
    /// Updates below this number.
    pub(super) granted: u64,
    /// So many updates.
    pub(super) updates: usize,
    /// Of keys among the first so many of the table.
    pub(super) keys: usize,
    /// Bytes and lost ranges.
    pub(super) room: Room,
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
    when_full: WhenFull,
    entries: VecDeque<Entry>,
    bytes: VecDeque<u8>,
    /// Lost ranges that the relay has not settled yet, ascending; of the first, a head may be settled.
    lost: VecDeque<LostRange>,
    /// The first number: zero, but for what an earlier page left.
    base: u64,
    created: u64,
    acknowledged: u64,
    lost_counts: [u64; LostReason::ALL.len()],
    /// Every number below this is settled.
    settled: u64,
    /// What was sent on this connection…
    sent: Mark,
    /// …and what was ever sent, and may have arrived.
    ever_sent: Mark,
    /// What `journal` has given out.
    journaled: Mark,
}

impl Queue {
    /// An empty queue whose first number is `base`.
    pub(super) fn new(config: &Config, base: u64) -> Self {
        let start = Mark { seq: base, ..Mark::default() };
        Self {
            max_updates: config.queue_updates,
            max_bytes: config.queue_bytes,
            when_full: config.when_full,
            entries: VecDeque::new(),
            bytes: VecDeque::new(),
            lost: VecDeque::new(),
            base,
            created: base,
            acknowledged: 0,
            lost_counts: [0; LostReason::ALL.len()],
            settled: base,
            sent: start,
            ever_sent: start,
            journaled: start,
        }
    }

    pub(super) fn push(&mut self, update: &NewUpdate<'_>, value_limit: usize, now: Micros) {
        let value = update.value.map_or(0, str::len);
        let (keys, key_fits) = match update.key {
            Key::Index(index) => (index.saturating_add(1), true),
            Key::Inline(key) => (0, (1..=limits::KEY_BYTES).contains(&key.len())),
        };
        if value > value_limit || !key_fits {
            return self.lose(1, LostReason::TooLarge);
        }
        if self.when_full == WhenFull::DropNewest && self.entries.len() >= self.max_updates {
            return self.lose(1, LostReason::QueueFull);
        }
        let mut encoded = Vec::with_capacity(value + 64);
        frames::update(&mut encoded, update, self.created);
        if !self.make_room(encoded.len()) {
            return self.lose(1, LostReason::QueueFull);
        }
        self.append(&encoded, keys, now);
    }

    /// Takes an encoded update as it is.
    pub(super) fn append(&mut self, encoded: &[u8], keys: u32, now: Micros) {
        let len = encoded.len() as u32;
        self.entries.push_back(Entry { seq: self.created, len, keys, created_at: now });
        self.bytes.extend(encoded);
        self.created += 1;
    }

    /// Sees to it that `len` more bytes fit, where that is possible.
    fn make_room(&mut self, len: usize) -> bool {
        let fits = |entries: usize, bytes: usize| entries < self.max_updates && bytes + len <= self.max_bytes;
        let keep = match self.when_full {
            WhenFull::DropNewest => Mark { seq: 0, entries: self.entries.len(), bytes: self.bytes.len() },
            WhenFull::DropOldest => self.ever_sent,
        };
        if !fits(keep.entries, keep.bytes) {
            return false;
        }
        while self.entries.len() >= self.max_updates || self.bytes.len() + len > self.max_bytes {
            self.give_up(self.ever_sent, LostReason::QueueFull);
        }
        true
    }

    /// Gives up the next `count` numbers. What is queued already stays.
    pub(super) fn lose(&mut self, count: u64, reason: LostReason) {
        if count == 0 {
            return;
        }
        let (first, last) = (self.created, self.created + count - 1);
        self.insert_lost(LostRange { first, last, reason });
        self.lost_counts[reason as usize - 1] += count;
        self.created += count;
    }

    fn insert_lost(&mut self, range: LostRange) {
        // There is a bound to these as well: beyond it reasons are told apart in the counts alone.
        let crowded = self.lost.len() >= self.max_updates;
        let at = self.lost.partition_point(|other| other.first < range.first);
        match at.checked_sub(1).and_then(|before| self.lost.get_mut(before)) {
            Some(before) if before.last + 1 == range.first && (before.reason == range.reason || crowded) => {
                before.last = range.last;
            }
            _ => self.lost.insert(at, range),
        }
    }

    /// The next number is `next_seq` or above: those below are not this page's.
    pub(super) fn begin_at(&mut self, next_seq: u64) {
        let others = next_seq.min(limits::SEQ_END).saturating_sub(self.created);
        self.base += others;
        self.created += others;
    }

    pub(super) fn stats(&self) -> Stats {
        Stats {
            created: self.created - self.base,
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

    /// Every number below this was sent on this connection.
    pub(super) fn sent(&self) -> u64 {
        self.sent.seq
    }

    pub(super) fn all_sent(&self) -> bool {
        self.sent.seq == self.created
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
        if self.all_sent() {
            return None;
        }
        let oldest = match self.entries.get(self.sent.entries) {
            // Lost ranges before it need no credit.
            Some(entry) if entry.seq == self.sent.seq && entry.seq >= granted => return None,
            Some(entry) => entry.created_at,
            // Lost ranges alone: nobody waits for them.
            None if hurry => return Some(0),
            None => return Some(flushed_at.saturating_add(FLUSH_AGE)),
        };
        // A clock that was set back does not make anybody wait longer.
        let due = hurry
            || oldest > now
            || self.entries.len() - self.sent.entries >= FLUSH_COUNT
            || self.bytes.len() - self.sent.bytes >= FLUSH_BYTES;
        let at = oldest.saturating_add(GATHER).max(flushed_at.saturating_add(FLUSH_AGE));
        Some(if due { 0 } else { at })
    }

    /// The next batch after what was sent. An update that takes more than `too_large` bytes, because this
    /// relay's frames cannot hold it, is lost.
    pub(super) fn batch(&mut self, allowance: Allowance, too_large: usize) -> Batch<'_> {
        // All lost ranges before it go first, so that it is the next.
        while let Some(entry) = self.entries.get(self.sent.entries)
            && entry.len as usize > too_large
            && self.take_lost(self.sent.seq, usize::MAX, &mut Vec::new()) == entry.seq
        {
            self.give_up(self.sent, LostReason::TooLarge);
        }
        let (batch, end) = self.collect(self.sent, allowance);
        self.sent = end;
        if end.seq > self.ever_sent.seq {
            self.ever_sent = end;
        }
        batch.into_batch(&self.bytes)
    }

    /// What was made since the last call, as a frame's content; none when that is nothing.
    pub(super) fn journal(&mut self) -> Option<Batch<'_>> {
        let all = Allowance {
            granted: u64::MAX,
            updates: usize::MAX,
            keys: usize::MAX,
            room: Room { keys: 0, lost: usize::MAX, updates: usize::MAX },
        };
        let from = self.journaled;
        let (batch, end) = self.collect(from, all);
        self.journaled = end;
        (end.seq > from.seq).then(|| batch.into_batch(&self.bytes))
    }

    /// Lost ranges, updates, lost ranges from `from` on, without a hole, within `allowance`; and where that
    /// ends.
    fn collect(&self, from: Mark, allowance: Allowance) -> (Collected, Mark) {
        let room = allowance.room;
        let mut lost = Vec::new();
        let first_seq = self.take_lost(from.seq, room.lost, &mut lost);
        let mut end = Mark { seq: first_seq, ..from };
        while let Some(entry) = self.entries.get(end.entries) {
            let bytes = end.bytes + entry.len as usize;
            let size = bytes - from.bytes;
            let fits = end.entries - from.entries < allowance.updates
                && entry.keys as usize <= allowance.keys
                && size <= room.updates
                // One update may be larger than a batch should be.
                && (end.entries == from.entries || size <= FLUSH_BYTES);
            if entry.seq != end.seq || end.seq >= allowance.granted || !fits {
                break;
            }
            end = Mark { seq: end.seq + 1, entries: end.entries + 1, bytes };
        }
        end.seq = self.take_lost(end.seq, room.lost, &mut lost);
        (Collected { first_seq, lost, from: from.bytes, len: end.bytes - from.bytes, end: end.seq }, end)
    }

    /// The lost ranges from `end` on, up to the next update. One may have grown since its head was taken.
    fn take_lost(&self, mut end: u64, most: usize, into: &mut Vec<LostRange>) -> u64 {
        let start = self.lost.partition_point(|range| range.last < end);
        for range in self.lost.range(start..) {
            if range.first > end || into.len() == most {
                break;
            }
            into.push(LostRange { first: end, ..*range });
            end = range.last + 1;
        }
        end
    }

    /// The update just after `mark` is lost.
    fn give_up(&mut self, mark: Mark, reason: LostReason) {
        let Some(entry) = self.entries.remove(mark.entries) else { return };
        let len = entry.len as usize;
        self.bytes.drain(mark.bytes..mark.bytes + len);
        for other in [&mut self.sent, &mut self.ever_sent, &mut self.journaled] {
            if other.entries > mark.entries {
                other.entries -= 1;
                other.bytes -= len;
            }
        }
        self.insert_lost(LostRange { first: entry.seq, last: entry.seq, reason });
        self.lost_counts[reason as usize - 1] += 1;
    }

    /// Everything that was not sent on this connection is lost, and reported as one range.
    pub(super) fn give_up_unsent(&mut self, reason: LostReason) {
        let gone = self.entries.len() - self.sent.entries;
        self.lost_counts[reason as usize - 1] += gone as u64;
        self.entries.truncate(self.sent.entries);
        self.bytes.truncate(self.sent.bytes);
        self.lost.retain(|range| range.first < self.sent.seq);
        if let Some(range) = self.lost.back_mut() {
            range.last = range.last.min(self.sent.seq - 1);
        }
        if !self.all_sent() {
            self.lost.push_back(LostRange { first: self.sent.seq, last: self.created - 1, reason });
        }
        for mark in [&mut self.ever_sent, &mut self.journaled] {
            mark.entries = mark.entries.min(self.sent.entries);
            mark.bytes = mark.bytes.min(self.sent.bytes);
        }
    }

    /// Nothing counts as sent any more: the connection is gone.
    pub(super) fn rewind(&mut self) {
        self.sent = Mark { seq: self.settled, ..Mark::default() };
    }

    /// Everything below `next_seq` is settled. The answer is where that leaves us: a relay cannot settle
    /// what does not exist.
    pub(super) fn settle(&mut self, next_seq: u64, rejected: &[Rejected]) -> u64 {
        let next_seq = next_seq.min(self.created);
        // Both are ascending.
        let mut rejected = rejected.iter().peekable();
        let mut gone = Mark { seq: next_seq, ..Mark::default() };
        while let Some(entry) = self.entries.front().copied().filter(|entry| entry.seq < next_seq) {
            self.entries.pop_front();
            gone.entries += 1;
            gone.bytes += entry.len as usize;
            while rejected.next_if(|range| range.last < entry.seq).is_some() {}
            if rejected.peek().is_some_and(|range| range.first <= entry.seq) {
                self.lost_counts[LostReason::Rejected as usize - 1] += 1;
            } else {
                self.acknowledged += 1;
            }
        }
        self.bytes.drain(..gone.bytes);
        while self.lost.front().is_some_and(|range| range.last < next_seq) {
            self.lost.pop_front();
        }
        self.settled = self.settled.max(next_seq);
        for mark in [&mut self.sent, &mut self.ever_sent, &mut self.journaled] {
            mark.seq = mark.seq.max(gone.seq);
            mark.entries = mark.entries.saturating_sub(gone.entries);
            mark.bytes = mark.bytes.saturating_sub(gone.bytes);
        }
        self.settled
    }

    /// Everything pending is lost, and nobody is left to report it to.
    pub(super) fn abandon(&mut self, reason: LostReason) {
        self.rewind();
        self.give_up_unsent(reason);
        self.settle(self.created, &[]);
        self.rewind();
    }
}

/// A batch by its place in the ring.
struct Collected {
    first_seq: u64,
    lost: Vec<LostRange>,
    from: usize,
    len: usize,
    end: u64,
}

impl Collected {
    fn into_batch(self, ring: &VecDeque<u8>) -> Batch<'_> {
        let Self { first_seq, lost, from, len, end } = self;
        Batch { first_seq, updates: slices(ring, from, len), lost, end }
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

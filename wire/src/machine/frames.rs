//! The frames to the relay, written from the log.

use super::log::{HEAD, SENT, UPDATE};
use super::memory::{Memory, array, part};
use super::queue::BASE_TIME;
use super::writer::Writer;
use super::{FLUSH_BYTES, Machine};
use crate::{LostReason, Micros, limits};

/// Field numbers of `ClientFrame`.
const HELLO: u8 = 1;
pub(super) const BATCH: u8 = 2;
const PING: u8 = 4;
const BYE: u8 = 5;

/// A batch's tag, length and numbers, at their longest 51 bytes.
pub(super) const HEAD_BYTES: usize = 64;
/// One `Batch.lost` at its longest: two tags and numbers of 8 bytes (2^53), the reason, tag and length.
pub(super) const LOST_BYTES: usize = 22;

/// What one frame may hold: whatever waits, it stays within what the relay takes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Room {
    /// Updates below this number…
    granted: u64,
    /// …and so many of them.
    updates: usize,
    /// Bytes of new keys.
    keys: usize,
    /// Lost ranges.
    lost: usize,
    /// Bytes of updates: of the protocol's own 512 KiB these are 320, enough for the largest value.
    bytes: usize,
}

impl Room {
    /// For a frame of `bytes`, how they are shared out.
    pub(super) fn of(bytes: usize, granted: u64, updates: usize) -> Self {
        let eighth = bytes.saturating_sub(HEAD_BYTES) / 8;
        let lost = (eighth / LOST_BYTES).min(limits::BATCH_LOST);
        Self { granted, updates, keys: 2 * eighth, lost, bytes: 5 * eighth }
    }
}

/// What a `Hello` says beside the session's own.
#[derive(Debug, Clone, Copy)]
pub struct Hello<'a> {
    /// OpenTelemetry resource attributes: keys and values alternating, a NUL after each.
    pub resource: &'a [u8],
    /// What the operator asks clients to present, or empty.
    pub token: &'a [u8],
}

impl<M: Memory> Machine<M> {
    pub(super) fn hello(&self, about: Hello<'_>, now: Micros, into: &mut Writer<'_, M>) {
        let hello = into.open(HELLO);
        into.bytes(1, &self.session_id);
        into.bytes(2, &self.id_seed);
        let mut rest = about.resource;
        while !rest.is_empty() {
            let attribute = into.open(3);
            into.string(1, take_text(&mut rest));
            into.string(2, take_text(&mut rest));
            into.close(attribute);
        }
        into.string(4, about.token);
        into.uint(5, self.queue.settled);
        into.uint(6, now);
        into.close(hello);
    }

    /// Lost ranges, updates, lost ranges from a mark on, without a hole, within `room`; the mark moves behind them.
    pub(super) fn batch(&mut self, mark: usize, room: Room, into: &mut Writer<'_, M>) {
        let batch = into.open(BATCH);
        let mut ranges = room.lost;
        if mark == SENT {
            self.new_keys(room.keys, into);
        }
        self.lost(mark, &mut ranges, into);
        // What this relay's frames cannot hold is lost, once it is the next.
        let most = Room::of(self.offered.frame_bytes, 0, 0).bytes;
        while mark == SENT
            && let at = self.queue.log.mark(mark).at
            && self.queue.log.kind(at) == UPDATE
            && self.queue.log.len(at) - HEAD > most
        {
            self.queue.give_up(mark, 1, LostReason::TooLarge);
            self.lost(mark, &mut ranges, into);
        }
        into.uint(1, self.queue.log.mark(mark).seq);
        into.uint(2, BASE_TIME);
        self.updates(mark, room, into);
        self.lost(mark, &mut ranges, into);
        if mark == SENT
            && let Some(offset) = self.clock.offset()
        {
            // An offset of zero is one as well, but left out; its error tells.
            into.sint(6, offset.micros);
            into.uint(7, offset.error);
        }
        into.close(batch);
    }

    fn new_keys(&mut self, room: usize, into: &mut Writer<'_, M>) {
        let (end, connection) = (self.keys_end, &mut self.connection);
        let keys = self.queue.log.memory.keys();
        let mut left = room;
        while connection.keys_end < end {
            let len = usize::from(u16::from_le_bytes(array(keys, connection.keys_end)));
            // A tag, and a length of up to two bytes.
            let Some(rest) = left.checked_sub(len + 3) else { return };
            left = rest;
            into.bytes(3, part(keys, connection.keys_end + 2, len));
            connection.keys_end += 2 + len;
            connection.keys += 1;
        }
    }

    /// The lost ranges from a mark on, up to the next update.
    fn lost(&mut self, mark: usize, most: &mut usize, into: &mut Writer<'_, M>) {
        let log = &mut self.queue.log;
        let mut to = log.mark(mark);
        while log.is_lost(to.at) {
            let (reason, mut last) = (log.kind(to.at), log.number(to.at));
            let mut next = to.at + log.len(to.at);
            while log.kind(next) == reason {
                last = log.number(next);
                next += log.len(next);
            }
            if to.seq <= last {
                let Some(left) = most.checked_sub(1) else { break };
                *most = left;
                lost_range(to.seq, last, reason, into);
                to.seq = last + 1;
            }
            to.at = next;
        }
        log.set_mark(mark, to);
    }

    /// Updates from a mark on, up to the next lost range.
    fn updates(&mut self, mark: usize, room: Room, into: &mut Writer<'_, M>) {
        let known = if mark == SENT { self.connection.keys } else { u32::MAX };
        let log = &mut self.queue.log;
        let from = log.mark(mark);
        let (start, mut to) = (into.at, from);
        while log.kind(to.at) == UPDATE {
            let len = log.len(to.at);
            let size = into.at - start + len - HEAD;
            // One update may be larger than a batch should be.
            let fits = size <= room.bytes && (into.at == start || size <= FLUSH_BYTES);
            if !fits
                || to.seq >= room.granted
                || to.seq - from.seq >= room.updates as u64
                || log.keys(to.at) > known
            {
                break;
            }
            into.raw(log.update(to.at, len));
            to.seq += 1;
            to.at += len;
        }
        log.set_mark(mark, to);
    }

    /// The end of a session in a request: a batch that gives up everything from a number on, and a `Bye`.
    pub(super) fn farewell(&self, first: u64, into: &mut Writer<'_, M>) {
        if first < self.queue.created {
            let frame = into.open_delimited();
            let batch = into.open(BATCH);
            lost_range(first, self.queue.created - 1, LostReason::PageClosed as u8, into);
            into.close(batch);
            into.close(frame);
        }
        let frame = into.open_delimited();
        self.bye(into);
        into.close(frame);
    }

    pub(super) fn bye(&self, into: &mut Writer<'_, M>) {
        let bye = into.open(BYE);
        into.uint(1, self.queue.created);
        into.close(bye);
    }
}

/// One `Batch.lost`.
fn lost_range<M: Memory>(first: u64, last: u64, reason: u8, into: &mut Writer<'_, M>) {
    let lost = into.open(5);
    into.uint(1, first);
    into.uint(2, last);
    into.uint(3, u64::from(reason));
    into.close(lost);
}

/// The text up to the next NUL.
fn take_text<'a>(rest: &mut &'a [u8]) -> &'a [u8] {
    let end = rest.iter().position(|byte| *byte == 0).unwrap_or(rest.len());
    let text = rest.get(..end).unwrap_or_default();
    *rest = rest.get(end + 1..).unwrap_or_default();
    text
}

pub(super) fn ping<M: Memory>(now: Micros, into: &mut Writer<'_, M>) {
    let ping = into.open(PING);
    into.uint(1, now);
    into.close(ping);
}

//! The emitter's frames: written for the relay, read from it.

use super::Config;
use super::queue::{Batch, Key, NewUpdate};
use crate::clock::Offset;
use crate::decode::{Fields, Malformed, oneof};
use crate::encode::{Writer, zigzag};
use crate::{Micros, limits};

/// What a batch's offsets count from. Offsets are written when an update is recorded, before anybody knows
/// which batch it will travel in, so the base is fixed: 2026-01-01T00:00:00Z, seven bytes of varint
/// from here for the next four years, and never wrong for a clock that is.
const BASE_TIME: Micros = 1_767_225_600_000_000;

/// Field numbers of `ClientFrame`.
const HELLO: u32 = 1;
pub(super) const BATCH: u32 = 2;
const PING: u32 = 4;
const BYE: u32 = 5;
/// Field number of `Batch.updates`.
pub(super) const BATCH_UPDATES: u32 = 4;

/// A batch's tag, length and numbers, at their longest 51 bytes.
const HEAD_BYTES: usize = 64;
/// One `Batch.lost` at its longest: two tags and numbers of 8 bytes (2^53), the reason, tag and length.
const LOST_BYTES: usize = 22;

/// What ends a last request: a batch with one lost range, and a `Bye`.
const LAST_BYTES: usize = HEAD_BYTES + LOST_BYTES + 16;
/// A frame of a last request that holds less is not worth its head.
const LEAST_FRAME_BYTES: usize = 512;

/// How a frame's bytes are shared out: whatever waits, the frame stays within what the relay takes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Room {
    /// Bytes of new keys.
    pub(super) keys: usize,
    /// Lost ranges.
    pub(super) lost: usize,
    /// Bytes of updates: of the protocol's own 512 KiB these are 320, enough for the largest value.
    pub(super) updates: usize,
}

impl Room {
    /// For one lost range.
    pub(super) const LEAST: Self = Self { keys: 0, lost: 1, updates: 0 };

    fn of(frame_bytes: usize) -> Self {
        let eighth = (frame_bytes - HEAD_BYTES) / 8;
        Self { keys: 2 * eighth, lost: (eighth / LOST_BYTES).min(limits::BATCH_LOST), updates: 5 * eighth }
    }

    /// How many of `keys` fit.
    pub(super) fn keys(&self, keys: &[Box<str>]) -> usize {
        let ends = keys.iter().scan(0, |end, key| {
            // A tag, and a length of up to two bytes.
            *end += key.len() + 3;
            Some(*end)
        });
        ends.take_while(|end| *end <= self.keys).count()
    }
}

pub(super) fn hello(config: &Config, first_unacked: u64, now: Micros) -> Vec<u8> {
    frame(HELLO, |hello| {
        hello.bytes(1, &config.session_id);
        hello.bytes(2, &config.id_seed);
        for (key, value) in &config.resource {
            hello.message(3, |attribute| {
                attribute.string(1, key);
                attribute.string(2, value);
            });
        }
        hello.string(4, &config.token);
        hello.uint(5, first_unacked);
        hello.uint(6, now);
    })
}

/// Appends one `Batch.updates` field: tag, length, `Update`.
pub(super) fn update(into: &mut Vec<u8>, update: &NewUpdate<'_>, seq: u64) {
    Writer(into).message(BATCH_UPDATES, |message| {
        match update.key {
            Key::Index(index) => message.uint(1, u64::from(index)),
            Key::Inline(key) => message.string(10, key),
        }
        message.sint(2, update.start.wrapping_sub(BASE_TIME) as i64);
        message.uint(3, update.duration);
        match update.value {
            Some(value) => message.bytes(4, value.as_bytes()),
            None => message.uint(5, 1),
        }
        if let Some((kind, text)) = update.error {
            message.message(6, |error| {
                error.string(1, cut(kind, limits::ERROR_TYPE_BYTES));
                error.string(2, cut(text, limits::ATTRIBUTE_BYTES));
            });
        }
        if let Some(parent) = update.parent {
            message.message(8, |context| {
                context.bytes(1, &parent.trace_id);
                context.bytes(2, &parent.span_id);
                context.uint(3, u64::from(parent.flags));
                if parent.tracestate.len() <= limits::TRACESTATE_BYTES {
                    context.string(4, &parent.tracestate);
                }
                context.uint(5, u64::from(parent.local));
            });
        }
        message.sint(9, update.position.wrapping_sub(seq) as i64);
    });
}

pub(super) fn batch(batch: &Batch<'_>, new_keys: &[Box<str>], clock: Option<Offset>) -> Vec<u8> {
    let mut head = Vec::with_capacity(64);
    let mut fields = Writer(&mut head);
    fields.uint(1, batch.first_seq);
    fields.uint(2, BASE_TIME);
    for key in new_keys {
        fields.bytes(3, key.as_bytes());
    }
    for range in &batch.lost {
        fields.message(5, |lost| {
            lost.uint(1, range.first);
            lost.uint(2, range.last);
            lost.uint(3, range.reason as u64);
        });
    }
    if let Some(offset) = clock {
        fields.uint(6, zigzag(offset.micros));
        fields.uint(7, offset.error);
    }
    let (first, second) = batch.updates;
    let len = head.len() + first.len() + second.len();
    let mut frame = Vec::with_capacity(len + 8);
    Writer(&mut frame).head(BATCH, len);
    for part in [&head[..], first, second] {
        frame.extend_from_slice(part);
    }
    frame
}

pub(super) fn ping(now: Micros) -> Vec<u8> {
    frame(PING, |ping| ping.uint(1, now))
}

pub(super) fn bye(next_seq: u64) -> Vec<u8> {
    frame(BYE, |bye| bye.uint(1, next_seq))
}

/// Appends a frame with its length before it, as a request's body has them.
pub(super) fn delimited(body: &mut Vec<u8>, frame: &[u8]) {
    Writer(body).varint(frame.len() as u64);
    body.extend_from_slice(frame);
}

fn frame(field: u32, fill: impl FnOnce(&mut Writer<'_>)) -> Vec<u8> {
    let mut bytes = Vec::new();
    Writer(&mut bytes).message(field, fill);
    bytes
}

/// The longest head of `text` within `limit` bytes.
fn cut(text: &str, limit: usize) -> &str {
    &text[..text.floor_char_boundary(limit)]
}

/// Updates `first` to `last`, both included, that the relay refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rejected {
    pub(super) first: u64,
    pub(super) last: u64,
}

#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Times {
    pub(super) received_at: Micros,
    pub(super) sent_at: Micros,
}

/// What a relay takes. One of its limits that is left out (zero) is the protocol's own, one beyond that does
/// not count.
#[derive(Debug, Clone, Copy)]
pub(super) struct Offered {
    frame_bytes: usize,
    pub(super) batch_updates: usize,
    pub(super) value_bytes: usize,
    /// Updates that a new connection may send before it hears anything.
    pub(super) credit: u64,
}

impl Default for Offered {
    fn default() -> Self {
        Self {
            frame_bytes: limits::FRAME_BYTES,
            batch_updates: limits::BATCH_UPDATES,
            value_bytes: limits::VALUE_BYTES,
            credit: limits::BATCH_UPDATES as u64,
        }
    }
}

impl Offered {
    /// How a frame is shared out.
    pub(super) fn room(self) -> Room {
        Room::of(self.frame_bytes)
    }

    /// The same where only `bytes` are left for it; none when no frame fits, and what a request ends with.
    pub(super) fn room_within(self, bytes: usize) -> Option<Room> {
        let left = bytes.checked_sub(LAST_BYTES).filter(|left| *left >= LEAST_FRAME_BYTES)?;
        Some(Room::of(left.min(self.frame_bytes)))
    }
}

pub(super) enum ServerFrame {
    Welcome {
        next_seq: u64,
        credit: u64,
        limits: Offered,
        heartbeat: Micros,
        times: Times,
        rejected: Vec<Rejected>,
    },
    Ack {
        next_seq: u64,
        credit: u64,
        times: Times,
        rejected: Vec<Rejected>,
    },
    Pong {
        client_time: Micros,
        times: Times,
    },
    GoAway {
        final_: bool,
        reconnect_after: Micros,
        jitter: Micros,
        message: String,
    },
    /// A frame of a later version.
    Unknown,
}

pub(super) fn decode(bytes: &[u8]) -> Result<ServerFrame, Malformed> {
    let (kind, body) = oneof(bytes)?;
    if !(1..=4).contains(&kind) {
        return Ok(ServerFrame::Unknown);
    }
    let (mut numbers, mut times, mut limits) = ([0; 5], Times::default(), Offered::default());
    let (mut rejected, mut message) = (Vec::new(), "");
    for field in Fields(body) {
        let field = field?;
        // Welcome (1), Ack (2), Pong (3) and GoAway (4) share their shapes; what differs is here.
        match (kind, field.number) {
            (1, 3) => limits = offered(field.content.bytes()?)?,
            (1, 5) | (2, 3) | (3, 2) => times = read_times(field.content.bytes()?)?,
            (1, 6) | (2, 4) if rejected.len() == limits::REJECTED_RANGES => {
                return Err(Malformed("more rejected ranges than the protocol allows"));
            }
            (1, 6) | (2, 4) => rejected.push(read_rejected(field.content.bytes()?)?),
            (4, 4) => message = field.content.string()?,
            (1, number @ (1 | 2 | 4)) | (2, number @ (1 | 2)) | (3, number @ 1) | (4, number @ 1..=3) => {
                numbers[number as usize] = field.content.uint()?;
            }
            // A field of a later version.
            _ => {}
        }
    }
    let [_, first, second, third, fourth] = numbers;
    Ok(match kind {
        1 => {
            // Between a second and an hour, whatever a relay says.
            let heartbeat = fourth.clamp(1_000, 3_600_000) * 1_000;
            ServerFrame::Welcome { next_seq: first, credit: second, limits, heartbeat, times, rejected }
        }
        2 => ServerFrame::Ack { next_seq: first, credit: second, times, rejected },
        3 => ServerFrame::Pong { client_time: first, times },
        _ => ServerFrame::GoAway {
            final_: matches!(first, 2..=4),
            // A relay can send its clients away for an hour at the most.
            reconnect_after: second.min(3_600_000) * 1_000,
            jitter: third.min(3_600_000) * 1_000,
            message: message.to_owned(),
        },
    })
}

pub(super) fn numbers<const N: usize>(message: &[u8]) -> Result<[u64; N], Malformed> {
    let mut numbers = [0; N];
    for field in Fields(message) {
        let field = field?;
        if let Some(slot) = numbers.get_mut((field.number as usize).wrapping_sub(1)) {
            *slot = field.content.uint()?;
        }
    }
    Ok(numbers)
}

fn read_times(message: &[u8]) -> Result<Times, Malformed> {
    numbers(message).map(|[received_at, sent_at]| Times { received_at, sent_at })
}

fn read_rejected(message: &[u8]) -> Result<Rejected, Malformed> {
    numbers(message).map(|[first, last]| Rejected { first, last })
}

fn offered(message: &[u8]) -> Result<Offered, Malformed> {
    let bound = |offered: u64, own: usize| {
        usize::try_from(offered).ok().filter(|offered| *offered > 0).map_or(own, |offered| offered.min(own))
    };
    let own = Offered::default();
    numbers(message).map(|[frame_bytes, batch_updates, value_bytes]| Offered {
        frame_bytes: bound(frame_bytes, own.frame_bytes).max(limits::FRAME_BYTES_MIN),
        batch_updates: bound(batch_updates, own.batch_updates),
        value_bytes: bound(value_bytes, own.value_bytes),
        ..own
    })
}

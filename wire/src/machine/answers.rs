//! What the relay answers, read.

use crate::decode::{Field, Fields, Malformed, Scanned};
use crate::limits;

/// The field numbers of `ServerFrame`.
pub(super) const WELCOME: u64 = 1;
pub(super) const ACK: u64 = 2;
pub(super) const PONG: u64 = 3;
pub(super) const GO_AWAY: u64 = 4;

/// The updates that the relay refused, in ranges of a frame: ascending.
#[derive(Debug)]
pub(super) struct Refused<'f> {
    fields: Fields<'f>,
    /// The field that they stand in.
    number: u64,
    first: u64,
    last: u64,
    over: bool,
}

impl<'f> Refused<'f> {
    /// Those in the fields `number` of an answer.
    pub(super) fn of(answer: &'f [u8], number: u64) -> Self {
        let mut refused = Self { fields: Fields::new(answer), number, first: 0, last: 0, over: false };
        refused.next().unwrap_or_default();
        refused
    }

    /// Reads all of them once.
    ///
    /// # Errors
    /// When one is malformed, or they are more than the protocol allows.
    pub(super) fn check(answer: &'f [u8], number: u64) -> Result<(), Malformed> {
        let mut refused = Self { fields: Fields::new(answer), number, first: 0, last: 0, over: false };
        for _ in 0..=limits::REJECTED_RANGES {
            refused.next()?;
            if refused.over {
                return Ok(());
            }
        }
        Err(Malformed::TooManyRejected)
    }

    /// Whether `seq` was refused; asked in ascending order.
    pub(super) fn holds(&mut self, seq: u64) -> bool {
        while !self.over && self.last < seq {
            // They were checked.
            self.next().unwrap_or_default();
        }
        !self.over && self.first <= seq
    }

    fn next(&mut self) -> Result<(), Malformed> {
        let number = self.number;
        let Some(Field { bytes, .. }) = self.fields.find(|field| field.number == number) else {
            self.over = true;
            return Ok(());
        };
        let [_, first, last, ..] = Scanned::numbers(bytes.unwrap_or_default())?;
        (self.first, self.last) = (first, last);
        Ok(())
    }
}

/// What a relay takes. One of its limits that is left out (zero) is the protocol's own, one beyond that does
/// not count.
#[derive(Debug, Clone, Copy)]
pub(super) struct Offered {
    pub(super) frame_bytes: usize,
    pub(super) batch_updates: usize,
    pub(super) value_bytes: usize,
}

impl Offered {
    pub(super) const PROTOCOL: Self = Self {
        frame_bytes: limits::FRAME_BYTES,
        batch_updates: limits::BATCH_UPDATES,
        value_bytes: limits::VALUE_BYTES,
    };

    pub(super) fn read(message: &[u8]) -> Result<Self, Malformed> {
        let [_, frame, updates, value, ..] = Scanned::numbers(message)?;
        let own = Self::PROTOCOL;
        Ok(Self {
            frame_bytes: bound(frame, own.frame_bytes).max(limits::FRAME_BYTES_MIN),
            batch_updates: bound(updates, own.batch_updates),
            value_bytes: bound(value, own.value_bytes),
        })
    }
}

fn bound(offered: u64, own: usize) -> usize {
    if offered == 0 || offered > own as u64 { own } else { offered as usize }
}

/// A duration from a relay: an hour at the most, in microseconds.
pub(super) fn at_most_an_hour(millis: u64) -> u64 {
    millis.min(3_600_000) * 1_000
}

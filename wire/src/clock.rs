//! The offset between a browser's clock and the relay's.

use crate::Micros;

/// The four timestamps of one exchange (RFC 5905, section 8).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exchange {
    /// T1: the client sent, on its clock.
    pub client_sent: Micros,
    /// T2: the relay received, on its clock.
    pub relay_received: Micros,
    /// T3: the relay answered, on its clock.
    pub relay_sent: Micros,
    /// T4: the client received the answer, on its clock.
    pub client_received: Micros,
}

/// What the client must add to its clock to get the relay's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Offset {
    /// Microseconds to add.
    pub micros: i64,
    /// The true offset is within this many microseconds of `micros`.
    pub error: Micros,
}

impl Offset {
    const ZERO: Self = Self { micros: 0, error: 0 };

    /// So uncertain that it contradicts nothing: as much as two times can be apart, and two of it are no overflow.
    const NONE: Self = Self { micros: 0, error: Micros::MAX / 4 };

    pub(crate) fn is_known(self) -> bool {
        self.error < Self::NONE.error
    }

    fn contradicts(self, other: Self) -> bool {
        apart(self.micros, other.micros) > self.error + other.error
    }
}

/// Asked for three times: it stands in the module once.
#[inline(never)]
fn apart(one: i64, other: i64) -> u64 {
    one.abs_diff(other)
}

/// Exchanges remembered: the eight stages of RFC 5905's clock filter (section 10).
const STAGES: usize = 8;

/// Keeps the offset of the quickest of the last exchanges: the one that queues delayed least.
///
/// What is kept is also held: two spans of one trace may travel in different batches, and a child must
/// not slip before its parent because the estimate moved by less than it was ever sure of. So the offset
/// changes only when a newer one contradicts it or is far better. What an exchange contradicts is forgotten:
/// a clock that jumps, at either end, is followed at once.
#[derive(Debug, Clone)]
pub struct Clock {
    samples: [Offset; STAGES],
    next: usize,
    pub(crate) held: Offset,
}

/// How many times smaller the error of a new offset must be to replace one that it agrees with.
const FAR_BETTER: Micros = 4;

impl Default for Clock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock {
    /// Knows of no exchange.
    pub const fn new() -> Self {
        Self { samples: [Offset::NONE; STAGES], next: 0, held: Offset::NONE }
    }

    /// Of no use before it was told to `forget`: zeros take no room in the module.
    pub(crate) const ZERO: Self = Self { samples: [Offset::ZERO; STAGES], next: 0, held: Offset::ZERO };

    /// Knows of none any more.
    #[inline(never)]
    pub fn forget(&mut self) {
        self.samples.fill(Offset::NONE);
        self.held = Offset::NONE;
    }

    /// Takes an exchange into account. One whose times contradict themselves (the round trip
    /// would be negative: a clock jumped in the middle) is ignored.
    #[inline]
    pub fn sample(&mut self, at: Exchange) {
        let there = at.relay_received.wrapping_sub(at.client_sent) as i64;
        let back = at.relay_sent.wrapping_sub(at.client_received) as i64;
        let round_trip = there.wrapping_sub(back);
        if round_trip < 0 || at.relay_sent < at.relay_received {
            return;
        }
        // The mean of the two without the overflow that adding them first could have.
        let micros = back.wrapping_add(round_trip / 2);
        let newest = Offset { micros, error: round_trip.unsigned_abs().div_ceil(2) };
        let mut best = newest;
        let oldest = self.next % STAGES;
        self.next += 1;
        for (at, older) in self.samples.iter_mut().enumerate() {
            // Both cannot be true: either end's clock was set, or they drifted apart, since the older one.
            if older.contradicts(newest) {
                *older = Offset::NONE;
            }
            if at == oldest {
                *older = newest;
            }
            if older.error < best.error {
                best = *older;
            }
        }
        let held = self.held;
        if held.contradicts(newest) || held.contradicts(best) || best.error <= held.error / FAR_BETTER {
            self.held = best;
        }
    }

    /// The offset held; none before the first exchange.
    pub fn offset(&self) -> Option<Offset> {
        self.held.is_known().then_some(self.held)
    }
}

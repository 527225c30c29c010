//! What a session will write: a function of the seed.

use atomwire_wire::emitter::{Config, WhenFull};
use atomwire_wire::limits;
use std::time::Duration;

/// A page that lost its network for some seconds fills such a queue, …
const SMALL_QUEUE: usize = 100;
/// … of which there is one in so many of either policy, …
const SMALL_EACH: u64 = 16;
/// … and this is the emitter's own bound.
const LARGE_QUEUE: usize = 10_000;

/// Atoms of a session.
pub(super) const ATOMS: u64 = 8;

/// One session's share.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) updates: u64,
    /// From one update to the next.
    pub(super) every: Duration,
    queue_updates: usize,
    when_full: WhenFull,
    random: fastrand::Rng,
}

/// One update of a session.
#[derive(Debug)]
pub(super) enum Write {
    /// An atom's number, and JSON text for its value, or what somebody takes for JSON.
    Update { atom: u64, value: String },
    /// JSON could not hold the value.
    NotSerializable,
}

impl Plan {
    /// The plans of `sessions` sessions, which make `updates` updates together. They write equally fast; some
    /// have three times as much to say as others, so that they end one after another.
    pub(super) fn of_all(seed: u64, sessions: u64, updates: u64, rate: f64) -> impl Iterator<Item = Self> {
        // Shares of 1, 2 and 3; what the division leaves is the last one's.
        let shares: u64 = (0..sessions).map(|index| index % 3 + 1).sum();
        let mut left = updates;
        let mut random = fastrand::Rng::with_seed(seed);
        (0..sessions).map(move |index| {
            let last = index + 1 == sessions;
            let updates = if last { left } else { updates * (index % 3 + 1) / shares };
            left -= updates;
            Self {
                updates,
                every: Duration::from_secs_f64(sessions as f64 / rate),
                queue_updates: if index % SMALL_EACH < 2 { SMALL_QUEUE } else { LARGE_QUEUE },
                when_full: if index % 2 == 0 { WhenFull::DropNewest } else { WhenFull::DropOldest },
                random: random.fork(),
            }
        })
    }

    /// The session. Its seed is as random as a browser's: a run that is repeated against the same
    /// database is not the same sessions once more.
    pub(super) fn session(&self) -> Config {
        Config {
            id_seed: std::array::from_fn(|_| fastrand::u8(..)),
            resource: vec![("service.name".into(), "chaos".into())],
            token: String::new(),
            queue_updates: self.queue_updates,
            queue_bytes: 4 * 1024 * 1024,
            when_full: self.when_full,
        }
    }

    /// The update with this number: mostly small ones that are fine.
    pub(super) fn write(&mut self, number: u64) -> Write {
        let random = &mut self.random;
        let atom = random.u64(..ATOMS);
        let value = match random.u32(..1000) {
            0 => return Write::NotSerializable,
            1 | 2 => format!("{{\"n\":{number},"),
            // Deeper than a relay takes, …
            3 => "[".repeat(limits::VALUE_DEPTH + 1) + &"]".repeat(limits::VALUE_DEPTH + 1),
            // … larger than the protocol carries, which a relay never sees, …
            4 => format!("\"{}\"", "x".repeat(limits::VALUE_BYTES)),
            // … and large.
            5..=9 => format!("{{\"n\":{number},\"text\":\"{}\"}}", "x".repeat(random.usize(1_000..20_000))),
            _ => format!("{{\"n\":{number},\"text\":\"{}\"}}", "x".repeat(random.usize(..200))),
        };
        Write::Update { atom, value }
    }
}

//! The consumers that read with a cursor: how far each of them is done, and what that means for the others.

use super::ring::Position;
use crate::config::ConsumerName;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// Names at a time; who reads is a program of the operator's own, of which there are few.
const NAMES: usize = 64;

/// What one consumer is not done with yet.
#[derive(Debug)]
pub(crate) struct Lag {
    pub(crate) consumer: ConsumerName,
    pub(crate) required: bool,
    pub(crate) messages: u64,
    pub(crate) bytes: u64,
    /// For how long nobody has read in its name.
    pub(crate) away: Option<Duration>,
}

/// All consumers: the required ones, and whoever else reads now.
#[derive(Debug)]
pub(super) struct Consumers {
    of: BTreeMap<ConsumerName, Consumer>,
    readers: u64,
}

#[derive(Debug)]
struct Consumer {
    required: bool,
    /// It is done with everything before.
    done: Position,
    reader: Option<Reader>,
    /// When somebody began, or ceased, to read in its name.
    since: Instant,
}

#[derive(Debug)]
struct Reader {
    number: u64,
    replaced: CancellationToken,
}

/// The right to read in a consumer's name.
#[derive(Debug, Clone)]
pub(super) struct Turn {
    pub(super) consumer: ConsumerName,
    number: u64,
    /// Cancelled when a newer connection has it.
    pub(super) replaced: CancellationToken,
}

impl Consumers {
    pub(super) fn new(required: Vec<ConsumerName>) -> Self {
        let consumer =
            || Consumer { required: true, done: Position::default(), reader: None, since: Instant::now() };
        Self { of: required.into_iter().map(|name| (name, consumer())).collect(), readers: 0 }
    }

    /// Lets a connection read in the name of `consumer`, which is done with everything before `start` if nobody has
    /// read in it yet; none while there are too many names.
    pub(super) fn enter(&mut self, consumer: &ConsumerName, start: Position) -> Option<Turn> {
        if !self.of.contains_key(consumer) && self.of.len() >= NAMES {
            return None;
        }
        self.readers += 1;
        let turn =
            Turn { consumer: consumer.clone(), number: self.readers, replaced: CancellationToken::new() };
        let since = Instant::now();
        let new = || Consumer { required: false, done: start, reader: None, since };
        let it = self.of.entry(turn.consumer.clone()).or_insert_with(new);
        let reader = Reader { number: turn.number, replaced: turn.replaced.clone() };
        if let Some(earlier) = it.reader.replace(reader) {
            earlier.replaced.cancel();
        }
        it.since = since;
        Some(turn)
    }

    /// It is done with everything before `done`, says who has its turn.
    pub(super) fn confirm(&mut self, turn: &Turn, done: Position) {
        if let Some(it) = self.held_by(turn) {
            it.done = it.done.max(done);
        }
    }

    /// Ends a turn. Who is not required is forgotten.
    pub(super) fn leave(&mut self, turn: &Turn) {
        if let Some(it) = self.held_by(turn) {
            (it.reader, it.since) = (None, Instant::now());
            if !it.required {
                self.of.remove(&turn.consumer);
            }
        }
    }

    /// Before where all required ones are done; none when none is.
    pub(super) fn required_done(&self) -> Option<Position> {
        self.of.values().filter(|it| it.required).map(|it| it.done).min()
    }

    /// What each lacks of what was published before `end`.
    pub(super) fn lags(&self, end: Position) -> impl Iterator<Item = Lag> {
        self.of.iter().map(move |(name, it)| Lag {
            consumer: name.clone(),
            required: it.required,
            messages: end.messages - it.done.messages,
            bytes: end.bytes - it.done.bytes,
            away: it.reader.is_none().then(|| it.since.elapsed()),
        })
    }

    fn held_by(&mut self, turn: &Turn) -> Option<&mut Consumer> {
        let has_turn = |it: &&mut Consumer| it.reader.as_ref().is_some_and(|it| it.number == turn.number);
        self.of.get_mut(&turn.consumer).filter(has_turn)
    }
}

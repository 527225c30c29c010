//! Who reads a relay's bus: a plain subscriber, which is told what it missed, and a consumer, which keeps the books
//! and confirms what it has stored by asking for what comes next.

use super::books::Message;
use super::bus::{Ring, Rules};
use super::relay::Relay;
use super::world::{MILLISECOND, NEVER, World};
use atomwire_wire::Micros;

/// A socket and a place on the ring.
#[derive(Debug)]
pub(super) struct Subscriber {
    pub(super) due: Micros,
    /// The number that it is sent next.
    cursor: u64,
    /// The number after the last that it saw.
    seen: u64,
    heard: u64,
    missed: u64,
}

/// What a consumer is up to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Health {
    Well,
    /// It stands still, with what it has read.
    Halted,
    /// What it had read and not stored is gone.
    Dead,
}

/// A consumer's place on the ring.
#[derive(Debug)]
pub(super) struct Consumer {
    pub(super) due: Micros,
    pub(super) health: Health,
    /// Everything below is in the books, or known to be missed.
    pub(super) stored: u64,
    /// Read behind that, and not stored yet.
    staged: Vec<Message>,
    /// It has asked for this number: everything below is stored.
    pub(super) confirmed: u64,
}

impl Subscriber {
    pub(super) fn new() -> Self {
        Self { due: NEVER, cursor: 0, seen: 0, heard: 0, missed: 0 }
    }
}

impl Consumer {
    pub(super) fn new() -> Self {
        Self { due: NEVER, health: Health::Well, stored: 0, staged: Vec::new(), confirmed: 0 }
    }

    /// The number that it reads next.
    fn at(&self) -> u64 {
        self.stored + self.staged.len() as u64
    }

    /// Whether there is something to read, to store or to confirm.
    pub(super) fn is_behind(&self, ring: &Ring) -> bool {
        self.confirmed < ring.next()
    }
}

impl World {
    /// Whoever has something to do does it in a while.
    pub(super) fn wake_readers(&mut self, relay: usize) {
        let [consumer, subscriber] = [(); 2].map(|()| self.now + self.rng.below(self.pace + MILLISECOND));
        let Relay { ring, consumer: it, subscriber: plain, .. } = &mut self.relays[relay];
        it.due = if it.health == Health::Well && it.is_behind(ring) { it.due.min(consumer) } else { NEVER };
        plain.due = if plain.cursor < ring.next() { plain.due.min(subscriber) } else { NEVER };
    }

    /// The consumer or the subscriber does what is due.
    pub(super) fn readers_turn(&mut self, relay: usize) {
        if self.relays[relay].consumer.due <= self.now {
            self.relays[relay].consumer.due = NEVER;
            self.consume(relay);
        } else {
            self.relays[relay].subscriber.due = NEVER;
            let count = 1 + self.rng.below(8);
            self.receive(relay, count);
        }
        self.wake_readers(relay);
    }

    /// The consumer reads, then may store, then may confirm; false while it does not work.
    pub(super) fn consume(&mut self, relay: usize) -> bool {
        if self.relays[relay].consumer.health != Health::Well {
            return false;
        }
        let most = if self.healthy { usize::MAX } else { self.rng.below(20) as usize };
        self.read(relay, most);
        if self.healthy || self.rng.percent(70) {
            self.store(relay);
        }
        if self.healthy || self.rng.percent(70) {
            self.confirm(relay);
        }
        true
    }

    fn read(&mut self, relay: usize, most: usize) {
        let Relay { ring, consumer, .. } = &self.relays[relay];
        if consumer.at() < ring.first {
            assert!(self.rules == Rules::Optional, "a required consumer is overtaken");
            self.store(relay);
            let Relay { ring, consumer, .. } = &mut self.relays[relay];
            self.books.miss(ring.first - consumer.stored);
            consumer.stored = ring.first;
            self.summary.add("consumers overtaken", 1);
        }
        let Relay { ring, consumer, .. } = &mut self.relays[relay];
        let read: Vec<_> = ring.from(consumer.at()).take(most).cloned().collect();
        assert!(read.first().is_none_or(|message| message.number == consumer.at()));
        consumer.staged.extend(read);
    }

    /// What was read is stored, all of it or nothing.
    pub(super) fn store(&mut self, relay: usize) {
        let consumer = &mut self.relays[relay].consumer;
        consumer.stored = consumer.at();
        for message in std::mem::take(&mut consumer.staged) {
            self.books.enter(message);
        }
    }

    /// The consumer asks for the number after the last that it has stored.
    fn confirm(&mut self, relay: usize) {
        let consumer = &mut self.relays[relay].consumer;
        consumer.confirmed = consumer.stored;
        self.settle(relay);
        for at in self.links_of(relay) {
            self.links.get_mut(&at).unwrap().wake();
            // Most acknowledgements go at once, some wait for company.
            if self.healthy || self.rng.percent(80) {
                self.acknowledge(at);
            }
        }
    }

    /// The subscriber is sent so many messages at the most, and knows from their numbers what it missed.
    fn receive(&mut self, relay: usize, most: u64) {
        for _ in 0..most {
            let Relay { ring, subscriber, .. } = &mut self.relays[relay];
            let Some(message) = ring.from(subscriber.cursor).next() else { return };
            let missed = ring.first.saturating_sub(subscriber.cursor);
            assert_eq!(message.number - subscriber.seen, missed, "its gap is what it was not sent");
            subscriber.missed += missed;
            subscriber.heard += 1;
            subscriber.seen = message.number + 1;
            subscriber.cursor = subscriber.seen;
            self.summary.add("subscribers overtaken", u64::from(missed > 0));
        }
    }

    /// The relay drains: the subscriber has heard of every message, missed it, or is told that it lacks it.
    pub(super) fn end_subscriber(&mut self, relay: usize) {
        let count = self.rng.pick(&[0, 5, u64::MAX]);
        self.receive(relay, count);
        let Relay { ring, subscriber, published, .. } = &self.relays[relay];
        let Subscriber { cursor, heard, missed, .. } = subscriber;
        assert_eq!(*published, heard + missed + (ring.next() - cursor));
    }

    // What befalls consumers.

    pub(super) fn halt(&mut self, relay: usize) {
        self.summary.add("consumers halted", 1);
        let consumer = &mut self.relays[relay].consumer;
        if consumer.health == Health::Well {
            consumer.health = Health::Halted;
        }
    }

    pub(super) fn kill_consumer(&mut self, relay: usize) {
        self.summary.add("consumers killed", 1);
        let consumer = &mut self.relays[relay].consumer;
        consumer.health = Health::Dead;
        consumer.staged.clear();
    }

    /// It goes on where its books stand, and so confirms what is in there.
    pub(super) fn bring_consumer_back(&mut self, relay: usize) {
        let was = std::mem::replace(&mut self.relays[relay].consumer.health, Health::Well);
        if was == Health::Dead {
            self.confirm(relay);
        }
        self.wake_readers(relay);
    }
}

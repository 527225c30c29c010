//! What a relay has published: a ring, how far it settles what it took on, and what it takes with it when it ends.

use super::books::{Message, Says};
use super::link::State;
use super::readers::{Consumer, Health};
use super::relay::{Counts, Relay};
use super::truth::Missed;
use super::world::World;
use atomwire_wire::proto::GoAwayReason;
use atomwire_wire::relay::go_away;
use std::collections::VecDeque;

/// What a world's relays count as settled, and whether they ask browsers to wait for their consumers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rules {
    /// What the bus has taken is settled; a consumer that is slow is overtaken.
    Optional,
    /// What the bus has taken is settled; the consumer is required, and is not overtaken.
    Required,
    /// What the required consumer has confirmed is settled.
    Delivered,
}

/// The newest messages of a relay, numbered from 0 in its life.
#[derive(Debug)]
pub(super) struct Ring {
    room: u64,
    /// The number of the oldest that is still there.
    pub(super) first: u64,
    messages: VecDeque<Message>,
}

/// The end of a batch: it is settled when everything below `at` on the ring is.
#[derive(Debug)]
pub(super) struct Mark {
    at: u64,
    link: u64,
    session: usize,
    ledger: u64,
    end: u64,
}

impl Ring {
    pub(super) fn new(room: u64) -> Self {
        Self { room, first: 0, messages: VecDeque::new() }
    }

    /// The number of the next message.
    pub(super) fn next(&self) -> u64 {
        self.first + self.messages.len() as u64
    }

    /// Takes a message; the oldest makes room for it.
    fn push(&mut self, message: Message) -> Option<Message> {
        self.messages.push_back(message);
        if self.messages.len() as u64 <= self.room {
            return None;
        }
        self.first += 1;
        self.messages.pop_front()
    }

    /// The messages from `number` on that are still there.
    pub(super) fn from(&self, number: u64) -> impl Iterator<Item = &Message> {
        self.messages.range(number.saturating_sub(self.first) as usize..)
    }
}

impl Relay {
    pub(super) fn check(&self) {
        let Counts { received, published, dropped, duplicates } = self.counts;
        assert_eq!(received, published + dropped + duplicates, "the relay's account");
    }
}

impl World {
    /// Whether `count` messages go onto the ring, and overtake nobody who is required.
    pub(super) fn has_room(&self, relay: usize, count: u64) -> bool {
        let Relay { ring, consumer, .. } = &self.relays[relay];
        self.rules == Rules::Optional || ring.next() + count <= consumer.confirmed + ring.room
    }

    /// What the relay grants now: nothing while the ring is more than half full.
    pub(super) fn credit(&mut self, relay: usize) -> u32 {
        let Relay { ring, consumer, credit, .. } = &self.relays[relay];
        let behind = ring.next() - consumer.confirmed;
        if self.rules == Rules::Optional || 2 * behind <= ring.room {
            return *credit;
        }
        self.summary.add("withheld credit", 1);
        0
    }

    pub(super) fn publish(&mut self, relay: usize, session: usize, says: Says) {
        let number = self.relays[relay].published;
        self.relays[relay].published += 1;
        self.published += 1;
        if let Some(oldest) = self.relays[relay].ring.push(Message { number, session, says }) {
            let Consumer { stored, confirmed, .. } = self.relays[relay].consumer;
            let confirmed = oldest.number < confirmed;
            assert!(confirmed || self.rules == Rules::Optional, "a required consumer is overtaken");
            if oldest.number >= stored {
                self.miss(&oldest, Missed::Settled);
            }
        }
        self.wake_readers(relay);
    }

    /// A batch of `link` is on the ring: it is settled there, or waits for who is required.
    pub(super) fn mark(&mut self, relay: usize, link: u64, end: u64) {
        let at = self.relays[relay].ring.next();
        let (session, ledger) = (self.links[&link].session_no, self.links[&link].ledger.unwrap());
        self.relays[relay].marks.push_back(Mark { at, link, session, ledger, end });
        self.settle(relay);
    }

    /// Everything below is settled.
    fn settled_to(&self, relay: usize) -> u64 {
        match self.rules {
            Rules::Optional | Rules::Required => self.relays[relay].ring.next(),
            Rules::Delivered => self.relays[relay].consumer.confirmed,
        }
    }

    /// Settles what is on the ring far enough, whatever has become of the connection that brought it.
    pub(super) fn settle(&mut self, relay: usize) {
        let to = self.settled_to(relay);
        while let Some(Mark { link, session, ledger, end, .. }) =
            self.relays[relay].marks.pop_front_if(|mark| mark.at <= to)
        {
            let holder = self.relays[relay].held.get(&session).copied();
            if holder != Some(link) {
                self.summary.add("settled after its connection", 1);
            }
            match (holder.and_then(|at| self.links.get_mut(&at)), self.relays[relay].kept.get_mut(&session)) {
                (Some(link), _) if link.ledger == Some(ledger) => link.session.as_mut().unwrap().settled(end),
                (None, Some((kept, number))) if *number == ledger => kept.settle(end),
                // Its session has ended, or is known anew.
                _ => {}
            }
        }
    }

    /// Nobody will hear of this message.
    fn miss(&mut self, message: &Message, how: Missed) {
        let truth = &mut self.sessions[message.session];
        match &message.says {
            Says::Row { seq, .. } => truth.missed(*seq, *seq, how),
            Says::Lost { ranges, .. } => {
                for (first, last) in ranges {
                    truth.missed(*first, *last, how);
                }
            }
            Says::AccountedFor(_) => truth.end_missed = true,
        }
    }

    /// The relay is over: what its consumer has not stored is lost with it; the answer is how much.
    fn lose_the_rest(&mut self, relay: usize) -> u64 {
        let (stored, settled) = (self.relays[relay].consumer.stored, self.settled_to(relay));
        let rest: Vec<_> = self.relays[relay].ring.from(stored).cloned().collect();
        for message in &rest {
            let how = if message.number < settled { Missed::Settled } else { Missed::Open };
            self.miss(message, how);
        }
        self.relays[relay].ring.next() - stored
    }

    /// The relay ends in order: everybody is sent away, and who reads has some time. What they lack then is named.
    pub(super) fn drain(&mut self, relay: usize) {
        for at in self.links_of(relay) {
            if self.links[&at].session.is_some() {
                self.send_away(at, &go_away(GoAwayReason::Shutdown, 0, 5_000, "drain"));
            }
        }
        while self.relays[relay].consumer.is_behind(&self.relays[relay].ring)
            && (self.healthy || self.rng.percent(90))
            && self.consume(relay)
        {}
        let lacking = self.lose_the_rest(relay);
        if lacking > 0 {
            self.summary.add("drains with somebody behind", 1);
            self.books.miss(lacking);
        }
        self.end_subscriber(relay);
        self.start_again(relay);
    }

    /// The relay dies, and its ring with it. What is on the ring may reach the consumer before: in order, up to some
    /// point.
    pub(super) fn crash(&mut self, relay: usize) {
        while self.rng.percent(50) && self.consume(relay) {}
        if self.rng.percent(50) {
            // It is not the consumer that dies.
            self.store(relay);
        }
        self.vanished += self.lose_the_rest(relay);
        if self.rules == Rules::Delivered {
            self.summary
                .add("crashes before a confirmation", u64::from(!self.relays[relay].marks.is_empty()));
        }
        for at in self.links_of(relay) {
            let link = self.links.get_mut(&at).unwrap();
            link.session = None;
            link.up.clear();
            link.state = State::Cut;
        }
        self.start_again(relay);
    }

    /// Another life of this relay, which knows nothing; who reads it begins anew.
    fn start_again(&mut self, relay: usize) {
        let Relay { ahead, consumer: Consumer { health, .. }, .. } = self.relays[relay];
        self.relays[relay] = Relay { ahead, ..Relay::new(self.room) };
        self.relays[relay].consumer.health = if health == Health::Well { Health::Well } else { Health::Dead };
        self.offer(relay);
    }
}

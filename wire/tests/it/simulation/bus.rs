//! What a relay has published, and what it takes with it when it ends.

use super::books::{Message, Says};
use super::link::State;
use super::relay::{Counts, Relay};
use super::truth::{Verdict, WentDown};
use super::world::{NEVER, World};
use atomwire_wire::Micros;
use atomwire_wire::proto::GoAwayReason;
use atomwire_wire::relay::{self, go_away};

/// A batch on its way to the subscribers.
pub(super) struct Job {
    pub(super) due: Micros,
    pub(super) link: u64,
    pub(super) session: usize,
    pub(super) ledger: u64,
    pub(super) end: u64,
    pub(super) notes: Vec<Says>,
    pub(super) updates: Vec<relay::Update>,
}

impl Relay {
    pub(super) fn check(&self) {
        let Counts { received, published, dropped, duplicates } = self.counts;
        let waiting: usize = self.bus.iter().map(|job| job.updates.len()).sum();
        assert_eq!(received, published + dropped + duplicates + waiting as u64, "the relay's account");
    }
}

impl World {
    pub(super) fn publish(&mut self, relay: usize, session: usize, says: Says) {
        // A hand's breadth behind the bus, in order.
        let due = self.now + self.rng.below(20_000);
        let tail = &mut self.relays[relay].tail;
        let due = tail.back().map_or(due, |(last, _)| due.max(*last));
        tail.push_back((due, Message { session, says }));
    }

    /// The bus or the consumer does what is due.
    pub(super) fn relay_turn(&mut self, relay: usize) {
        let heard = self.relays[relay].tail.front().map_or(NEVER, |(due, _)| *due);
        if heard <= self.now {
            let (_, message) = self.relays[relay].tail.pop_front().unwrap();
            return self.books.enter(message);
        }
        let link = self.settle_job(relay);
        // Most acknowledgements go at once, some wait for company.
        if self.healthy || self.rng.percent(80) {
            self.acknowledge(link);
        }
    }

    /// The bus takes the oldest batch; the answer is whose it was.
    pub(super) fn settle_job(&mut self, relay: usize) -> u64 {
        let Job { link, session, ledger, end, notes, updates, .. } =
            self.relays[relay].bus.pop_front().unwrap();
        for note in notes {
            self.publish(relay, session, note);
        }
        for update in updates {
            let seq = update.seq;
            self.sessions[session].settled(ledger, seq, Verdict::Published);
            self.relays[relay].counts.published += 1;
            let value = update.value.map(|value| String::from_utf8(value.to_vec()).unwrap());
            self.publish(relay, session, Says::Row { seq, key: update.key.to_string(), value });
        }
        self.relays[relay].check();
        if let Some(session) = self.links.get_mut(&link).and_then(|link| link.session.as_mut()) {
            session.settled(end);
        }
        link
    }

    /// The relay ends in order: everybody is sent away, everything is out.
    pub(super) fn drain(&mut self, relay: usize) {
        for at in self.links_of(relay) {
            if self.links[&at].session.is_some() {
                self.send_away(at, &go_away(GoAwayReason::Shutdown, 0, 5_000, "drain"));
            }
        }
        for (_, message) in std::mem::take(&mut self.relays[relay].tail) {
            self.books.enter(message);
        }
        self.start_again(relay);
    }

    /// The relay dies. What was on the bus's queue may have been published, and what was published may have
    /// reached the consumer: in order, up to some point.
    pub(super) fn crash(&mut self, relay: usize) {
        while !self.relays[relay].bus.is_empty() && self.rng.percent(50) {
            self.settle_job(relay);
        }
        while !self.relays[relay].tail.is_empty() && self.rng.percent(90) {
            let (_, message) = self.relays[relay].tail.pop_front().unwrap();
            self.books.enter(message);
        }
        for (_, Message { session, says }) in std::mem::take(&mut self.relays[relay].tail) {
            let truth = &mut self.sessions[session];
            match says {
                Says::Row { seq, .. } => truth.went_down(seq, seq, WentDown::Settled),
                Says::Lost { first, last, .. } => truth.went_down(first, last, WentDown::Settled),
                Says::AccountedFor(_) => truth.end_died = true,
            }
        }
        for job in &self.relays[relay].bus {
            let truth = &mut self.sessions[job.session];
            job.updates.iter().for_each(|update| truth.went_down(update.seq, update.seq, WentDown::Open));
            for note in &job.notes {
                if let Says::Lost { first, last, .. } = note {
                    truth.went_down(*first, *last, WentDown::Open);
                }
            }
        }
        for at in self.links_of(relay) {
            let link = self.links.get_mut(&at).unwrap();
            link.session = None;
            link.up.clear();
            link.state = State::Cut;
        }
        self.start_again(relay);
    }

    /// Another life of this relay, which knows nothing.
    pub(super) fn start_again(&mut self, relay: usize) {
        let Relay { ahead, .. } = self.relays[relay];
        self.relays[relay] = Relay { ahead, ..Relay::new() };
        self.offer(relay);
    }
}

//! A relay's shell: who has which session, what is taken in, and what goes to the bus.

use super::books::{Place, Says};
use super::bus::{Mark, Ring};
use super::link::{Link, Request, Requested, State};
use super::readers::{Consumer, Subscriber};
use super::world::{MILLISECOND, World};
use crate::support::id_seed;
use atomwire_wire::proto::{self, GoAwayReason, client_frame::Frame};
use atomwire_wire::relay::{self, Accepted, Ledger, Limits, Session, Violation, go_away};
use atomwire_wire::{Micros, limits};
use bytes::Bytes;
use prost::Message as _;
use std::collections::{BTreeMap, VecDeque};

/// `received = published + dropped + duplicate`.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) received: u64,
    pub(super) published: u64,
    pub(super) dropped: u64,
    pub(super) duplicates: u64,
}

pub(super) struct Relay {
    pub(super) limits: Limits,
    /// What it grants to streams.
    pub(super) credit: u32,
    /// How far its clock is ahead.
    pub(super) ahead: i64,
    /// Ledgers of sessions without a connection, each with a number that no other has.
    pub(super) kept: BTreeMap<usize, (Ledger, u64)>,
    /// Which connection has a session.
    pub(super) held: BTreeMap<usize, u64>,
    pub(super) ring: Ring,
    /// Messages that there ever were on it.
    pub(super) published: u64,
    /// What is on the ring and not settled, in order.
    pub(super) marks: VecDeque<Mark>,
    pub(super) consumer: Consumer,
    pub(super) subscriber: Subscriber,
    pub(super) counts: Counts,
}

impl Relay {
    pub(super) fn new(room: u64) -> Self {
        Self {
            limits: Limits::default(),
            credit: 0,
            ahead: 0,
            kept: BTreeMap::new(),
            held: BTreeMap::new(),
            ring: Ring::new(room),
            published: 0,
            marks: VecDeque::new(),
            consumer: Consumer::new(),
            subscriber: Subscriber::new(),
            counts: Counts::default(),
        }
    }

    /// When somebody reads next.
    pub(super) fn next(&self) -> Micros {
        self.consumer.due.min(self.subscriber.due)
    }
}

fn offered(limits: &Limits) -> proto::Limits {
    proto::Limits {
        frame_bytes: limits.frame_bytes as u32,
        batch_updates: limits.batch_updates as u32,
        value_bytes: limits.value_bytes as u32,
    }
}

impl World {
    fn relay_now(&self, relay: usize) -> Micros {
        self.now.strict_add_signed(self.relays[relay].ahead)
    }

    fn send_down(&mut self, link: u64, frame: Bytes) {
        let at = self.jittered();
        self.links.get_mut(&link).unwrap().send(false, at, frame);
    }

    /// Whether what a frame makes goes onto the ring; and a request has a session for itself.
    fn takes_in(&self, at: u64) -> bool {
        let link = &self.links[&at];
        let (relay, session) = (link.relay, link.session_no);
        match proto::ClientFrame::decode(&link.up[0].1[..]).unwrap().frame {
            // It may have a start to tell.
            Some(Frame::Hello(_)) => {
                let holder = self.relays[relay].held.get(&session);
                holder.is_none_or(|at| self.links[at].request.is_none()) && self.has_room(relay, 1)
            }
            Some(Frame::Batch(batch)) => {
                let count = batch.updates.len() as u64 + u64::from(!batch.lost.is_empty());
                // What no ring holds is refused for its size.
                count > self.room || self.has_room(relay, count)
            }
            Some(Frame::Bye(_)) => self.has_room(relay, 1),
            _ => true,
        }
    }

    pub(super) fn arrive_at_relay(&mut self, at: u64) {
        if self.links[&at].session.is_some() && !self.takes_in(at) {
            return self.leave_in_the_link(at);
        }
        self.take_in(at);
        let link = &self.links[&at];
        if link.request.is_some() && link.up.is_empty() {
            self.end_request(at);
        }
    }

    /// The relay does not read on, until there is room; meanwhile it says now and then that it lives.
    fn leave_in_the_link(&mut self, at: u64) {
        self.summary.add("left in the link", 1);
        let heartbeat = Micros::from(self.links[&at].limits.heartbeat_interval_ms) * MILLISECOND;
        let (now, again) = (self.relay_now(self.links[&at].relay), self.now + heartbeat);
        let link = self.links.get_mut(&at).unwrap();
        link.unread_until = again;
        if let Some(alive) = link.session.as_ref().and_then(|session| session.heartbeat(now)) {
            self.send_down(at, alive);
        }
    }

    fn take_in(&mut self, at: u64) {
        let link = self.links.get_mut(&at).unwrap();
        let (_, frame) = link.up.pop_front().unwrap();
        let Some(mut session) = link.session.take() else { return };
        let (relay, ignorant) = (link.relay, link.request.is_some_and(|it| it.ignorant));
        let event = session.receive(&frame, self.relay_now(relay));
        self.links.get_mut(&at).unwrap().session = Some(session);
        match event {
            Ok(relay::Event::Hello(hello)) => self.welcome(at, &hello),
            Ok(relay::Event::Batch(accepted)) => {
                let Some(Frame::Batch(batch)) = proto::ClientFrame::decode(frame).unwrap().frame else {
                    panic!("a batch")
                };
                self.take_on(at, &batch, accepted);
            }
            Ok(relay::Event::Reply(pong)) => self.send_down(at, pong),
            Ok(relay::Event::Bye(_)) => {
                self.links.get_mut(&at).unwrap().ended = true;
                self.hang_up(at);
            }
            Ok(relay::Event::Spans(_)) => panic!("nobody sent spans"),
            // A page that goes cannot ask.
            Err(Violation::Limit { .. }) if ignorant => {
                self.summary.add("requests beyond the limits", 1);
                self.hang_up(at);
            }
            Err(violation) => panic!("an honest client keeps to the protocol: {violation}"),
        }
    }

    /// Gives the session to the connection that asks for it, once nobody else has it.
    fn welcome(&mut self, at: u64, hello: &relay::Hello) {
        let link = &self.links[&at];
        let (session, relay, request) = (link.session_no, link.relay, link.request.is_some());
        assert_eq!(hello.id_seed, id_seed(session));
        if let Some(holder) = self.relays[relay].held.get(&session).copied() {
            if !request && holder > at {
                self.summary.add("replaced", 1);
                self.send_down(at, go_away(GoAwayReason::Replaced, 0, 0, "replaced"));
                return self.hang_up(at);
            }
            let reason = if request { GoAwayReason::Unspecified } else { GoAwayReason::Replaced };
            self.summary.add(if request { "borrowed" } else { "replaced" }, 1);
            self.send_away(holder, &go_away(reason, 0, 250, "taken"));
        }
        let first = hello.first_unacked_seq;
        let known = self.relays[relay].kept.remove(&session);
        let before = known.as_ref().map_or(0, |(ledger, _)| ledger.accepted());
        let (ledger, number) = if let Some((mut ledger, number)) = known {
            ledger.resume(first);
            (ledger, number)
        } else {
            self.ledgers += 1;
            (Ledger::new(hello.id_seed, first), self.ledgers)
        };
        if first > before {
            self.summary.add("starts", 1);
            self.publish(relay, session, Says::AccountedFor(first));
        }
        self.relays[relay].held.insert(session, at);
        let now = self.relay_now(relay);
        let link = self.links.get_mut(&at).unwrap();
        link.ledger = Some(number);
        let credit = if request { limits::CREDIT } else { self.credit(relay) };
        let link = self.links.get_mut(&at).unwrap();
        let welcome = link.session.as_mut().unwrap().attach(ledger, now, credit);
        self.send_down(at, welcome);
    }

    fn take_on(&mut self, at: u64, batch: &proto::Batch, accepted: Accepted) {
        let link = &self.links[&at];
        let (session, relay, ledger) = (link.session_no, link.relay, link.ledger.unwrap());
        let refused: u64 = accepted.rejected.iter().map(relay::RejectedRange::updates).sum();
        let lost: u64 = accepted.lost.iter().map(|range| range.last - range.first + 1).sum();
        let next = accepted.end - refused - lost - accepted.updates.len() as u64;
        let truth = &mut self.sessions[session];
        truth.accepted(ledger, next, batch, &accepted, link.limits.value_bytes, &mut self.summary);
        let relays: Vec<_> = accepted.rejected.iter().map(|it| (it.first, it.last)).collect();
        let browsers: Vec<_> = accepted.lost.iter().map(|it| (it.first, it.last)).collect();
        for (place, ranges) in [(Place::Browser, browsers), (Place::Relay, relays)] {
            if !ranges.is_empty() {
                self.publish(relay, session, Says::Lost { ranges, place });
            }
        }
        let counts = &mut self.relays[relay].counts;
        counts.received += batch.updates.len() as u64;
        counts.dropped += refused;
        counts.duplicates += accepted.duplicates;
        counts.published += accepted.updates.len() as u64;
        for update in accepted.updates {
            let value = update.value.map(|value| String::from_utf8(value.to_vec()).unwrap());
            self.publish(relay, session, Says::Row { seq: update.seq, key: update.key.to_string(), value });
        }
        self.relays[relay].check();
        self.mark(relay, at, accepted.end);
        // Most acknowledgements go at once, some wait for company.
        if self.healthy || self.rng.percent(80) {
            self.acknowledge(at);
        }
    }

    pub(super) fn acknowledge(&mut self, at: u64) {
        let Some(relay) = self.links.get(&at).map(|link| link.relay) else { return };
        let (now, credit) = (self.relay_now(relay), self.credit(relay));
        let ack = self.links.get_mut(&at).and_then(|link| link.session.as_mut()?.ack(now, credit));
        if let Some(ack) = ack {
            self.send_down(at, ack);
        }
    }

    /// The relay ends a connection: says what is settled, and why.
    pub(super) fn send_away(&mut self, at: u64, why: &Bytes) {
        self.acknowledge(at);
        self.send_down(at, why.clone());
        self.hang_up(at);
    }

    /// The relay's end of a connection ends: the session is free.
    pub(super) fn hang_up(&mut self, at: u64) {
        let link = self.links.get_mut(&at).unwrap();
        link.state = State::Cut;
        link.up.clear();
        let (relay, session, ended) = (link.relay, link.session_no, link.ended);
        let Some(ledger) = link.session.take().as_mut().and_then(Session::detach) else { return };
        let number = link.ledger.unwrap();
        self.relays[relay].held.remove(&session);
        if ended {
            self.publish(relay, session, Says::AccountedFor(ledger.accepted()));
        } else {
            self.relays[relay].kept.insert(session, (ledger, number));
        }
    }

    /// A last request comes in, all at once.
    pub(super) fn request_arrives(&mut self, request: Request) {
        self.summary.add("requests", 1);
        let relay = self.route;
        let limits = self.relays[relay].limits;
        let mut link = Link::new(request.session_no, relay, limits);
        let ignorant = request.offered != Some(offered(&limits));
        link.request = Some(Requested { for_good: request.for_good, ignorant });
        link.up = request.frames.into_iter().map(|frame| (self.now, frame)).collect();
        self.add_link(link);
    }

    /// Everything of a request is taken in.
    fn end_request(&mut self, at: u64) {
        self.hang_up(at);
        let link = self.links.get_mut(&at).unwrap();
        // Whatever it was answered, nobody reads it.
        link.down.clear();
        if link.ended && link.request.is_some_and(|it| it.for_good) {
            self.sessions[link.session_no].gone = false;
        }
        // Who waited for the session goes on.
        let relay = link.relay;
        for at in self.links_of(relay) {
            self.links.get_mut(&at).unwrap().wake();
        }
    }

    pub(super) fn links_of(&self, relay: usize) -> Vec<u64> {
        self.links.iter().filter(|(_, link)| link.relay == relay).map(|(at, _)| *at).collect()
    }

    /// What the relay grants and takes from now on.
    pub(super) fn offer(&mut self, relay: usize) {
        self.relays[relay].limits = Limits {
            frame_bytes: self.rng.pick(&[4096, 16_384, 512 << 10]),
            batch_updates: self.rng.pick(&[1, 7, self.room as usize - 1]),
            value_bytes: self.rng.pick(&[2_000, 256 << 10]),
            heartbeat_interval_ms: 20_000,
        };
        self.relays[relay].credit = self.rng.pick(&[1, 5, 60, limits::CREDIT]);
    }

    /// The relay forgets whom it has no connection to, as long as there is room to say so.
    pub(super) fn forget(&mut self, relay: usize) {
        while self.has_room(relay, 1) && self.forget_one(relay) {}
    }

    pub(super) fn forget_one(&mut self, relay: usize) -> bool {
        let Some((session, (ledger, _))) = self.relays[relay].kept.pop_first() else { return false };
        self.summary.add("forgotten", 1);
        self.publish(relay, session, Says::AccountedFor(ledger.accepted()));
        true
    }
}

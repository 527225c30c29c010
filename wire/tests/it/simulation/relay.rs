//! A relay's shell: who has which session, and what goes to the bus.

use super::books::{Message, Place, Says};
use super::bus::Job;
use super::link::{Link, Request, State};
use super::world::{NEVER, World};
use crate::support::id_seed;
use atomwire_wire::proto::{self, GoAwayReason, client_frame::Frame};
use atomwire_wire::relay::{self, Accepted, Ledger, Limits, Session, Violation, go_away};
use atomwire_wire::{Micros, limits};
use bytes::Bytes;
use prost::Message as _;
use std::collections::{BTreeMap, VecDeque};

/// `received = published + dropped + duplicate`, and what is on the bus's queue.
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
    pub(super) bus: VecDeque<Job>,
    /// Published, and not with the consumer yet.
    pub(super) tail: VecDeque<(Micros, Message)>,
    pub(super) counts: Counts,
}

impl Relay {
    pub(super) fn new() -> Self {
        Self {
            limits: Limits::default(),
            credit: 0,
            ahead: 0,
            kept: BTreeMap::new(),
            held: BTreeMap::new(),
            bus: VecDeque::new(),
            tail: VecDeque::new(),
            counts: Counts::default(),
        }
    }

    /// When the bus is next done with something, or the consumer hears of something.
    pub(super) fn next(&self) -> Micros {
        let job = self.bus.front().map_or(NEVER, |job| job.due);
        job.min(self.tail.front().map_or(NEVER, |(due, _)| *due))
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

    pub(super) fn arrive_at_relay(&mut self, at: u64) {
        let link = self.links.get_mut(&at).unwrap();
        let (_, frame) = link.up.pop_front().unwrap();
        let Some(mut session) = link.session.take() else { return };
        let (relay, ignorant) = (link.relay, link.ignorant);
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
        let (session, relay, request) = (link.session_no, link.relay, link.request);
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
        let credit = if link.request { limits::CREDIT } else { self.relays[relay].credit };
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
        let browser = accepted.lost.iter().map(|it| (it.first, it.last, Place::Browser));
        let relays = accepted.rejected.iter().map(|it| (it.first, it.last, Place::Relay));
        let notes = browser.chain(relays).map(|(first, last, place)| Says::Lost { first, last, place });
        let due = self.now + self.rng.below(self.bus_delay + 1);
        let relay = &mut self.relays[relay];
        relay.counts.received += batch.updates.len() as u64;
        relay.counts.dropped += refused;
        relay.counts.duplicates += accepted.duplicates;
        let due = relay.bus.back().map_or(due, |last| due.max(last.due));
        let (notes, Accepted { end, updates, .. }) = (notes.collect(), accepted);
        relay.bus.push_back(Job { due, link: at, session, ledger, end, notes, updates });
        relay.check();
    }

    pub(super) fn acknowledge(&mut self, at: u64) {
        let Some(link) = self.links.get(&at) else { return };
        let now = self.relay_now(link.relay);
        let credit = self.relays[link.relay].credit;
        let ack = self.links.get_mut(&at).and_then(|link| link.session.as_mut()?.ack(now, credit));
        if let Some(ack) = ack {
            self.send_down(at, ack);
        }
    }

    /// The relay ends a connection: settles what it brought, says so, and why.
    pub(super) fn send_away(&mut self, at: u64, why: &Bytes) {
        self.settle_all(at);
        self.acknowledge(at);
        self.send_down(at, why.clone());
        self.hang_up(at);
    }

    pub(super) fn settle_all(&mut self, at: u64) {
        let relay = self.links[&at].relay;
        while self.relays[relay].bus.iter().any(|job| job.link == at) {
            self.settle_job(relay);
        }
    }

    /// The relay's end of a connection ends: once the bus has what it brought, the session is free.
    pub(super) fn hang_up(&mut self, at: u64) {
        self.settle_all(at);
        let link = self.links.get_mut(&at).unwrap();
        link.state = State::Cut;
        link.up.clear();
        let (relay, session, ended) = (link.relay, link.session_no, link.ended);
        let Some(ledger) = link.session.take().as_mut().and_then(Session::detach) else { return };
        let number = link.ledger.unwrap();
        self.relays[relay].held.remove(&session);
        if ended {
            self.publish(relay, session, Says::AccountedFor(ledger.settled()));
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
        link.request = true;
        link.ignorant = request.offered != Some(offered(&limits));
        link.up = request.frames.into_iter().map(|frame| (self.now, frame)).collect();
        let at = self.add_link(link);
        while !self.links[&at].up.is_empty() {
            self.arrive_at_relay(at);
        }
        let ended = self.links[&at].ended;
        self.hang_up(at);
        // Whatever it was answered, nobody reads it.
        self.links.get_mut(&at).unwrap().down.clear();
        if request.for_good && ended {
            self.sessions[request.session_no].gone = false;
        }
    }

    pub(super) fn links_of(&self, relay: usize) -> Vec<u64> {
        self.links.iter().filter(|(_, link)| link.relay == relay).map(|(at, _)| *at).collect()
    }

    /// What the relay grants and takes from now on.
    pub(super) fn offer(&mut self, relay: usize) {
        self.relays[relay].limits = Limits {
            frame_bytes: self.rng.pick(&[4096, 16_384, 512 << 10]),
            batch_updates: self.rng.pick(&[1, 7, 1024]),
            value_bytes: self.rng.pick(&[2_000, 256 << 10]),
            heartbeat_interval_ms: 20_000,
        };
        self.relays[relay].credit = self.rng.pick(&[1, 5, 60, limits::CREDIT]);
    }

    /// The relay forgets whom it has no connection to.
    pub(super) fn forget(&mut self, relay: usize) {
        for (session, (ledger, _)) in std::mem::take(&mut self.relays[relay].kept) {
            self.summary.add("forgotten", 1);
            self.publish(relay, session, Says::AccountedFor(ledger.settled()));
        }
    }
}

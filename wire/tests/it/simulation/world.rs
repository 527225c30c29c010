//! The world: a browser's shell, a relay's shell, and what is between them.

use super::account::{Account, Verdict};
use super::rng::Rng;
use crate::support::{NOW, config};
use atomwire_wire::emitter::{Config, Emitter, Event, Key, NewUpdate, Step};
use atomwire_wire::proto::{self, GoAwayReason, client_frame::Frame};
use atomwire_wire::relay::{self, Ledger, Limits, Session, go_away};
use atomwire_wire::{LostReason, Micros};
use bytes::Bytes;
use prost::Message;
use std::collections::VecDeque;

const MILLISECOND: Micros = 1_000;
const SECOND: Micros = 1_000_000;
const NEVER: Micros = Micros::MAX;

/// One connection: what is under way in both directions, and the relay's end of it.
struct Link {
    up: VecDeque<(Micros, Bytes)>,
    down: VecDeque<(Micros, Bytes)>,
    /// All that the browser sent, received or not.
    sent: Vec<Bytes>,
    /// What is sent now never arrives; an end notices when it has read what was under way.
    cut: bool,
    /// What is sent now never arrives, and nobody notices.
    silent: bool,
    /// The relay's end, until it has noticed the end of the connection.
    session: Option<Session>,
    /// Which ledger answers, once one does.
    ledger: usize,
}

impl Link {
    fn new(limits: Limits) -> Self {
        Self {
            up: VecDeque::new(),
            down: VecDeque::new(),
            sent: Vec::new(),
            cut: false,
            silent: false,
            session: Some(Session::new(limits)),
            ledger: 0,
        }
    }

    fn send(queue: &mut VecDeque<(Micros, Bytes)>, at: Micros, frame: Bytes) {
        // What was sent later does not arrive earlier.
        let at = queue.back().map_or(at, |(last, _)| at.max(*last));
        queue.push_back((at, frame));
    }
}

/// A batch on its way to the subscribers.
struct Job {
    link: usize,
    due: Micros,
    end: u64,
    updates: Vec<u64>,
}

pub(super) struct World {
    rng: Rng,
    tells: bool,
    /// The relay's clock.
    now: Micros,
    /// How far the browser's is ahead of it.
    ahead: Micros,

    emitter: Emitter,
    /// The browser's connection, by its place in `links`.
    connected: Option<usize>,
    retry_at: Micros,
    wake_at: Micros,

    links: Vec<Link>,
    delay: Micros,

    limits: Limits,
    /// The ledger between connections, and how many were forgotten.
    ledger: Option<Ledger>,
    ledgers: usize,
    bus: VecDeque<Job>,
    bus_delay: Micros,
    bus_drops: u64,

    /// Nothing breaks any more.
    healthy: bool,
    said_bye: Option<u64>,
    pub(super) account: Account,
}

impl World {
    pub(super) fn new(seed: u64, tells: bool) -> Self {
        let mut rng = Rng(seed);
        let config = Config {
            queue_updates: rng.pick(&[3, 30, 300]),
            queue_bytes: rng.pick(&[2_000, 20_000, 200_000]),
            ..config()
        };
        let mut world = Self {
            tells,
            now: NOW,
            ahead: rng.pick(&[0, 5 * MILLISECOND, 3_600 * SECOND]),
            emitter: Emitter::new(config),
            connected: None,
            retry_at: NOW,
            wake_at: NEVER,
            links: Vec::new(),
            delay: rng.pick(&[0, MILLISECOND, 40 * MILLISECOND, 900 * MILLISECOND]),
            limits: Limits::default(),
            ledger: None,
            ledgers: 0,
            bus: VecDeque::new(),
            bus_delay: rng.pick(&[0, MILLISECOND, 2 * SECOND]),
            bus_drops: rng.pick(&[0, 0, 10]),
            healthy: false,
            said_bye: None,
            account: Account::default(),
            rng,
        };
        world.start_relay();
        world
    }

    /// Things happen.
    pub(super) fn live(&mut self) {
        for _ in 0..self.rng.below(120) {
            match self.rng.below(100) {
                0..40 => self.write(),
                40..44 => self.lose(),
                44..48 => self.emitter.hurry(),
                48..53 => self.cut(),
                53..55 => self.fall_silent(),
                55..57 => self.restart(),
                57..59 => self.drain(),
                59..61 => self.forget(),
                _ => {}
            }
            self.pump();
            let most = self.rng.pick(&[1, 10, 100, 1_000, 10_000, 60_000]);
            let pause = self.rng.below(most) * MILLISECOND;
            self.pass(self.now + pause);
        }
    }

    /// Nothing breaks any more; the session must come to its end, with every number accounted for.
    pub(super) fn rest(&mut self) {
        self.tell("rest");
        self.healthy = true;
        self.emitter.end();
        self.pump();
        for _ in 0..3_600 {
            // An acknowledgement that was held back for company goes out.
            for link in 0..self.links.len() {
                self.acknowledge(link);
            }
            self.pass(self.now + SECOND);
            if let Some(created) = self.said_bye {
                assert_eq!(created, self.account.created());
                self.account.close();
                return;
            }
        }
        panic!("an hour of health was not enough: {:?}", self.emitter.stats());
    }

    #[expect(clippy::print_stderr, reason = "the story that a replay was asked for")]
    fn tell(&self, what: &str) {
        if self.tells {
            let Self { now, emitter, .. } = self;
            eprintln!("{:>12} µs  {what}  {:?}", now - NOW, emitter.stats());
        }
    }

    // The app.

    fn write(&mut self) {
        for _ in 0..self.rng.pick(&[1, 1, 3, 40]) {
            // Long enough that not all keys fit into the smallest frame at once.
            let key = format!("{}-{}", "atom".repeat(50), self.rng.below(30));
            let index = if self.rng.percent(80) { self.emitter.intern(&key) } else { None };
            let seq = self.account.created();
            let value = match self.rng.below(100) {
                0..5 => None,
                5..15 => Some(format!("no JSON {seq}")),
                15..20 => Some(format!("\"{}{seq}\"", "x".repeat(self.rng.below(6_000) as usize))),
                _ => Some(format!("{{\"n\":{seq}}}")),
            };
            let update = NewUpdate {
                key: index.map_or(Key::Inline(&key), Key::Index),
                start: self.now + self.ahead,
                duration: self.rng.below(1_000),
                value: value.as_deref(),
                error: None,
                parent: None,
                position: seq,
            };
            let before = self.emitter.stats();
            self.emitter.push(&update, self.now + self.ahead);
            self.account.pushed(&key, value.as_deref(), before, self.emitter.stats());
        }
        self.tell("written");
    }

    fn lose(&mut self) {
        let reason = self.rng.pick(&[LostReason::NotSerializable, LostReason::EmitterFailed]);
        let count = 1 + self.rng.below(5);
        self.emitter.lose(count, reason);
        self.account.lost(count, self.emitter.stats());
    }

    // The faults.

    /// The connection breaks; of what is under way some still arrives.
    fn cut(&mut self) {
        let Some(link) = self.connected else { return };
        let (up, down) = (self.links[link].up.len() as u64, self.links[link].down.len() as u64);
        let (up, down) = (self.rng.below(up + 1), self.rng.below(down + 1));
        self.links[link].up.truncate(up as usize);
        self.links[link].down.truncate(down as usize);
        self.links[link].cut = true;
        self.account.summary.cuts += 1;
        self.tell("cut");
    }

    fn fall_silent(&mut self) {
        let Some(link) = self.connected else { return };
        self.links[link].silent = true;
        self.account.summary.silences += 1;
        self.tell("silence");
    }

    /// The relay dies with everything that it knows; what was on the bus may have been published.
    fn restart(&mut self) {
        for job in std::mem::take(&mut self.bus) {
            if self.rng.percent(50) {
                break;
            }
            let ledger = self.links[job.link].ledger;
            job.updates.iter().for_each(|seq| self.account.settled(ledger, *seq, Verdict::Published));
        }
        for link in &mut self.links {
            link.session = None;
            link.up.clear();
            link.cut = true;
        }
        self.ledger = None;
        self.start_relay();
        self.account.summary.restarts += 1;
        self.tell("restart");
    }

    fn start_relay(&mut self) {
        self.ledgers += 1;
        self.limits = Limits {
            frame_bytes: self.rng.pick(&[4096, 16_384, 512 << 10]),
            batch_updates: self.rng.pick(&[1, 7, 1024]),
            value_bytes: self.rng.pick(&[2_000, 256 << 10]),
            credit: self.rng.pick(&[1, 5, 60, 4096]),
            heartbeat_interval_ms: 20_000,
        };
    }

    fn drain(&mut self) {
        let Some(link) = self.connected.filter(|link| self.links[*link].session.is_some()) else { return };
        self.send_down(link, go_away(GoAwayReason::Shutdown, 100, 5_000, "drain"));
        self.hang_up(link);
        self.account.summary.drains += 1;
        self.tell("drain");
    }

    /// A ledger that nobody is connected to is evicted.
    fn forget(&mut self) {
        if self.ledger.take().is_some() {
            self.ledgers += 1;
            self.tell("forgotten");
        }
    }

    // Time.

    /// Lets everything happen that is due until then.
    fn pass(&mut self, until: Micros) {
        loop {
            let links = self.links.iter().enumerate();
            let arrival = links
                .flat_map(|(at, link)| {
                    let up = link.up.front().map(|(due, _)| (*due, at, true));
                    let down = link.down.front().map(|(due, _)| (*due, at, false));
                    [up, down]
                })
                .flatten()
                .min();
            let arrives = arrival.map_or(NEVER, |(due, ..)| due);
            let published = self.bus.front().map_or(NEVER, |job| job.due);
            let next = arrives.min(published).min(self.retry_at).min(self.wake_at);
            if next > until {
                self.now = until;
                return;
            }
            self.now = self.now.max(next);
            match arrival {
                _ if self.retry_at == next => self.connect(),
                _ if self.wake_at == next => self.pump(),
                Some((due, link, true)) if due == next => self.arrive_at_relay(link),
                Some((due, link, false)) if due == next => self.arrive_at_browser(link),
                _ => self.publish(),
            }
            self.notice_cuts();
        }
    }

    /// An end that has read everything from a broken connection sees that it is broken.
    fn notice_cuts(&mut self) {
        for link in 0..self.links.len() {
            if self.links[link].cut && self.links[link].up.is_empty() {
                self.hang_up(link);
            }
        }
        if let Some(link) =
            self.connected.filter(|link| self.links[*link].cut && self.links[*link].down.is_empty())
        {
            self.disconnect(link);
        }
    }

    fn jittered(&mut self, delay: Micros) -> Micros {
        self.now + self.rng.below(delay + 1)
    }

    // The browser's shell.

    fn connect(&mut self) {
        self.retry_at = NEVER;
        if !self.healthy && self.rng.percent(20) {
            self.tell("refused");
            return self.retry();
        }
        self.connected = Some(self.links.len());
        self.links.push(Link::new(self.limits));
        self.account.summary.connections += 1;
        let hello = self.emitter.opened(self.now + self.ahead);
        self.send_up(hello);
        self.tell("connected");
        self.pump();
    }

    fn disconnect(&mut self, link: usize) {
        self.connected = None;
        self.links[link].cut = true;
        self.links[link].down.clear();
        if !self.healthy && self.links[link].ledger == self.ledgers && self.rng.percent(30) {
            self.resend(link);
        }
        self.retry();
        self.tell("disconnected");
    }

    /// Everything once more, without asking what has arrived, as the last request of a page does.
    fn resend(&mut self, link: usize) {
        let mut again = Link::new(self.limits);
        again.up = self.links[link].sent.iter().map(|frame| (self.now, frame.clone())).collect();
        let at = self.links.len();
        self.links.push(again);
        while !self.links[at].up.is_empty() {
            self.arrive_at_relay(at);
        }
        self.hang_up(at);
        self.tell("resent");
    }

    fn retry(&mut self) {
        let wait = self.emitter.closed(self.now + self.ahead, self.rng.fraction());
        self.retry_at = self.now + wait.expect("nobody sent this session away for good");
        self.wake_at = NEVER;
    }

    /// Does what the emitter wants done.
    fn pump(&mut self) {
        self.wake_at = NEVER;
        for _ in 0..10_000 {
            let Some(link) = self.connected else { return };
            match self.emitter.step(self.now + self.ahead) {
                Step::Send(frame) => {
                    match proto::ClientFrame::decode(&frame[..]).unwrap().frame {
                        Some(Frame::Batch(batch)) => self.account.sent(&batch, self.emitter.stats()),
                        Some(Frame::Ping(_)) => self.account.summary.pings += 1,
                        _ => {}
                    }
                    self.send_up(frame);
                }
                Step::Close if self.said_bye.is_none() => return self.disconnect(link),
                Step::Close => return self.connected = None,
                Step::Wait(at) => return self.wake_at = at.map_or(NEVER, |at| at - self.ahead),
            }
        }
        panic!("the emitter never rests");
    }

    fn send_up(&mut self, frame: Vec<u8>) {
        let at = self.jittered(self.delay);
        let link = &mut self.links[self.connected.unwrap()];
        let frame = Bytes::from(frame);
        link.sent.push(frame.clone());
        if !link.cut && !link.silent {
            Link::send(&mut link.up, at, frame);
        }
    }

    fn arrive_at_browser(&mut self, link: usize) {
        let (_, frame) = self.links[link].down.pop_front().unwrap();
        if self.connected != Some(link) {
            return;
        }
        let before = self.emitter.stats();
        let event = self.emitter.receive(&frame, self.now + self.ahead).unwrap();
        self.account.heard(self.links[link].ledger, before, self.emitter.stats());
        if let Some(offset) = self.emitter.clock() {
            let wrong = (offset.micros + self.ahead as i64).unsigned_abs();
            assert!(wrong <= offset.error, "the clock is wrong by {wrong}, its error says {}", offset.error);
        }
        match event {
            Event::Continue => self.pump(),
            Event::GoAway(_) => self.disconnect(link),
        }
    }

    // The relay's shell.

    fn send_down(&mut self, link: usize, frame: Bytes) {
        let at = self.jittered(self.delay);
        let link = &mut self.links[link];
        if !link.cut && !link.silent {
            Link::send(&mut link.down, at, frame);
        }
    }

    fn arrive_at_relay(&mut self, link: usize) {
        let (_, frame) = self.links[link].up.pop_front().unwrap();
        let Some(session) = &mut self.links[link].session else { return };
        match session.receive(&frame, self.now).expect("an honest client keeps to the protocol") {
            relay::Event::Hello(hello) => self.welcome(link, &hello),
            relay::Event::Batch(accepted) => {
                let Some(Frame::Batch(batch)) = proto::ClientFrame::decode(frame).unwrap().frame else {
                    panic!("a batch")
                };
                let Link { ledger, .. } = self.links[link];
                let fresh = accepted.updates.len() + accepted.rejected.len();
                let lost: u64 = accepted.lost.iter().map(|range| range.last - range.first + 1).sum();
                let next = accepted.end - fresh as u64 - lost;
                self.account.accepted(ledger, next, &batch, &accepted, self.limits.value_bytes);
                let updates = accepted.updates.iter().map(|update| update.seq).collect();
                let due = self.jittered(self.bus_delay);
                let due = self.bus.back().map_or(due, |last| due.max(last.due));
                self.bus.push_back(Job { link, due, end: accepted.end, updates });
            }
            relay::Event::Reply(pong) => self.send_down(link, pong),
            relay::Event::Bye(created) => self.said_bye = Some(created),
            relay::Event::Spans(_) => panic!("nobody sent spans"),
        }
    }

    fn welcome(&mut self, link: usize, hello: &relay::Hello) {
        // Only one connection has the ledger: another that the relay still thinks alive ends now.
        for other in (0..self.links.len()).filter(|other| *other != link) {
            self.hang_up(other);
        }
        let first = hello.first_unacked_seq;
        let ledger = match self.ledger.take() {
            Some(mut ledger) => {
                ledger.resume(&hello.id_seed, first).unwrap();
                ledger
            }
            None => Ledger::new(hello.id_seed, first),
        };
        self.links[link].ledger = self.ledgers;
        let session = self.links[link].session.as_mut().unwrap();
        let welcome = session.attach(ledger, self.now);
        self.send_down(link, welcome);
    }

    /// The relay's end of a connection ends: once the bus has what it brought, the ledger is free.
    fn hang_up(&mut self, link: usize) {
        while self.bus.iter().any(|job| job.link == link) {
            self.publish();
        }
        let link = &mut self.links[link];
        link.cut = true;
        link.up.clear();
        if let Some(ledger) = link.session.take().and_then(|mut session| session.detach()) {
            self.ledger = Some(ledger);
        }
    }

    /// The bus takes the oldest batch.
    fn publish(&mut self) {
        let Some(job) = self.bus.pop_front() else { return };
        let ledger = self.links[job.link].ledger;
        let mut dropped = Vec::new();
        for seq in job.updates {
            let verdict =
                if self.rng.percent(self.bus_drops) { Verdict::Refused } else { Verdict::Published };
            self.account.settled(ledger, seq, verdict);
            if verdict == Verdict::Refused {
                dropped.push(seq);
            }
        }
        if let Some(session) = &mut self.links[job.link].session {
            session.settled(job.end, &dropped);
        }
        // Most acknowledgements go at once, some wait for company.
        if self.healthy || self.rng.percent(80) {
            self.acknowledge(job.link);
        }
    }

    fn acknowledge(&mut self, link: usize) {
        let ack = self.links[link].session.as_mut().and_then(|session| session.ack(self.now));
        if let Some(ack) = ack {
            self.send_down(link, ack);
        }
    }
}

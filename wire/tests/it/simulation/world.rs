//! The world: pages, two relays behind a load balancer, what is between them, and who reads their buses.

use super::books::Books;
use super::browser::Page;
use super::bus::Rules;
use super::link::{Link, Request, State};
use super::relay::Relay;
use super::rng::Rng;
use super::script::{Event, Script, What};
use super::summary::Summary;
use super::truth::Truth;
use crate::support::NOW;
use atomwire_wire::Micros;
use atomwire_wire::clock::Offset;
use atomwire_wire::proto;
use std::collections::BTreeMap;

pub(super) const MILLISECOND: Micros = 1_000;
pub(super) const SECOND: Micros = 1_000_000;
pub(super) const NEVER: Micros = Micros::MAX;

/// Streams of the seed that no event has.
const SETUP: u64 = u64::MAX - 1;
const REST: u64 = u64::MAX - 2;
const ROOM: u64 = u64::MAX - 3;

pub(super) struct World {
    seed: u64,
    /// The stream of what is happening.
    pub(super) rng: Rng,
    tells: bool,
    pub(super) now: Micros,
    /// How far the client's clock is ahead.
    pub(super) ahead: i64,
    /// Nothing breaks any more.
    pub(super) healthy: bool,

    pub(super) pages: Vec<Page>,
    pub(super) sessions: Vec<Truth>,
    pub(super) requests: Vec<Request>,

    /// Connections, in the order in which they were opened.
    pub(super) links: BTreeMap<u64, Link>,
    opened: u64,
    delay: Micros,
    pub(super) outage_until: Micros,

    pub(super) relays: [Relay; 2],
    /// Which of them the load balancer gives connections to.
    pub(super) route: usize,
    /// Ledgers that there ever were.
    pub(super) ledgers: u64,
    /// How long who reads a bus may take until the next look.
    pub(super) pace: Micros,
    pub(super) rules: Rules,
    /// Messages that a relay's ring holds.
    pub(super) room: u64,
    /// Messages that there ever were.
    pub(super) published: u64,
    /// Those that went down with their relay.
    pub(super) vanished: u64,
    /// When a relay's clock was last set.
    relay_set_at: Micros,

    pub(super) books: Books,
    pub(super) summary: Summary,
}

/// What happens next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Turn {
    Connect(usize),
    Wake(usize),
    ToRelay(u64),
    ToBrowser(u64),
    Request(usize),
    Readers(usize),
}

impl World {
    /// Lives through `script`, comes to rest and closes the books; panics where an invariant breaks.
    pub(super) fn live(script: &Script, tells: bool) -> Summary {
        let mut world = Self::new(script.seed, tells);
        for event in &script.events {
            world.rng = Rng::of(script.seed, event.stream);
            world.happen(*event);
        }
        world.rest();
        world.summary
    }

    fn new(seed: u64, tells: bool) -> Self {
        let mut rng = Rng::of(seed, SETUP);
        let room = Rng::of(seed, ROOM).pick(&[16, 64, 1024]);
        let mut world = Self {
            seed,
            tells,
            now: NOW,
            ahead: rng.pick(&[0, 5_000, 3_600_000_000]),
            healthy: false,
            pages: Vec::new(),
            sessions: Vec::new(),
            requests: Vec::new(),
            links: BTreeMap::new(),
            opened: 0,
            delay: rng.pick(&[0, 1, 40, 900]) * MILLISECOND,
            outage_until: 0,
            relays: [Relay::new(room), Relay::new(room)],
            route: 0,
            ledgers: 0,
            pace: rng.pick(&[0, 20, 2_000]) * MILLISECOND,
            rules: rng.pick(&[Rules::Optional, Rules::Required, Rules::Delivered]),
            room,
            published: 0,
            vanished: 0,
            relay_set_at: NOW,
            books: Books::default(),
            summary: Summary::default(),
            rng,
        };
        world.offer(0);
        world.offer(1);
        world.open_page();
        world
    }

    fn happen(&mut self, event: Event) {
        let Event { what, number, .. } = event;
        let route = self.route;
        match what {
            What::Write => self.write(number),
            What::Lose => self.lose(number),
            What::Hurry => self.hurry(),
            What::Cut => {
                let page = self.rng.below(self.pages.len() as u64);
                self.cut(page as usize);
            }
            What::Silence => self.of_some_link("silences", |link, _| link.state = State::Silent),
            What::Stall => {
                let until = self.now + number * MILLISECOND;
                self.of_some_link("stalls", |link, _| link.stall(until));
            }
            What::Outage => self.outage_until = self.now + number * MILLISECOND,
            What::Network => self.delay = number * MILLISECOND,
            What::Switch => {
                self.summary.add("switches", 1);
                self.route = 1 - route;
            }
            What::Crash => {
                self.summary.add("crashes", 1);
                self.crash(route);
            }
            What::Drain => {
                self.summary.add("drains", 1);
                self.drain(route);
            }
            What::Forget => (0..2).for_each(|relay| self.forget(relay)),
            What::Limits => self.offer(route),
            What::Pace => self.pace = number * MILLISECOND,
            What::ConsumerHalt => self.halt(route),
            What::ConsumerKill => self.kill_consumer(route),
            What::ConsumerReturn => (0..2).for_each(|relay| self.bring_consumer_back(relay)),
            What::Hide => self.hide(),
            What::Freeze => self.freeze(),
            What::Return => self.come_back(),
            What::Leave => self.leave(),
            What::Journal => self.write_down(),
            What::Kill => self.kill(),
            What::ClientClock => self.set_client_clock(number),
            What::RelayClock => {
                self.relays[route].ahead += self.either_way(number);
                self.relay_set_at = self.now;
            }
            What::Pause => self.pass(self.now + number),
        }
        self.notice_cuts();
        (0..self.pages.len()).for_each(|page| self.pump(page));
        if what != What::Pause {
            self.tell(&event.to_string());
        }
    }

    /// Nothing breaks any more; every session must come to its end, with every number accounted for.
    fn rest(&mut self) {
        self.rng = Rng::of(self.seed, REST);
        self.healthy = true;
        (0..2).for_each(|relay| self.bring_consumer_back(relay));
        self.come_back();
        self.pages.iter_mut().for_each(Page::end);
        (0..self.pages.len()).for_each(|page| self.pump(page));
        self.tell("rest");
        for _ in 0..3_600 {
            let requested = !self.requests.is_empty()
                || self.links.values().any(|it| it.request.is_some() && !it.up.is_empty());
            if self.pages.iter().all(|page| page.over) && !requested {
                return self.close();
            }
            // An acknowledgement that was held back for company goes out.
            let links: Vec<_> = self.links.keys().copied().collect();
            for link in links {
                self.acknowledge(link);
            }
            self.pass(self.now + SECOND);
        }
        let open: Vec<_> = self.pages.iter().map(|page| page.emitter.stats()).collect();
        panic!("an hour of health was not enough: {open:?}");
    }

    fn close(&mut self) {
        for relay in 0..2 {
            self.drain_and_forget(relay);
        }
        for (session, truth) in self.sessions.iter().enumerate() {
            self.summary.add("missed for good", self.books.close(session, truth));
        }
        self.books.balance(self.published, self.vanished);
    }

    fn drain_and_forget(&mut self, relay: usize) {
        self.links_of(relay).into_iter().for_each(|at| self.hang_up(at));
        // Nobody is overtaken by what is said last.
        while self.consume(relay) && self.forget_one(relay) {}
        self.drain(relay);
    }

    #[expect(clippy::print_stderr, reason = "the story that a replay was asked for")]
    fn tell(&self, what: &str) {
        if self.tells {
            let page = self.pages.last().unwrap();
            eprintln!("{:>12} µs  {what:<24} {:?}", self.now - NOW, page.emitter.stats());
        }
    }

    // The faults.

    pub(super) fn cut(&mut self, page: usize) {
        let Some(link) = self.pages[page].connected else { return };
        let link = self.links.get_mut(&link).unwrap();
        let (up, down) = (link.up.len() as u64, link.down.len() as u64);
        link.up.truncate(self.rng.below(up + 1) as usize);
        link.down.truncate(self.rng.below(down + 1) as usize);
        link.state = State::Cut;
        self.summary.add("cuts", 1);
    }

    fn of_some_link(&mut self, name: &'static str, fault: impl FnOnce(&mut Link, &mut Rng)) {
        let page = self.rng.below(self.pages.len() as u64) as usize;
        if let Some(link) = self.pages[page].connected {
            fault(self.links.get_mut(&link).unwrap(), &mut self.rng);
            self.summary.add(name, 1);
        }
    }

    fn either_way(&mut self, seconds: u64) -> i64 {
        (seconds * SECOND) as i64 * self.rng.pick(&[1, -1])
    }

    /// A shell that sees its clock jump opens its connections anew.
    fn set_client_clock(&mut self, seconds: u64) {
        self.ahead += self.either_way(seconds);
        for page in 0..self.pages.len() {
            self.pages[page].emitter.clock_jumped();
            self.pages[page].emitter.hurry();
            if self.pages[page].connected.is_some() {
                self.disconnect(page);
            }
        }
    }

    /// What the emitter learned is true after an exchange that no jump fell into.
    pub(super) fn check_clock(&self, relay: usize, times: Option<proto::Times>, offset: Option<Offset>) {
        let ahead = self.relays[relay].ahead;
        let [since, now] = [self.relay_set_at, self.now].map(|at| at.strict_add_signed(ahead));
        let (Some(times), Some(offset)) = (times, offset) else { return };
        if (since..=now).contains(&times.received_at_us) {
            let wrong = (offset.micros + self.ahead - ahead).unsigned_abs();
            assert!(wrong <= offset.error, "the clock is wrong by {wrong}, its error says {}", offset.error);
        }
    }

    // Time.

    pub(super) fn jittered(&mut self) -> Micros {
        self.now + self.rng.below(self.delay + 1)
    }

    pub(super) fn add_link(&mut self, link: Link) -> u64 {
        self.opened += 1;
        self.links.insert(self.opened, link);
        self.opened
    }

    /// Lets everything happen that is due until then.
    fn pass(&mut self, until: Micros) {
        while let Some((due, turn)) = self.next_turn().filter(|(due, _)| *due <= until) {
            self.now = self.now.max(due);
            match turn {
                Turn::Connect(page) => self.connect(page),
                Turn::Wake(page) => self.pump(page),
                Turn::ToRelay(link) => self.arrive_at_relay(link),
                Turn::ToBrowser(link) => self.arrive_at_browser(link),
                Turn::Request(at) => {
                    let request = self.requests.swap_remove(at);
                    self.request_arrives(request);
                }
                Turn::Readers(relay) => self.readers_turn(relay),
            }
            self.notice_cuts();
        }
        self.now = until;
    }

    fn next_turn(&self) -> Option<(Micros, Turn)> {
        let pages = self
            .pages
            .iter()
            .enumerate()
            .flat_map(|(at, page)| [(page.retry_at, Turn::Connect(at)), (page.wake_at, Turn::Wake(at))]);
        let links = self.links.iter().filter_map(|(at, link)| {
            link.next().map(|(due, up)| (due, if up { Turn::ToRelay(*at) } else { Turn::ToBrowser(*at) }))
        });
        let requests = self.requests.iter().enumerate().map(|(at, it)| (it.due, Turn::Request(at)));
        let relays = self.relays.iter().enumerate().map(|(at, it)| (it.next(), Turn::Readers(at)));
        pages.chain(links).chain(requests).chain(relays).min().filter(|(due, _)| *due != NEVER)
    }

    /// An end that has read everything from a broken connection sees that it is broken.
    fn notice_cuts(&mut self) {
        let broken: Vec<_> =
            self.links.iter().filter(|(_, link)| link.state == State::Cut).map(|(at, _)| *at).collect();
        for at in broken {
            let link = &self.links[&at];
            if link.session.is_some() && link.up.is_empty() {
                self.hang_up(at);
            }
            let page = self.pages.iter().position(|page| page.connected == Some(at));
            if self.links[&at].down.is_empty() {
                match page {
                    Some(page) => self.disconnect(page),
                    None if self.links[&at].session.is_none() => drop(self.links.remove(&at)),
                    None => {}
                }
            }
        }
    }
}

//! A page's shell: socket, timers and page life around the emitter.

use super::bus::Rules;
use super::link::{Link, State};
use super::truth::{Made, Truth};
use super::world::{NEVER, World};
use crate::support::{config, id_seed};
use atomwire_wire::emitter::{Config, Emitter, Event, Key, NewUpdate, Step, WhenFull};
use atomwire_wire::proto::{self, client_frame::Frame, server_frame};
use atomwire_wire::{LostReason, Micros};
use bytes::Bytes;
use prost::Message;

/// A session's shell. The last of a world's pages is the one that people see; those before it are earlier
/// ones that were restored.
pub(super) struct Page {
    pub(super) session_no: usize,
    pub(super) emitter: Emitter,
    pub(super) config: Config,
    pub(super) connected: Option<u64>,
    pub(super) retry_at: Micros,
    pub(super) wake_at: Micros,
    /// In the back/forward cache.
    pub(super) frozen: bool,
    /// It ends once everything is settled.
    ending: bool,
    pub(super) over: bool,
    /// What outlives the page: frames, and the keys that they need.
    pub(super) journal: Vec<Bytes>,
    pub(super) keys: Vec<Box<str>>,
    /// What the relay last heard from takes, and as one frame.
    pub(super) offered: Option<proto::Limits>,
    pub(super) frame_bytes: usize,
}

impl World {
    pub(super) fn client_now(&self) -> Micros {
        self.now.strict_add_signed(self.ahead)
    }

    /// A new page, with a session of its own.
    pub(super) fn open_page(&mut self) {
        let session_no = self.sessions.len();
        let config = Config {
            id_seed: id_seed(session_no),
            queue_updates: self.rng.pick(&[3, 30, 300]),
            queue_bytes: self.rng.pick(&[2_000, 20_000, 200_000]),
            when_full: self.rng.pick(&[WhenFull::DropNewest, WhenFull::DropOldest]),
            ..config()
        };
        self.sessions.push(Truth::new(&config));
        self.pages.push(Page::new(session_no, Emitter::new(config.clone()), config, self.now));
    }

    pub(super) fn page(&mut self) -> &mut Page {
        self.pages.last_mut().unwrap()
    }

    pub(super) fn front(&self) -> usize {
        self.pages.len() - 1
    }

    // The app.

    pub(super) fn write(&mut self, count: u64) {
        let now = self.client_now();
        for _ in 0..count {
            // Long enough that not all keys fit into the smallest frame at once.
            let key = format!("{}-{}", "atom".repeat(50), self.rng.below(30));
            let interned = self.rng.percent(80);
            let page = self.pages.last_mut().unwrap();
            if page.frozen {
                return;
            }
            let index = if interned { page.emitter.intern(&key) } else { None };
            let truth = &mut self.sessions[page.session_no];
            let seq = truth.created();
            let value = match self.rng.below(100) {
                0..5 => None,
                5..15 => Some(format!("no JSON {seq}")),
                15..20 => Some(format!("\"{}{seq}\"", "x".repeat(self.rng.below(6_000) as usize))),
                _ => Some(format!("{{\"n\":{seq}}}")),
            };
            let update = NewUpdate {
                key: index.map_or(Key::Inline(&key), Key::Index),
                start: now,
                duration: self.rng.below(1_000),
                value: value.as_deref(),
                altered: false,
                error: None,
                parent: None,
                position: seq,
            };
            let encoded = proto::Update {
                key_index: index.unwrap_or(0),
                key: if index.is_some() { String::new() } else { key.clone() },
                // Counted from 2026-01-01T00:00:00Z.
                start_offset_us: now as i64 - 1_767_225_600_000_000,
                duration_us: update.duration,
                value: value.clone().map(Into::into),
                omitted: i32::from(value.is_none()),
                ..Default::default()
            };
            page.emitter.push(&update, now);
            truth.pushed(&Made { key: &key, value: value.as_deref(), encoded: &encoded }, &mut self.summary);
            truth.balance(page.emitter.stats());
        }
    }

    pub(super) fn lose(&mut self, count: u64) {
        let reason = self.rng.pick(&[LostReason::NotSerializable, LostReason::EmitterFailed]);
        let page = self.pages.last_mut().unwrap();
        page.emitter.lose(count, reason);
        self.sessions[page.session_no].lost(count, reason);
    }

    pub(super) fn hurry(&mut self) {
        self.page().emitter.hurry();
    }

    // The socket.

    pub(super) fn connect(&mut self, at: usize) {
        self.pages[at].retry_at = NEVER;
        if self.now < self.outage_until || (!self.healthy && self.rng.percent(10)) {
            self.summary.add("refused connections", 1);
            return self.retry(at);
        }
        let relay = self.route;
        let session_no = self.pages[at].session_no;
        let link = self.add_link(Link::new(session_no, relay, self.relays[relay].limits));
        self.summary.add("connections", 1);
        let now = self.client_now();
        let page = &mut self.pages[at];
        page.connected = Some(link);
        let hello = page.emitter.opened(now);
        self.send_up(link, hello);
        self.pump(at);
    }

    /// The page leaves its socket, or notices that it is gone.
    pub(super) fn disconnect(&mut self, at: usize) {
        if let Some(link) = self.pages[at].connected.take() {
            let link = self.links.get_mut(&link).unwrap();
            link.state = State::Cut;
            link.down.clear();
        }
        self.retry(at);
    }

    fn retry(&mut self, at: usize) {
        let (now, random) = (self.client_now(), self.rng.fraction());
        let page = &mut self.pages[at];
        page.wake_at = NEVER;
        let wait = page.emitter.closed(now, random);
        let wait = wait.expect("nobody sent this session away for good");
        page.over = page.ending && page.emitter.all_settled();
        page.retry_at = if page.over { NEVER } else { self.now + wait };
    }

    /// Does what the emitter wants done.
    pub(super) fn pump(&mut self, at: usize) {
        self.pages[at].wake_at = NEVER;
        for _ in 0..10_000 {
            let now = self.client_now();
            let page = &mut self.pages[at];
            let Some(link) = page.connected else { return };
            match page.emitter.step(now) {
                Step::Send(frame) => {
                    assert!(frame.len() <= page.frame_bytes, "{} bytes in a frame", frame.len());
                    match proto::ClientFrame::decode(&frame[..]).unwrap().frame {
                        Some(Frame::Batch(batch)) => {
                            let truth = &mut self.sessions[page.session_no];
                            truth.sent(&batch, page.frame_bytes, &mut self.summary);
                            truth.balance(page.emitter.stats());
                        }
                        Some(Frame::Ping(_)) => self.summary.add("pings", 1),
                        _ => {}
                    }
                    self.send_up(link, frame);
                }
                Step::Close => return self.disconnect(at),
                Step::Wait(until) => {
                    let until = until.map_or(NEVER, |until| until.saturating_add_signed(-self.ahead));
                    return page.wake_at = until.max(self.now);
                }
            }
        }
        panic!("the emitter never rests");
    }

    fn send_up(&mut self, link: u64, frame: Vec<u8>) {
        let at = self.jittered();
        self.links.get_mut(&link).unwrap().send(true, at, frame.into());
    }

    pub(super) fn arrive_at_browser(&mut self, at: u64) {
        let (_, frame) = self.links.get_mut(&at).unwrap().down.pop_front().unwrap();
        let Some(page) = self.pages.iter().position(|page| page.connected == Some(at)) else { return };
        let now = self.client_now();
        let Page { emitter, session_no, offered, frame_bytes, .. } = &mut self.pages[page];
        let (settled, clock) = (emitter.settled(), emitter.clock());
        let event = emitter.receive(&frame, now).unwrap();
        let truth = &mut self.sessions[*session_no];
        let ledger = self.links[&at].ledger;
        let mut times = None;
        match proto::ServerFrame::decode(&frame[..]).unwrap().frame {
            Some(server_frame::Frame::Welcome(it)) => {
                let limits = it.limits.unwrap();
                *offered = Some(limits);
                *frame_bytes = limits.frame_bytes as usize;
                truth.value_bytes = limits.value_bytes as usize;
                if truth.restored && it.next_seq > truth.kept {
                    self.summary.add("known beyond what was kept", 1);
                }
                self.links.get_mut(&at).unwrap().answer(it.next_seq, it.credit);
                truth.heard(ledger.unwrap(), it.next_seq, &it.rejected, &mut self.summary);
                times = it.times;
            }
            Some(server_frame::Frame::Ack(it)) => {
                self.links.get_mut(&at).unwrap().answer(it.next_seq, it.credit);
                truth.heard(ledger.unwrap(), it.next_seq, &it.rejected, &mut self.summary);
                // It may answer no batch.
                times = it.times.filter(|_| clock != emitter.clock());
            }
            Some(server_frame::Frame::Pong(it)) => times = it.times,
            _ => {}
        }
        truth.balance(emitter.stats());
        let (offset, session_no) = (emitter.clock(), *session_no);
        self.check_confirmed(session_no, ledger, settled..self.pages[page].emitter.settled());
        self.check_clock(self.links[&at].relay, times, offset);
        match event {
            Event::Continue => self.pump(page),
            Event::GoAway(_) => self.disconnect(page),
        }
    }
}

impl World {
    /// What a client hears is settled is in the books, where that is what it means: whatever it is, or the row if it
    /// was published.
    fn check_confirmed(&self, session: usize, ledger: Option<u64>, settled: std::ops::Range<u64>) {
        if self.rules != Rules::Delivered {
            return;
        }
        for seq in settled {
            let published = self.sessions[session].is_published_only(ledger, seq);
            let known = if published { self.books.have(session, seq) } else { self.books.know(session, seq) };
            assert!(known, "update {seq} is acknowledged and not in the books");
        }
    }
}

impl Page {
    pub(super) fn new(session_no: usize, emitter: Emitter, config: Config, now: Micros) -> Self {
        Self {
            session_no,
            emitter,
            config,
            connected: None,
            retry_at: now,
            wake_at: NEVER,
            frozen: false,
            ending: false,
            over: false,
            journal: Vec::new(),
            keys: Vec::new(),
            offered: None,
            frame_bytes: atomwire_wire::limits::FRAME_BYTES,
        }
    }

    /// It ends once everything is settled.
    pub(super) fn end(&mut self) {
        self.ending = true;
        self.emitter.end();
    }
}

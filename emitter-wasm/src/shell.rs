//! Drives the session machine: one function takes every event, one timer serves every wait.

use crate::clock::Clock;
use crate::page::Page;
use crate::{Host, hex};
use atomwire_wire::emitter::{Emitter, Event as Heard, GATHER, Key, NewUpdate, Stats, Step};
use atomwire_wire::{LostReason, Micros, ParentContext, SUBPROTOCOL};
use js_sys::{ArrayBuffer, Math, Uint8Array};
use std::cell::RefCell;
use std::rc::{Rc, Weak};
use wasm_bindgen::prelude::*;
use web_sys::{BinaryType, Event, MessageEvent, PageTransitionEvent, WebSocket};

/// Bytes left in the browser's own send buffer above which nothing is added to it: a second of a slow
/// 2 Mbit/s uplink. What waits here instead can still be counted.
const BUFFERED_BYTES: u32 = 256 * 1024;
/// How often that buffer is looked at while it is full; the browser has no event for it.
const BUFFERED_POLL: Micros = 100_000;
/// A full buffer, and nothing heard for this long: the connection is dead.
const BUFFERED_STALL: Micros = 60_000_000;
/// How long opening a connection may take. A browser alone would wait for minutes.
const CONNECT_TIMEOUT: Micros = 20_000_000;
/// Within this time the next try comes once the network, or a person, is back: not at once, since a
/// building's network comes back for everybody.
const RETURN: f64 = 1_000_000.0;
/// A last request's body. Browsers let all requests of a page that outlive it have 64 KiB together; a little
/// is left to the app's own.
const LAST_REQUEST_BYTES: usize = 60 * 1024;

const SOCKET_EVENTS: [&str; 3] = ["open", "message", "close"];

/// One atom write as it crosses from JavaScript.
pub(crate) struct Record {
    pub(crate) key_index: Option<u32>,
    pub(crate) key: String,
    pub(crate) position: u64,
    pub(crate) start: f64,
    pub(crate) duration: f64,
    pub(crate) value: Option<String>,
    pub(crate) error: Option<(String, String)>,
    pub(crate) above: Option<ParentContext>,
    /// Positions of the trace's root and of the parent.
    pub(crate) local: Option<(u64, u64)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Connecting,
    /// The socket is open; `welcomed` once the relay has said anything.
    Open {
        welcomed: bool,
    },
    /// Until the timer, or offline until the network returns. Its return, and a person's, shorten it unless
    /// the relay asked for it.
    Waiting {
        asked: bool,
    },
    /// The page is in the back/forward cache, or gone.
    Away,
    /// The browser has stopped the page, which may stay in memory.
    Frozen,
    /// For ever: later updates are lost under this reason.
    Over(LostReason),
}

/// The machine and everything that it must not know.
pub(crate) struct Shell {
    machine: Emitter,
    clock: Clock,
    /// A write saw the clock jump; the next event sees to it.
    jumped: bool,
    host: Host,
    page: Page,
    url: String,
    state: State,
    socket: Option<WebSocket>,
    /// When the relay was last heard.
    heard_at: Micros,
    /// The send buffer was full when last looked at.
    congested: bool,
    ending: bool,
    /// Updates made when the last request left.
    requested: u64,
    /// Reasons of loss that were told, as in [`LostReason::ALL`].
    told: [bool; LostReason::ALL.len()],
}

impl Shell {
    /// With `ending`, `machine` is to end once everything is settled.
    pub(crate) fn start(
        host: Host,
        url: String,
        machine: Emitter,
        ending: bool,
    ) -> Result<Rc<RefCell<Self>>, JsValue> {
        let window = web_sys::window().ok_or("no window")?;
        let clock = Clock::new(window.performance().ok_or("no performance")?);
        let shell = Rc::new_cyclic(|shell: &Weak<RefCell<Self>>| {
            let shell = shell.clone();
            let handler = Closure::new(move |event: JsValue| {
                if let Some(shell) = shell.upgrade() {
                    shell.borrow_mut().handle(event.dyn_into().ok());
                }
            });
            let on_event = host.guard(handler.as_ref().unchecked_ref());
            RefCell::new(Self {
                machine,
                clock,
                jumped: false,
                url,
                page: Page::new(window, on_event, handler),
                state: State::Away,
                socket: None,
                host,
                heard_at: 0,
                congested: false,
                ending,
                requested: 0,
                told: [false; LostReason::ALL.len()],
            })
        });
        let mut started = shell.borrow_mut();
        started.page.listen();
        started.connect();
        drop(started);
        Ok(shell)
    }

    pub(crate) fn intern(&mut self, key: &str) -> Option<u32> {
        self.machine.intern(key)
    }

    pub(crate) fn record(&mut self, record: &Record) {
        if let State::Over(reason) = self.state {
            return self.lose(1, reason);
        }
        let parent = self.parent(record);
        // A machine that slept may write before any event tells us.
        let jumped = self.clock.correct_after(record.start + record.duration);
        let end = self.clock.at(record.start + record.duration);
        let update = NewUpdate {
            key: record.key_index.map_or(Key::Inline(&record.key), Key::Index),
            start: self.clock.at(record.start),
            duration: (record.duration * 1_000.0) as Micros,
            value: record.value.as_deref(),
            error: record.error.as_ref().map(|(kind, message)| (&**kind, &**message)),
            parent: parent.as_ref(),
            position: record.position,
        };
        self.machine.push(&update, end);
        self.tell_losses();
        if jumped {
            self.jumped = true;
            self.page.arm(end, end);
        }
        self.send_soon(end);
    }

    /// The frame goes in a task of its own: sending is no part of the app's write. While the send buffer is
    /// full, the timer looks after it already.
    fn send_soon(&mut self, now: Micros) {
        if matches!(self.state, State::Open { .. }) && !self.congested {
            self.page.wake_by(now + GATHER, now);
        }
    }

    /// A parent in this session inherits what stands above it; without anything above, the trace is ours.
    fn parent(&mut self, record: &Record) -> Option<ParentContext> {
        let Some((root, parent)) = record.local else { return record.above.clone() };
        let span_id = self.machine.ids(parent).span_id;
        if let Some(above) = &record.above {
            return Some(ParentContext { span_id, ..above.clone() });
        }
        let trace_id = self.machine.ids(root).trace_id;
        Some(ParentContext { trace_id, span_id, flags: 0, local: true, tracestate: String::new() })
    }

    pub(crate) fn lose(&mut self, count: u64, reason: LostReason) {
        self.machine.lose(count, reason);
        self.tell_losses();
        self.send_soon(self.clock.now());
    }

    /// The first loss of each reason is something that a person should know.
    fn tell_losses(&mut self) {
        let lost = self.machine.stats().lost;
        for ((reason, count), told) in LostReason::ALL.into_iter().zip(lost).zip(&mut self.told) {
            if count > 0 && !*told {
                *told = true;
                self.host.diagnose(reason.name(), "");
            }
        }
    }

    pub(crate) fn trace_id(&mut self, position: u64) -> String {
        hex::encode(&self.machine.ids(position).trace_id)
    }

    pub(crate) fn stats(&self) -> Stats {
        self.machine.stats()
    }

    pub(crate) fn state(&self) -> &'static str {
        match self.state {
            State::Connecting | State::Open { welcomed: false } => "connecting",
            State::Open { welcomed: true } => "connected",
            State::Waiting { .. } | State::Away | State::Frozen => "waiting",
            State::Over(LostReason::EmitterFailed) => "failed",
            State::Over(_) => "stopped",
        }
    }

    pub(crate) fn journal(&mut self) -> Option<Vec<u8>> {
        self.machine.journal()
    }

    pub(crate) fn settled(&self) -> u64 {
        self.machine.settled()
    }

    pub(crate) fn hurry(&mut self) {
        self.machine.hurry();
        self.drive(self.clock.now());
    }

    pub(crate) fn end(&mut self) {
        self.ending = true;
        self.machine.end();
        self.drive(self.clock.now());
    }

    /// Ends the session now, with a last request, or without a word to anybody.
    pub(crate) fn abandon(&mut self, last_request: bool) {
        if let State::Over(_) = self.state {
            return;
        }
        self.go(State::Away);
        if last_request {
            self.last_request(!self.goes_on());
        }
        self.stop(LostReason::PageClosed);
        if last_request {
            self.tell_losses();
        }
    }

    /// The page is back, and nobody has taken its session.
    pub(crate) fn resume(&mut self) {
        if self.state == State::Away {
            self.connect();
        }
    }

    /// An event, or none for the timer.
    fn handle(&mut self, event: Option<Event>) {
        let jumped = self.clock.correct() | std::mem::take(&mut self.jumped);
        if jumped {
            self.jump();
        }
        match event {
            Some(event) => self.event(event),
            // A jump has set it anew.
            None if jumped => {}
            None => self.timer(),
        }
        self.tell_losses();
    }

    /// The machine slept, or somebody set the clock: every deadline is void.
    fn jump(&mut self) {
        self.machine.clock_jumped();
        self.machine.hurry();
        self.page.disarm();
        match self.state {
            State::Open { .. } => self.hang_up(),
            State::Connecting => {
                let now = self.clock.now();
                self.page.arm(now + CONNECT_TIMEOUT, now);
            }
            State::Waiting { .. } => {
                self.state = State::Waiting { asked: false };
                self.hasten();
            }
            State::Away | State::Frozen | State::Over(_) => {}
        }
    }

    fn event(&mut self, event: Event) {
        match (&*event.type_(), self.state) {
            ("visibilitychange", _) if self.page.hidden() => self.hidden(),
            ("visibilitychange" | "online", _) => self.hasten(),
            ("pagehide", state) if !matches!(state, State::Away | State::Over(_)) => {
                self.page_left(event.unchecked_into::<PageTransitionEvent>().persisted());
            }
            ("pageshow", State::Away) if !self.host.kept() => self.connect(),
            // A frozen page cannot answer the relay.
            ("freeze", state) if !matches!(state, State::Away | State::Over(_)) => {
                self.go(State::Frozen);
                self.last_request(false);
            }
            ("resume", State::Frozen) => self.connect(),
            ("open", State::Connecting) => self.opened(),
            ("message", State::Open { .. }) => self.heard(&event.unchecked_into()),
            ("close", State::Connecting | State::Open { .. }) => self.hang_up(),
            _ => {}
        }
    }

    fn timer(&mut self) {
        self.page.woken();
        match self.state {
            State::Waiting { .. } => self.connect(),
            State::Connecting => self.hang_up(),
            State::Open { .. } => self.drive(self.clock.now()),
            State::Away | State::Frozen | State::Over(_) => {}
        }
    }

    /// The page may never be seen again: on telephones this is the last that one hears of it.
    fn hidden(&mut self) {
        match self.state {
            State::Open { .. } => self.hurry(),
            State::Connecting | State::Waiting { .. } => self.last_request(false),
            State::Away | State::Frozen | State::Over(_) => {}
        }
    }

    fn page_left(&mut self, persisted: bool) {
        self.go(State::Away);
        self.last_request(!persisted && !self.goes_on());
    }

    /// What the next page goes on with is not over.
    fn goes_on(&self) -> bool {
        self.host.kept() && !self.machine.all_settled()
    }

    /// Leaves the socket, with what it still takes: an open one would keep the page out of the back/forward
    /// cache.
    fn go(&mut self, state: State) {
        self.hurry();
        if let State::Over(_) = self.state {
            return;
        }
        self.leave_socket();
        self.machine.closed(self.clock.now(), 0.0);
        self.page.disarm();
        self.state = state;
    }

    /// What is unsettled leaves without the socket, unless it did so already.
    fn last_request(&mut self, for_good: bool) {
        let created = self.machine.stats().created;
        if matches!(self.state, State::Over(_)) || !for_good && created == self.requested {
            return;
        }
        if let Some(body) = self.machine.last_request(LAST_REQUEST_BYTES, for_good, self.clock.now()) {
            self.requested = created;
            self.host.post(&body);
        }
    }

    /// The network or a person is back.
    fn hasten(&mut self) {
        if self.state == (State::Waiting { asked: false }) && !self.host.offline() {
            let now = self.clock.now();
            self.page.wake_by(now + (RETURN * Math::random()) as Micros, now);
        }
    }

    fn connect(&mut self) {
        self.page.disarm();
        if self.host.offline() {
            self.state = State::Waiting { asked: false };
            return self.tell_disconnected();
        }
        match WebSocket::new_with_str(&self.url, SUBPROTOCOL) {
            Ok(socket) => {
                socket.set_binary_type(BinaryType::Arraybuffer);
                for kind in SOCKET_EVENTS {
                    self.page.watch(&socket, kind);
                }
                self.host.set_socket(Some(&socket));
                self.socket = Some(socket);
                self.state = State::Connecting;
                let now = self.clock.now();
                self.page.arm(now + CONNECT_TIMEOUT, now);
            }
            // Not a matter of the network: the address is wrong, or the page may not use it.
            Err(error) => {
                let reason = error.unchecked_ref::<js_sys::Error>().message();
                self.host.diagnose("invalid_url", &[&*self.url, ": ", &*String::from(reason)].concat());
                self.stop(LostReason::EmitterFailed);
            }
        }
    }

    fn opened(&mut self) {
        let now = self.clock.now();
        self.state = State::Open { welcomed: false };
        self.heard_at = now;
        self.congested = false;
        let hello = self.machine.opened(now);
        self.send(&hello);
        self.drive(now);
    }

    fn heard(&mut self, event: &MessageEvent) {
        let now = self.clock.now();
        self.heard_at = now;
        let frame = match event.data().dyn_into::<ArrayBuffer>() {
            Ok(buffer) => Uint8Array::new(&buffer).to_vec(),
            // A text message: as malformed as an empty frame.
            Err(_) => Vec::new(),
        };
        match self.machine.receive(&frame, now) {
            Ok(Heard::Continue) => {
                self.state = State::Open { welcomed: true };
                self.drive(now);
            }
            Ok(Heard::GoAway(message)) => {
                self.host.diagnose("go_away", &message);
                self.retry(true);
            }
            Err(malformed) => {
                self.host.diagnose("protocol_error", malformed.0);
                self.hang_up();
            }
        }
    }

    /// Does what the machine says until it says wait.
    fn drive(&mut self, now: Micros) {
        let State::Open { .. } = self.state else { return };
        // What was learned of the clock on this connection is void: the timer, which is due, sees to it.
        if self.jumped {
            return;
        }
        loop {
            if self.congested && self.still_congested() {
                if now.saturating_sub(self.heard_at) > BUFFERED_STALL {
                    return self.hang_up();
                }
                return self.page.arm(now + BUFFERED_POLL, now);
            }
            match self.machine.step(now) {
                Step::Send(frame) => self.send(&frame),
                Step::Close => return self.hang_up(),
                Step::Wait(Some(at)) => return self.page.arm(at, now),
                Step::Wait(None) => return self.page.disarm(),
            }
        }
    }

    fn send(&mut self, frame: &[u8]) {
        if let Some(socket) = &self.socket {
            // A closing socket discards it; its close event follows, and the frame is sent again.
            let _ = socket.send_with_u8_array(frame);
            self.congested = true;
        }
    }

    fn still_congested(&mut self) -> bool {
        self.congested = self.socket.as_ref().is_some_and(|socket| socket.buffered_amount() > BUFFERED_BYTES);
        self.congested
    }

    fn leave_socket(&mut self) {
        if let Some(socket) = self.socket.take() {
            for kind in SOCKET_EVENTS {
                self.page.ignore(&socket, kind);
            }
            self.host.set_socket(None);
            let _ = socket.close();
        }
    }

    fn hang_up(&mut self) {
        self.retry(false);
    }

    /// Leaves the socket, if it has not left us, and sees to what comes next. Its own close event may take
    /// minutes, so nobody waits for that.
    fn retry(&mut self, asked: bool) {
        self.leave_socket();
        let now = self.clock.now();
        let delay = self.machine.closed(now, Math::random());
        if self.ending && self.machine.all_settled() {
            return self.stop(LostReason::PageClosed);
        }
        let Some(delay) = delay else { return self.stop(LostReason::Rejected) };
        self.state = State::Waiting { asked };
        if !asked {
            self.tell_disconnected();
        }
        self.page.arm(now + delay, now);
    }

    fn tell_disconnected(&self) {
        self.host.diagnose("disconnected", &["no connection to ", &self.url, ", trying again"].concat());
    }

    fn stop(&mut self, reason: LostReason) {
        self.page.disarm();
        self.page.leave();
        self.machine.abandon(reason);
        self.state = State::Over(reason);
    }
}

//! Drives the session machine: one function takes every event, one timer serves every wait.

use crate::clock::Clock;
use crate::{Host, hex};
use atomwire_wire::emitter::{
    Config, Emitter, Event as Heard, GATHER, Key, NewUpdate, Stats, Step, WhenFull,
};
use atomwire_wire::{LostReason, Micros, ParentContext, SUBPROTOCOL};
use js_sys::{ArrayBuffer, Function, Math, Uint8Array};
use std::cell::RefCell;
use std::rc::{Rc, Weak};
use wasm_bindgen::prelude::*;
use web_sys::{BinaryType, Event, EventTarget, MessageEvent, WebSocket, Window};

/// Updates that may be pending: three minutes of one write at every frame of a 60 Hz display.
const QUEUE_UPDATES: usize = 10_000;
/// Bytes that pending updates may take: 400 for each of those, and little beside a page's own memory.
const QUEUE_BYTES: usize = 4 * 1024 * 1024;

/// Bytes left in the browser's own send buffer above which nothing is added to it: a second of a slow
/// 2 Mbit/s uplink. What waits here instead can still be counted.
const BUFFERED_BYTES: u32 = 256 * 1024;
/// How often that buffer is looked at while it is full; the browser has no event for it.
const BUFFERED_POLL: Micros = 100_000;
/// A full buffer, and nothing heard for this long: the connection is dead.
const BUFFERED_STALL: Micros = 60_000_000;
/// How long opening a connection may take. A browser alone would wait for minutes.
const CONNECT_TIMEOUT: Micros = 20_000_000;

/// What the page tells us, beside the socket.
const WINDOW_EVENTS: [&str; 3] = ["pagehide", "pageshow", "online"];
const DOCUMENT_EVENT: &str = "visibilitychange";
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
    /// Until the timer; the network's return shortens it unless the relay asked for it.
    Waiting {
        asked: bool,
    },
    /// The page is out of sight for good or in the back/forward cache.
    Away,
    /// For ever: later updates are lost under this reason.
    Over(LostReason),
}

/// The machine and everything that it must not know.
pub(crate) struct Shell {
    machine: Emitter,
    clock: Clock,
    host: Host,
    window: Window,
    url: String,
    state: State,
    socket: Option<WebSocket>,
    /// Takes every event, and the timer: the guarded form of `_handler`, which it keeps alive.
    on_event: Function,
    _handler: Closure<dyn FnMut(JsValue)>,
    timer: Option<(i32, Micros)>,
    /// When the relay was last heard.
    heard_at: Micros,
    /// The send buffer was full when last looked at.
    congested: bool,
    ending: bool,
    /// This outage was reported.
    told: bool,
}

impl Shell {
    pub(crate) fn start(
        host: Host,
        url: String,
        token: String,
        resource: &str,
    ) -> Result<Rc<RefCell<Self>>, JsValue> {
        let window = web_sys::window().ok_or("no window")?;
        let clock = Clock::new(window.performance().ok_or("no performance")?);
        let crypto = window.crypto()?;
        let (mut session_id, mut id_seed) = ([0; 16], [0; 32]);
        crypto.get_random_values_with_u8_array(&mut session_id)?;
        crypto.get_random_values_with_u8_array(&mut id_seed)?;
        let machine = Emitter::new(Config {
            session_id,
            id_seed,
            resource: attributes(resource),
            token,
            queue_updates: QUEUE_UPDATES,
            queue_bytes: QUEUE_BYTES,
            when_full: WhenFull::DropNewest,
        });
        let shell = Rc::new_cyclic(|shell: &Weak<RefCell<Self>>| {
            let shell = shell.clone();
            let handler = Closure::new(move |event: JsValue| {
                if let Some(shell) = shell.upgrade() {
                    shell.borrow_mut().handle(event.dyn_into().ok());
                }
            });
            RefCell::new(Self {
                machine,
                clock,
                url,
                window,
                state: State::Away,
                socket: None,
                on_event: host.guard(handler.as_ref().unchecked_ref()),
                _handler: handler,
                host,
                timer: None,
                heard_at: 0,
                congested: false,
                ending: false,
                told: false,
            })
        });
        let mut started = shell.borrow_mut();
        started.listen();
        started.connect();
        drop(started);
        Ok(shell)
    }

    pub(crate) fn intern(&mut self, key: &str) -> Option<u32> {
        self.machine.intern(key)
    }

    pub(crate) fn record(&mut self, record: &Record) {
        if let State::Over(reason) = self.state {
            return self.machine.lose(1, reason);
        }
        let parent = self.parent(record);
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
        // Its frame goes in a task of its own: sending is no part of the app's write. While the send buffer
        // is full, the timer looks after it already.
        if matches!(self.state, State::Open { .. }) && !self.congested {
            self.wake_by(end + GATHER);
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
        self.drive(self.clock.now());
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
            State::Waiting { .. } | State::Away => "waiting",
            State::Over(LostReason::EmitterFailed) => "failed",
            State::Over(_) => "stopped",
        }
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

    pub(crate) fn abandon(&mut self) {
        self.leave_socket();
        self.stop(LostReason::PageClosed);
    }

    /// An event, or none for the timer.
    fn handle(&mut self, event: Option<Event>) {
        if self.clock.correct() {
            // The machine slept, or somebody set the clock: every deadline of this connection is void.
            self.machine.clock_jumped();
            self.machine.hurry();
            if matches!(self.state, State::Open { .. }) {
                return self.hang_up();
            }
        }
        let Some(event) = event else { return self.timer() };
        match &*event.type_() {
            "visibilitychange" if self.hidden() => self.hurry(),
            "pagehide" => self.page_hidden(),
            "pageshow" if self.state == State::Away => self.connect(),
            "online" if self.state == (State::Waiting { asked: false }) => self.connect(),
            "open" => self.opened(),
            "message" => self.heard(&event.unchecked_into()),
            "close" => self.hang_up(),
            _ => {}
        }
    }

    fn timer(&mut self) {
        self.timer = None;
        match self.state {
            State::Waiting { .. } => self.connect(),
            State::Connecting => self.hang_up(),
            State::Open { .. } => self.drive(self.clock.now()),
            State::Away | State::Over(_) => {}
        }
    }

    fn page_hidden(&mut self) {
        if let State::Over(_) = self.state {
            return;
        }
        self.hurry();
        // An open socket would keep the page out of the back/forward cache.
        self.hang_up();
        if let State::Waiting { .. } = self.state {
            self.disarm();
            self.state = State::Away;
        }
    }

    fn connect(&mut self) {
        self.disarm();
        match WebSocket::new_with_str(&self.url, SUBPROTOCOL) {
            Ok(socket) => {
                socket.set_binary_type(BinaryType::Arraybuffer);
                for kind in SOCKET_EVENTS {
                    self.watch(&socket, kind);
                }
                self.host.set_socket(Some(&socket));
                self.socket = Some(socket);
                self.state = State::Connecting;
                self.arm(self.clock.now() + CONNECT_TIMEOUT);
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
                self.told = false;
                self.drive(now);
            }
            Ok(Heard::GoAway(message)) => {
                self.host.diagnose("go_away", &message);
                self.told = true;
                self.hang_up();
                if let State::Waiting { asked } = &mut self.state {
                    *asked = true;
                }
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
        loop {
            if self.congested && self.still_congested() {
                if now.saturating_sub(self.heard_at) > BUFFERED_STALL {
                    return self.hang_up();
                }
                return self.arm(now + BUFFERED_POLL);
            }
            match self.machine.step(now) {
                Step::Send(frame) => self.send(&frame),
                Step::Close => return self.hang_up(),
                Step::Wait(Some(at)) => return self.arm(at),
                Step::Wait(None) => return self.disarm(),
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
                self.ignore(&socket, kind);
            }
            self.host.set_socket(None);
            let _ = socket.close();
        }
    }

    /// Leaves the socket, if it has not left us, and sees to what comes next. Its own close event may take
    /// minutes, so nobody waits for that.
    fn hang_up(&mut self) {
        self.leave_socket();
        let now = self.clock.now();
        let retry = self.machine.closed(now, Math::random());
        if self.ending && self.machine.stats().pending == 0 {
            return self.stop(LostReason::PageClosed);
        }
        let Some(delay) = retry else { return self.stop(LostReason::Rejected) };
        self.state = State::Waiting { asked: false };
        if !self.told {
            self.told = true;
            self.host.diagnose("disconnected", &["no connection to ", &self.url, ", trying again"].concat());
        }
        self.arm(now + delay);
    }

    fn stop(&mut self, reason: LostReason) {
        self.disarm();
        self.machine.abandon(reason);
        self.state = State::Over(reason);
        for kind in WINDOW_EVENTS {
            self.ignore(&self.window, kind);
        }
        if let Some(document) = self.window.document() {
            self.ignore(&document, DOCUMENT_EVENT);
        }
    }

    fn listen(&self) {
        for kind in WINDOW_EVENTS {
            self.watch(&self.window, kind);
        }
        if let Some(document) = self.window.document() {
            self.watch(&document, DOCUMENT_EVENT);
        }
    }

    fn watch(&self, target: &EventTarget, kind: &str) {
        // It throws only where the callback is no function.
        let _ = target.add_event_listener_with_callback(kind, &self.on_event);
    }

    fn ignore(&self, target: &EventTarget, kind: &str) {
        let _ = target.remove_event_listener_with_callback(kind, &self.on_event);
    }

    fn hidden(&self) -> bool {
        self.window.document().is_some_and(|document| document.hidden())
    }

    /// Sets the timer, unless it comes sooner anyway.
    fn wake_by(&mut self, at: Micros) {
        if self.timer.is_none_or(|(_, armed)| armed > at) {
            self.arm(at);
        }
    }

    /// Sets the one timer.
    fn arm(&mut self, at: Micros) {
        if self.timer.is_some_and(|(_, armed)| armed == at) {
            return;
        }
        self.disarm();
        let millis = at.saturating_sub(self.clock.now()).div_ceil(1_000);
        let millis = i32::try_from(millis).unwrap_or(i32::MAX);
        self.timer = self
            .window
            .set_timeout_with_callback_and_timeout_and_arguments_0(&self.on_event, millis)
            .ok()
            .map(|id| (id, at));
    }

    fn disarm(&mut self) {
        if let Some((id, _)) = self.timer.take() {
            self.window.clear_timeout_with_handle(id);
        }
    }
}

/// Keys and values, alternating, a NUL after each.
fn attributes(mut text: &str) -> Vec<(String, String)> {
    let mut attributes = Vec::new();
    while let Some((key, rest)) = text.split_once('\0') {
        let Some((value, rest)) = rest.split_once('\0') else { break };
        attributes.push((key.to_owned(), value.to_owned()));
        text = rest;
    }
    attributes
}

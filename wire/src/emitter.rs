//! The browser's session machine with memory of its own, for native programs: the simulator, the load generator, the
//! fuzz targets and the tests. It owns what a page's JavaScript owns, and calls what that calls.

use crate::clock::Offset;
use crate::ids::Ids;
use crate::limits::{FRAME_BYTES, KEY_BYTES, KEYS};
use crate::machine::{self, Hello, KEYS_BYTES, Machine, Memory, Parent, Settings, Update};
use crate::proto::{ClientFrame, client_frame::Frame};
use crate::{IdSeed, LostReason, Micros, ParentContext, SessionId};
use prost::Message;

pub use crate::machine::{FLUSH_AGE, GATHER, Malformed, Stats, WhenFull};

/// What a session is made of.
#[derive(Debug, Clone)]
pub struct Config {
    /// Random, and kept over reconnects.
    pub session_id: SessionId,
    /// Random, and kept over reconnects.
    pub id_seed: IdSeed,
    /// OpenTelemetry resource attributes, without NUL characters.
    pub resource: Vec<(String, String)>,
    /// What the operator asks clients to present, or empty.
    pub token: String,
    /// Updates that may be pending.
    pub queue_updates: usize,
    /// Bytes that pending updates may take, as encoded.
    pub queue_bytes: usize,
    /// What is lost when that is not enough.
    pub when_full: WhenFull,
}

/// Which atom was written.
#[derive(Debug, Clone, Copy)]
pub enum Key<'a> {
    /// As `Emitter::intern` answered.
    Index(u32),
    /// In full.
    Inline(&'a str),
}

/// One atom write, as it is recorded.
#[derive(Debug, Clone, Copy)]
pub struct NewUpdate<'a> {
    /// Which atom.
    pub key: Key<'a>,
    /// When the write began, on the client's clock.
    pub start: Micros,
    /// How long it took, in microseconds.
    pub duration: Micros,
    /// The new value as JSON text; none when JSON cannot hold it.
    pub value: Option<&'a str>,
    /// JSON cannot hold all of the value.
    pub altered: bool,
    /// The error's type and message, when the write threw or rejected.
    pub error: Option<(&'a str, &'a str)>,
    /// The span's parent, where it has one.
    pub parent: Option<&'a ParentContext>,
    /// The span's position in the id stream.
    pub position: u64,
}

/// What the shell is to do next.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// Send this frame, then ask again.
    Send(Vec<u8>),
    /// Close the socket: the relay has gone silent.
    Close,
    /// Ask again at this time, or sooner if something happens; never, without one.
    Wait(Option<Micros>),
}

/// What a frame from the relay meant for the shell.
#[derive(Debug, PartialEq, Eq)]
pub enum Event {
    /// Ask for the next step.
    Continue,
    /// The relay will close the connection: say so to people, close, and do what `closed` says.
    GoAway(String),
}

/// What a machine writes to: the largest frame, or request, and some more.
const OUT_BYTES: usize = FRAME_BYTES + 16 * 1024;

/// The emitter's end of a session.
#[derive(Debug)]
pub struct Emitter {
    machine: Machine<Heap>,
    resource: Vec<u8>,
    token: String,
    keys: Vec<Box<str>>,
    out: Vec<u8>,
}

impl Emitter {
    /// A session that has not connected yet.
    pub fn new(config: Config) -> Self {
        let mut machine = Machine::new(Heap::default());
        machine.start(Settings {
            session_id: config.session_id,
            id_seed: config.id_seed,
            queue_updates: config.queue_updates,
            queue_bytes: config.queue_bytes,
            when_full: config.when_full,
        });
        let resource =
            config.resource.iter().flat_map(|(key, value)| [key, "\0", value, "\0"]).collect::<String>();
        Self {
            machine,
            resource: resource.into(),
            token: config.token,
            keys: Vec::new(),
            out: vec![0; OUT_BYTES],
        }
    }

    /// The index of `key`, for [`Key::Index`]; none when the table is full or the key is beyond the
    /// protocol's limits (such a key goes inline, where `push` counts what cannot be carried).
    pub fn intern(&mut self, key: &str) -> Option<u32> {
        if let Some(index) = self.keys.iter().position(|known| **known == *key) {
            return Some(index as u32);
        }
        let index = self.machine.intern(key.as_bytes())?;
        self.keys.push(key.into());
        Some(index)
    }

    /// The keys so far, in the order of their indices.
    pub fn keys(&self) -> &[Box<str>] {
        &self.keys
    }

    /// Takes an update. Always creates exactly one: pending, or lost with its reason.
    pub fn push(&mut self, update: &NewUpdate<'_>, now: Micros) {
        let update = Update {
            key: match update.key {
                Key::Index(index) => machine::Key::Index(index),
                Key::Inline(key) => machine::Key::Inline(key.as_bytes()),
            },
            start: update.start,
            duration: update.duration,
            value: update.value.map(str::as_bytes),
            altered: update.altered,
            error: update.error.map(|(kind, message)| (kind.as_bytes(), message.as_bytes())),
            parent: update.parent.map(|parent| Parent {
                trace_id: parent.trace_id,
                span_id: parent.span_id,
                flags: parent.flags,
                tracestate: parent.tracestate.as_bytes(),
                local: parent.local,
            }),
            position: update.position,
        };
        self.machine.push(&update, now);
    }

    /// Creates `count` updates that are lost already.
    pub fn lose(&mut self, count: u64, reason: LostReason) {
        self.machine.lose(count, reason);
    }

    /// The ids of the span at `position` of this session's id stream.
    pub fn ids(&self, position: u64) -> Ids {
        self.machine.ids(position)
    }

    /// The account: it balances at every moment.
    pub fn stats(&self) -> Stats {
        self.machine.stats()
    }

    /// Every number below this is settled, and need not be kept any longer.
    pub fn settled(&self) -> u64 {
        self.machine.settled()
    }

    /// Nothing is left to say to the relay, neither an update nor a loss.
    pub fn all_settled(&self) -> bool {
        self.machine.all_settled()
    }

    /// The offset to the relay's clock, once there was an exchange.
    pub fn clock(&self) -> Option<Offset> {
        self.machine.clock()
    }

    /// The client's clock was set: what was learned of the offset is void.
    pub fn clock_jumped(&mut self) {
        self.machine.clock_jumped();
    }

    /// Sends what is pending without waiting for company (the page is hidden, or `flush()`).
    pub fn hurry(&mut self) {
        self.machine.hurry();
    }

    /// Ends the session once everything pending is settled: a `Bye` goes out, then [`Step::Close`].
    pub fn end(&mut self) {
        self.machine.end();
    }

    /// The socket is open; the answer is the `Hello` to send.
    pub fn opened(&mut self, now: Micros) -> Vec<u8> {
        let hello = Hello { resource: &self.resource, token: self.token.as_bytes() };
        let len = self.machine.opened(hello, now, &mut self.out);
        self.out[..len].to_vec()
    }

    /// The socket is closed or could not be opened; `random` is uniform in [0, 1). The answer is how
    /// long to wait before the next try, or none: the relay does not want this session back, and what
    /// was pending is lost as rejected.
    pub fn closed(&mut self, now: Micros, random: f64) -> Option<Micros> {
        self.machine.closed(now, random)
    }

    /// Gives up for good: everything pending is lost under `reason`.
    pub fn abandon(&mut self, reason: LostReason) {
        self.machine.abandon(reason);
    }

    /// Takes one frame from the relay.
    ///
    /// # Errors
    /// [`Malformed`] when the bytes are not a frame; the shell closes the socket.
    pub fn receive(&mut self, frame: &[u8], now: Micros) -> Result<Event, Malformed> {
        Ok(match self.machine.receive(frame, now)? {
            machine::Heard::Continue => Event::Continue,
            machine::Heard::GoAway(message) => Event::GoAway(String::from_utf8_lossy(message).into_owned()),
        })
    }

    /// What to do now.
    pub fn step(&mut self, now: Micros) -> Step {
        match self.machine.step(now, &mut self.out) {
            machine::Step::Send(len) => Step::Send(self.out[..len].to_vec()),
            machine::Step::Close => Step::Close,
            machine::Step::Wait(at) => Step::Wait((at < Micros::MAX).then_some(at)),
        }
    }

    /// What is pending as the body of a last request (PROTOCOL.md, section 11) of at most `bytes` bytes;
    /// none when there is nothing to say. See [`Machine::last_request`].
    pub fn last_request(&mut self, bytes: usize, for_good: bool, now: Micros) -> Option<Vec<u8>> {
        let hello = Hello { resource: &self.resource, token: self.token.as_bytes() };
        let len = self.machine.last_request(hello, bytes, for_good, now, &mut self.out);
        (len > 0).then(|| self.out[..len].to_vec())
    }

    /// What was made since the last call, as a `Batch` frame to keep where it outlives the page: ask again
    /// until there is none. [`Emitter::restore`] takes such frames, with the keys, once the page is gone.
    pub fn journal(&mut self) -> Option<Vec<u8>> {
        let len = self.machine.journal(&mut self.out);
        (len > 0).then(|| self.out[..len].to_vec())
    }

    /// A session that an earlier page left: `frames` are what `journal` gave there, in that order. Of the
    /// oldest, settled ones may be missing, and any of the newest. What is missing in the middle is lost as
    /// `page_closed`.
    ///
    /// # Errors
    /// [`Malformed`] when the bytes are not what `journal` gave, or the keys are none.
    pub fn restore(config: Config, keys: Vec<Box<str>>, frames: &[&[u8]]) -> Result<Self, Malformed> {
        if keys.len() > KEYS || !keys.iter().all(|key| (1..=KEY_BYTES).contains(&key.len())) {
            return Err(Malformed::BadRange);
        }
        let mut emitter =
            Self::restore_at(config, frames.first().map_or(Ok(0), |frame| first_number(frame))?);
        for key in &keys {
            emitter.machine.intern(key.as_bytes());
        }
        emitter.keys = keys;
        for frame in frames {
            emitter.machine.restore(frame)?;
        }
        Ok(emitter)
    }

    /// A session of which an earlier page left a note alone: every number below `settled` is settled.
    pub fn restore_at(config: Config, settled: u64) -> Self {
        let mut emitter = Self::new(config);
        emitter.machine.restore_at(settled);
        emitter
    }

    /// Everything that was not sent on this connection is lost under `reason`, and the relay will be told.
    pub fn give_up(&mut self, reason: LostReason) {
        self.machine.give_up(reason);
    }
}

/// The lowest number in a frame of a journal.
fn first_number(frame: &[u8]) -> Result<u64, Malformed> {
    let Ok(ClientFrame { frame: Some(Frame::Batch(batch)) }) = ClientFrame::decode(frame) else {
        return Err(Malformed::NoBatch);
    };
    let lost = batch.lost.iter().map(|range| range.first);
    Ok(lost.chain((!batch.updates.is_empty()).then_some(batch.first_seq)).min().unwrap_or(0))
}

/// Memory of a native program.
#[derive(Debug, Default)]
struct Heap {
    keys: Vec<u8>,
    log: Vec<u8>,
}

impl Memory for Heap {
    fn keys(&mut self) -> &mut [u8] {
        if self.keys.is_empty() {
            self.keys = vec![0; KEYS_BYTES];
        }
        &mut self.keys
    }

    fn log(&mut self) -> &mut [u8] {
        &mut self.log
    }

    fn grow(&mut self, len: usize) -> bool {
        // As much again, so that bytes are seldom copied.
        self.log.resize(len.max(2 * self.log.len()), 0);
        true
    }
}

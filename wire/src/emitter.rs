//! The browser's session machine with memory of its own, for native programs: the simulator, the load generator, the
//! fuzz targets and the tests. It owns what a page's JavaScript owns, and calls what that calls.

use crate::clock::Offset;
use crate::ids::Ids;
use crate::limits::{KEY_BYTES, KEYS};
use crate::machine::{
    self, AREA_BYTES, Hello, IDS, INPUT, LOG, Machine, Memory, OUTPUT, Parent, Text, Update,
};
use crate::proto::{ClientFrame, client_frame::Frame};
use crate::{IdSeed, LostReason, Micros, ParentContext};
use prost::Message;

pub use crate::machine::{FLUSH_AGE, GATHER, Malformed, Stats, WhenFull};

/// What a session is made of.
#[derive(Debug, Clone)]
pub struct Config {
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

/// The emitter's end of a session.
#[derive(Debug)]
pub struct Emitter {
    machine: Machine<Heap>,
    resource: Vec<u8>,
    token: String,
    keys: Vec<Box<str>>,
}

impl Emitter {
    /// A session that has not connected yet.
    pub fn new(config: Config) -> Self {
        let mut machine = Machine::new(Heap { bytes: vec![0; LOG] });
        machine.memory().write(INPUT, &config.id_seed);
        machine.start(config.queue_updates, config.queue_bytes, config.when_full);
        let resource =
            config.resource.iter().flat_map(|(key, value)| [key, "\0", value, "\0"]).collect::<String>();
        Self { machine, resource: resource.into(), token: config.token, keys: Vec::new() }
    }

    /// The index of `key`, for [`Key::Index`]; none when the table is full or the key is beyond the
    /// protocol's limits (such a key goes inline, where `push` counts what cannot be carried).
    pub fn intern(&mut self, key: &str) -> Option<u32> {
        if let Some(index) = self.keys.iter().position(|known| **known == *key) {
            return Some(index as u32);
        }
        let index = intern(&mut self.machine, key)?;
        self.keys.push(key.into());
        Some(index)
    }

    /// The keys so far, in the order of their indices.
    pub fn keys(&self) -> &[Box<str>] {
        &self.keys
    }

    /// Takes an update. Always creates exactly one: pending, or lost with its reason.
    pub fn push(&mut self, update: &NewUpdate<'_>, now: Micros) {
        let texts = [
            match update.key {
                Key::Index(_) => "",
                Key::Inline(key) => key,
            },
            update.value.unwrap_or_default(),
            update.error.map_or("", |(kind, _)| kind),
            update.error.map_or("", |(_, message)| message),
            update.parent.map_or("", |parent| &parent.tracestate),
        ];
        if texts.iter().map(|text| text.len()).sum::<usize>() > AREA_BYTES {
            return self.lose(1, LostReason::TooLarge);
        }
        let mut at = INPUT;
        let [key, value, kind, message, tracestate] = texts.map(|text| {
            self.machine.memory().write(at, text.as_bytes());
            at += text.len();
            Text { at: at - text.len(), len: text.len() }
        });
        let update = Update {
            key: match update.key {
                Key::Index(index) => machine::Key::Index(index),
                Key::Inline(_) => machine::Key::Inline(key),
            },
            start: update.start,
            duration: update.duration,
            value: update.value.map(|_| value),
            altered: update.altered,
            error: update.error.map(|_| (kind, message)),
            parent: update.parent.map(|parent| {
                self.machine.memory().write(IDS, &parent.trace_id);
                self.machine.memory().write(IDS + 16, &parent.span_id);
                Parent {
                    trace_id: IDS,
                    span_id: IDS + 16,
                    flags: parent.flags,
                    tracestate,
                    local: parent.local,
                }
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
        let [high, low, span] = self.machine.ids(position).map(u64::to_le_bytes);
        let mut trace_id = [0; 16];
        trace_id[..8].copy_from_slice(&high);
        trace_id[8..].copy_from_slice(&low);
        Ids { trace_id, span_id: span }
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
        let hello = self.hello();
        let len = self.machine.opened(hello, now);
        self.machine.memory().output(len)
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
        let len = self.machine.memory().input(frame)?;
        Ok(match self.machine.receive(len, now)? {
            machine::Heard::Continue => Event::Continue,
            machine::Heard::GoAway(Text { at, len }) => {
                let message = &self.machine.memory().bytes[at..][..len];
                Event::GoAway(String::from_utf8_lossy(message).into_owned())
            }
        })
    }

    /// What to do now.
    pub fn step(&mut self, now: Micros) -> Step {
        match self.machine.step(now) {
            machine::Step::Send(len) => Step::Send(self.machine.memory().output(len)),
            machine::Step::Close => Step::Close,
            machine::Step::Wait(at) => Step::Wait((at < Micros::MAX).then_some(at)),
        }
    }

    /// What is pending as the body of a last request (PROTOCOL.md, section 11) of at most `bytes` bytes;
    /// none when there is nothing to say. See [`Machine::last_request`].
    pub fn last_request(&mut self, bytes: usize, for_good: bool, now: Micros) -> Option<Vec<u8>> {
        let hello = self.hello();
        let len = self.machine.last_request(hello, bytes.min(AREA_BYTES), for_good, now);
        (len > 0).then(|| self.machine.memory().output(len))
    }

    /// What was made since the last call, as a `Batch` frame to keep where it outlives the page: ask again
    /// until there is none. [`Emitter::restore`] takes such frames, with the keys, once the page is gone.
    pub fn journal(&mut self) -> Option<Vec<u8>> {
        let len = self.machine.journal();
        (len > 0).then(|| self.machine.memory().output(len))
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
            intern(&mut emitter.machine, key);
        }
        emitter.keys = keys;
        for frame in frames {
            let len = emitter.machine.memory().input(frame)?;
            emitter.machine.restore(len)?;
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

    /// What a `Hello` says, at the input.
    fn hello(&mut self) -> Hello {
        let memory = self.machine.memory();
        memory.write(INPUT, &self.resource);
        memory.write(INPUT + self.resource.len(), self.token.as_bytes());
        Hello { resource: self.resource.len(), token: self.token.len() }
    }
}

/// The index of a new key.
fn intern(machine: &mut Machine<Heap>, key: &str) -> Option<u32> {
    // One that is longer is none, and one of a byte more tells.
    let key = &key.as_bytes()[..key.len().min(KEY_BYTES + 1)];
    machine.memory().write(INPUT, key);
    machine.intern(key.len())
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
#[derive(Debug)]
struct Heap {
    bytes: Vec<u8>,
}

impl Heap {
    fn write(&mut self, at: usize, bytes: &[u8]) {
        self.bytes[at..][..bytes.len()].copy_from_slice(bytes);
    }

    /// Puts a frame where the machine reads it, if it is not larger than any may be.
    fn input(&mut self, frame: &[u8]) -> Result<usize, Malformed> {
        if frame.len() > AREA_BYTES {
            return Err(Malformed::Length);
        }
        self.write(INPUT, frame);
        Ok(frame.len())
    }

    fn output(&self, len: usize) -> Vec<u8> {
        self.bytes[OUTPUT..][..len].to_vec()
    }
}

impl Memory for Heap {
    fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.bytes
    }

    fn grow(&mut self, len: usize) -> bool {
        // As much again, so that bytes are seldom copied.
        self.bytes.resize(len.max(2 * self.bytes.len() - LOG), 0);
        true
    }
}

//! The browser's session machine, which allocates nothing.
//!
//! ```text
//!            push, lose                       step (Batch)
//!   app ─────────────────▶ Queue ─▶ Log ──────────────────────▶ socket
//!                            ▲                                     │
//!                            └────── settle ◀──── receive ◀────────┘
//! ```
//! An update is pending from `push` until the relay says that it is settled; nothing else removes it.
//! At every moment `created = acknowledged + lost(reason) + pending`.
//!
//! What [`Machine`] takes and gives are slices, and what it keeps lies in a [`Memory`]. So the module that browsers
//! load needs neither an allocator nor the standard library; native programs use [`crate::emitter::Emitter`], the same
//! machine with memory of its own.

mod answers;
mod frames;
mod ids;
mod leave;
mod log;
mod memory;
mod queue;
mod writer;

pub use crate::decode::Malformed;
pub use frames::Hello;
pub use memory::{KEYS_BYTES, Memory};
pub use queue::{Key, Parent, Stats, Update, WhenFull};

use crate::clock::{Clock, Exchange, Offset};
use crate::decode::{Scanned, oneof};
use crate::ids::Ids;
use crate::{IdSeed, LostReason, Micros, SessionId, limits};
use answers::{ACK, GO_AWAY, Offered, PONG, Refused, WELCOME, at_most_an_hour};
use frames::Room;
use log::SENT;
use memory::put;
use queue::Queue;
use writer::Writer;

/// How long an update waits for company after a quiet time: what one click writes goes together.
pub const GATHER: Micros = 5_000;
/// How long after a batch the next may go: five frames a second at the most from a page that writes without end. So a
/// single click is in its trace at once, and what a stream of writes costs beside the writes is next to nothing.
pub const FLUSH_AGE: Micros = 200_000;
/// A batch is sent without waiting once it has this many updates…
const FLUSH_COUNT: u64 = 256;
/// …or this many bytes: about a TCP congestion window of a connection that has warmed up.
const FLUSH_BYTES: usize = 32 * 1024;

/// The first reconnect waits up to this long, doubled at each further try: 10,000 clients that lose their
/// relay at once knock up to 1.57/2 s * 10,000 = 7,800 times a second once it is back (`tests/it/storm.rs`)…
const BACKOFF_BASE: Micros = 2_000_000;
/// …up to this.
const BACKOFF_MAX: Micros = 30_000_000;
/// A connection that lived this long was a good one: the doubling starts anew.
const STABLE: Micros = 10_000_000;

/// What a session is made of.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// Random, and kept over reconnects.
    pub session_id: SessionId,
    /// Random, and kept over reconnects.
    pub id_seed: IdSeed,
    /// Updates that may be pending.
    pub queue_updates: usize,
    /// Bytes that pending updates may take, as encoded.
    pub queue_bytes: usize,
    /// What is lost when that is not enough.
    pub when_full: WhenFull,
}

/// What to do next.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// Send so many bytes, which stand where they were asked for, then ask again.
    Send(usize),
    /// Close the socket: the relay has gone silent, or everything is said.
    Close,
    /// Ask again at this time, or sooner if something happens; never, at the end of time.
    Wait(Micros),
}

/// What a frame from the relay meant.
#[derive(Debug, PartialEq, Eq)]
pub enum Heard<'f> {
    /// Ask for the next step.
    Continue,
    /// The relay will close the connection: say so to people, close, and do what `closed` says. UTF-8, as a rule.
    GoAway(&'f [u8]),
}

#[derive(Debug)]
struct Connection {
    opened_at: Micros,
    heard_at: Micros,
    pinged_at: Micros,
    heartbeat: Micros,
    welcomed: bool,
    /// Updates below this number may be sent.
    granted: u64,
    /// The newest frame in flight, for the clock: the number after its last update, none at the end of numbers…
    timed_end: u64,
    /// …and when it was sent.
    timed_at: Micros,
    /// How much of the table of keys was introduced: so many, and where the next one stands.
    keys: u32,
    keys_end: usize,
    /// When the last batch went.
    flushed_at: Micros,
    said_bye: bool,
}

impl Connection {
    const fn new(now: Micros) -> Self {
        Self {
            opened_at: now,
            heard_at: now,
            pinged_at: now,
            heartbeat: BACKOFF_MAX,
            welcomed: false,
            granted: 0,
            timed_end: u64::MAX,
            timed_at: 0,
            keys: 0,
            keys_end: 0,
            flushed_at: 0,
            said_bye: false,
        }
    }
}

/// The least between two signs of life, in milliseconds, whatever a relay says.
const HEARTBEAT_MIN_MS: u64 = 1_000;

/// What a relay that is going away asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Away {
    Unasked,
    Back { after: Micros, jitter: Micros },
    Never,
}

/// The emitter's end of a session.
#[derive(Debug)]
pub struct Machine<M> {
    session_id: SessionId,
    id_seed: IdSeed,
    queue: Queue<M>,
    /// The table of keys: so many, and where it ends.
    keys: u32,
    keys_end: usize,
    clock: Clock,
    /// What the relay last heard from takes, and how many updates it lets a new connection send.
    offered: Offered,
    credit: u64,
    open: bool,
    connection: Connection,
    attempts: u32,
    away: Away,
    hurry: bool,
    bye: bool,
    /// An earlier page began this session, and may have sent more than it kept.
    restored: bool,
}

impl<M: Memory> Machine<M> {
    /// Nobody's session, until `start`.
    pub const fn new(memory: M) -> Self {
        Self {
            session_id: [0; 16],
            id_seed: [0; 32],
            queue: Queue::new(memory),
            keys: 0,
            keys_end: 0,
            clock: Clock::new(),
            offered: Offered::PROTOCOL,
            credit: limits::BATCH_UPDATES as u64,
            open: false,
            connection: Connection::new(0),
            attempts: 0,
            away: Away::Unasked,
            hurry: false,
            bye: false,
            restored: false,
        }
    }

    /// A session that has not connected yet.
    pub fn start(&mut self, settings: Settings) {
        self.session_id = settings.session_id;
        self.id_seed = settings.id_seed;
        self.queue.bound(settings.queue_updates, settings.queue_bytes, settings.when_full);
    }

    /// The index of a new `key`, for [`Key::Index`]; none when the table is full or the key is beyond the
    /// protocol's limits (such a key goes inline, where `push` counts what cannot be carried). Asked once for each.
    pub fn intern(&mut self, key: &[u8]) -> Option<u32> {
        if self.keys as usize == limits::KEYS || key.is_empty() || key.len() > limits::KEY_BYTES {
            return None;
        }
        let table = self.queue.log.memory.keys();
        put(table, self.keys_end, &(key.len() as u16).to_le_bytes());
        put(table, self.keys_end + 2, key);
        self.keys_end += 2 + key.len();
        self.keys += 1;
        Some(self.keys - 1)
    }

    /// Takes an update. Always creates exactly one: pending, or lost with its reason.
    pub fn push(&mut self, update: &Update<'_>, now: Micros) {
        self.queue.push(update, self.offered.value_bytes, now);
    }

    /// Creates `count` updates that are lost already.
    pub fn lose(&mut self, count: u64, reason: LostReason) {
        self.queue.lose(count, reason);
    }

    /// The ids of the span at `position` of this session's id stream.
    pub fn ids(&self, position: u64) -> Ids {
        ids::ids(&self.id_seed, position)
    }

    /// The account: it balances at every moment.
    pub fn stats(&self) -> Stats {
        self.queue.stats()
    }

    /// The number after the newest update.
    pub fn created(&self) -> u64 {
        self.queue.created
    }

    /// Every number below this is settled, and need not be kept any longer.
    pub fn settled(&self) -> u64 {
        self.queue.settled
    }

    /// Nothing is left to say to the relay, neither an update nor a loss.
    pub fn all_settled(&self) -> bool {
        self.queue.all_settled()
    }

    /// The offset to the relay's clock, once there was an exchange.
    pub fn clock(&self) -> Option<Offset> {
        self.clock.offset()
    }

    /// The client's clock was set: what was learned of the offset is void.
    pub fn clock_jumped(&mut self) {
        self.clock = Clock::new();
    }

    /// Sends what is pending without waiting for company (the page is hidden, or `flush()`).
    pub fn hurry(&mut self) {
        self.hurry = true;
    }

    /// Ends the session once everything pending is settled: a `Bye` goes out, then [`Step::Close`].
    pub fn end(&mut self) {
        self.bye = true;
        self.hurry = true;
    }

    /// The socket is open: the `Hello` to send is written to `out`, and the answer is its length.
    pub fn opened(&mut self, about: Hello<'_>, now: Micros, out: &mut [u8]) -> usize {
        self.away = Away::Unasked;
        self.open = true;
        self.connection = Connection::new(now);
        let mut frame = Writer::new(out, 0);
        self.hello(about, now, &mut frame);
        frame.at
    }

    /// The socket is closed or could not be opened; `random` is uniform in [0, 1). The answer is how
    /// long to wait before the next try, or none: the relay does not want this session back, and what
    /// was pending is lost as rejected.
    pub fn closed(&mut self, now: Micros, random: f64) -> Option<Micros> {
        if self.open && now.saturating_sub(self.connection.opened_at) >= STABLE {
            self.attempts = 0;
        }
        self.open = false;
        self.queue.rewind();
        let (after, bound) = match core::mem::replace(&mut self.away, Away::Unasked) {
            Away::Never => {
                self.queue.abandon(LostReason::Rejected);
                return None;
            }
            Away::Back { after, jitter } => (after, jitter),
            Away::Unasked => {
                self.attempts += 1;
                (0, (BACKOFF_BASE << (self.attempts - 1).min(16)).min(BACKOFF_MAX))
            }
        };
        // Full jitter: uniform between nothing and the bound, so that the clients of one relay come back spread out
        // however they were cut off.
        Some(after + (bound as f64 * random) as Micros)
    }

    /// Gives up for good: everything pending is lost under `reason`.
    pub fn abandon(&mut self, reason: LostReason) {
        self.open = false;
        self.queue.abandon(reason);
    }

    /// Takes one frame from the relay.
    ///
    /// # Errors
    /// [`Malformed`] when the bytes are not a frame, which then has no effect; whoever owns the socket closes it.
    pub fn receive<'f>(&mut self, frame: &'f [u8], now: Micros) -> Result<Heard<'f>, Malformed> {
        let (kind, answer) = oneof(frame)?;
        let mut scanned = Scanned::default();
        scanned.read(answer)?;
        let Scanned { numbers: [_, first, second, third, fourth, ..], bytes } = scanned;
        // Where a kind of answer has its limits, its times and its refusals.
        let (limits, times, refused) = match kind {
            WELCOME => (bytes[3], bytes[5], 6),
            ACK => (&[][..], bytes[3], 4),
            _ => (&[][..], bytes[2], u64::MAX),
        };
        let offered = Offered::read(limits)?;
        let [_, relay_received, relay_sent, ..] = Scanned::numbers(times)?;
        Refused::check(answer, refused)?;
        if !self.open {
            return Ok(Heard::Continue);
        }
        self.connection.heard_at = now;
        let mut client_sent = Micros::MAX;
        match kind {
            WELCOME => {
                client_sent = self.connection.opened_at;
                self.connection.welcomed = true;
                self.connection.heartbeat = at_most_an_hour(fourth.max(HEARTBEAT_MIN_MS));
                (self.offered, self.credit) = (offered, second);
                if self.restored {
                    self.queue.skip_to(first);
                }
            }
            ACK if self.connection.timed_end <= first => {
                client_sent = self.connection.timed_at;
                self.connection.timed_end = u64::MAX;
            }
            PONG => client_sent = first,
            GO_AWAY => {
                self.away = match first {
                    2..=4 => Away::Never,
                    _ => Away::Back { after: at_most_an_hour(second), jitter: at_most_an_hour(third) },
                };
                return Ok(Heard::GoAway(bytes[4]));
            }
            _ => {}
        }
        if client_sent < Micros::MAX {
            self.clock.sample(Exchange { client_sent, relay_received, relay_sent, client_received: now });
        }
        if refused < u64::MAX {
            self.queue.settle(first, &mut Refused::of(answer, refused));
            let granted = self.queue.settled.saturating_add(second);
            self.connection.granted = self.connection.granted.max(granted);
        }
        Ok(Heard::Continue)
    }

    /// What to do now; a frame to send is written to `out`.
    pub fn step(&mut self, now: Micros, out: &mut [u8]) -> Step {
        if !self.open {
            return Step::Wait(Micros::MAX);
        }
        let connection = &mut self.connection;
        // A clock that was set back does not make a silent relay look alive for longer.
        connection.heard_at = connection.heard_at.min(now);
        connection.pinged_at = connection.pinged_at.min(now);
        let silent_at = connection.heard_at.saturating_add(2 * connection.heartbeat);
        if now >= silent_at {
            return Step::Close;
        }
        if !connection.welcomed {
            return Step::Wait(silent_at);
        }
        let mut frame = Writer::new(out, 0);
        connection.flushed_at = connection.flushed_at.min(now);
        let (granted, flushed_at) = (connection.granted, connection.flushed_at);
        let flush_at = self.queue.flush_at(granted, self.hurry, flushed_at, now);
        if flush_at <= now {
            connection.flushed_at = now;
            let sent = self.queue.log.mark(SENT).seq;
            let room = Room::of(self.offered.frame_bytes, granted, self.offered.batch_updates);
            self.send_batch(room, &mut frame);
            let end = self.queue.log.mark(SENT).seq;
            // Only the newest frame that will be acknowledged is timed: no later one delays its answer.
            if end > sent {
                (self.connection.timed_end, self.connection.timed_at) = (end, now);
            }
            return Step::Send(frame.at);
        }
        if self.queue.all_sent() {
            self.hurry = self.bye;
            if self.bye && self.queue.all_settled() {
                if connection.said_bye {
                    return Step::Close;
                }
                connection.said_bye = true;
                self.bye(&mut frame);
                return Step::Send(frame.at);
            }
        }
        let ping_at = connection.heard_at.max(connection.pinged_at).saturating_add(connection.heartbeat);
        if now >= ping_at {
            connection.pinged_at = now;
            frames::ping(now, &mut frame);
            return Step::Send(frame.at);
        }
        Step::Wait(ping_at.min(silent_at).min(flush_at))
    }
}

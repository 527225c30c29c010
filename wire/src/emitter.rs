//! The browser's session machine.
//!
//! ```text
//!            push, lose                     frame (Batch)
//!   app ─────────────────▶ Queue ──────────────────────────▶ socket
//!                            ▲                                  │
//!                            └────── settled ◀── receive ◀──────┘
//! ```
//! An update is pending from `push` until the relay says that it is settled; nothing else removes it.
//! At every moment `created = acknowledged + lost(reason) + pending`.

mod frames;
mod leave;
mod queue;

pub use crate::decode::Malformed;
pub use queue::{Key, NewUpdate, Stats, WhenFull};

use crate::clock::{Clock, Exchange, Offset};
use crate::ids::{IdStream, Ids};
use crate::{IdSeed, LostReason, Micros, SessionId, limits};
use frames::{Offered, Rejected, ServerFrame, Times};
use queue::{Allowance, Queue};

/// How long an update waits for company after a quiet time: what one click writes goes together.
pub const GATHER: Micros = 5_000;
/// How long after a batch the next may go: 20 frames a second at the most from a page that writes without
/// end. So a single click is in its trace at once, and a stream of writes is batched.
const FLUSH_AGE: Micros = 50_000;
/// A batch is sent without waiting once it has this many updates…
const FLUSH_COUNT: usize = 256;
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
#[derive(Debug, Clone)]
pub struct Config {
    /// Random, and kept over reconnects.
    pub session_id: SessionId,
    /// Random, and kept over reconnects.
    pub id_seed: IdSeed,
    /// OpenTelemetry resource attributes.
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

#[derive(Debug)]
struct Connection {
    opened_at: Micros,
    heard_at: Micros,
    pinged_at: Micros,
    heartbeat: Micros,
    welcomed: bool,
    /// Updates below this number may be sent.
    granted: u64,
    /// When the frames in flight were sent, with the number after their last update: for the clock.
    sent: Option<(u64, Micros)>,
    hello_at: Micros,
    keys_sent: usize,
    /// When the last batch went.
    flushed_at: Micros,
    said_bye: bool,
}

/// What a relay that is going away asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Away {
    Back { after: Micros, jitter: Micros },
    Never,
}

/// The emitter's end of a session.
#[derive(Debug)]
pub struct Emitter {
    config: Config,
    ids: IdStream,
    keys: Vec<Box<str>>,
    queue: Queue,
    clock: Clock,
    /// What the relay last heard from takes.
    offered: Offered,
    connection: Option<Connection>,
    attempts: u32,
    away: Option<Away>,
    hurry: bool,
    bye: bool,
    /// An earlier page began this session, and may have sent more than it kept.
    restored: bool,
}

impl Emitter {
    /// A session that has not connected yet.
    pub fn new(config: Config) -> Self {
        Self::at(config, 0)
    }

    /// A session whose first number is `base`.
    fn at(config: Config, base: u64) -> Self {
        Self {
            ids: IdStream::new(config.id_seed),
            queue: Queue::new(&config, base),
            config,
            keys: Vec::new(),
            clock: Clock::default(),
            offered: Offered::default(),
            connection: None,
            attempts: 0,
            away: None,
            hurry: false,
            bye: false,
            restored: false,
        }
    }

    /// The index of `key`, for [`Key::Index`]; none when the table is full or the key is beyond the
    /// protocol's limits (such a key goes inline, where `push` counts what cannot be carried).
    pub fn intern(&mut self, key: &str) -> Option<u32> {
        let known = self.keys.iter().position(|known| **known == *key);
        let index = known.or_else(|| {
            let fits = self.keys.len() < limits::KEYS && (1..=limits::KEY_BYTES).contains(&key.len());
            fits.then(|| {
                self.keys.push(key.into());
                self.keys.len() - 1
            })
        });
        index.map(|index| index as u32)
    }

    /// Takes an update. Always creates exactly one: pending, or lost with its reason.
    pub fn push(&mut self, update: &NewUpdate<'_>, now: Micros) {
        self.queue.push(update, self.offered.value_bytes, now);
    }

    /// Creates `count` updates that are lost already.
    pub fn lose(&mut self, count: u64, reason: LostReason) {
        self.queue.lose(count, reason);
    }

    /// The ids of the span at `position` of this session's id stream.
    pub fn ids(&mut self, position: u64) -> Ids {
        self.ids.at(position)
    }

    /// The account: it balances at every moment.
    pub fn stats(&self) -> Stats {
        self.queue.stats()
    }

    /// The offset to the relay's clock, once there was an exchange.
    pub fn clock(&self) -> Option<Offset> {
        self.clock.offset()
    }

    /// The client's clock was set: what was learned of the offset is void.
    pub fn clock_jumped(&mut self) {
        self.clock.reset();
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

    /// The socket is open; the answer is the `Hello` to send.
    pub fn opened(&mut self, now: Micros) -> Vec<u8> {
        self.away = None;
        self.connection = Some(Connection {
            opened_at: now,
            heard_at: now,
            pinged_at: now,
            heartbeat: BACKOFF_MAX,
            welcomed: false,
            granted: 0,
            sent: None,
            hello_at: now,
            keys_sent: 0,
            flushed_at: 0,
            said_bye: false,
        });
        frames::hello(&self.config, self.queue.first_unsettled(), now)
    }

    /// The socket is closed or could not be opened; `random` is uniform in [0, 1). The answer is how
    /// long to wait before the next try, or none: the relay does not want this session back, and what
    /// was pending is lost as rejected.
    pub fn closed(&mut self, now: Micros, random: f64) -> Option<Micros> {
        let stable = self.connection.take().is_some_and(|it| now.saturating_sub(it.opened_at) >= STABLE);
        self.queue.rewind();
        if stable {
            self.attempts = 0;
        }
        match self.away.take() {
            Some(Away::Never) => {
                self.queue.abandon(LostReason::Rejected);
                None
            }
            Some(Away::Back { after, jitter }) => Some(after + scale(jitter, random)),
            None => {
                // Full jitter: uniform between nothing and the bound, so that the clients of one relay
                // come back spread out however they were cut off.
                let bound = BACKOFF_BASE.saturating_mul(1 << self.attempts.min(16)).min(BACKOFF_MAX);
                self.attempts += 1;
                Some(scale(bound, random))
            }
        }
    }

    /// Gives up for good: everything pending is lost under `reason`.
    pub fn abandon(&mut self, reason: LostReason) {
        self.connection = None;
        self.queue.abandon(reason);
    }

    /// Takes one frame from the relay.
    ///
    /// # Errors
    /// [`Malformed`] when the bytes are not a frame; the shell closes the socket.
    pub fn receive(&mut self, frame: &[u8], now: Micros) -> Result<Event, Malformed> {
        let frame = frames::decode(frame)?;
        let Some(connection) = &mut self.connection else { return Ok(Event::Continue) };
        connection.heard_at = now;
        match frame {
            ServerFrame::Welcome { next_seq, credit, limits: offered, heartbeat, times, rejected } => {
                connection.welcomed = true;
                connection.heartbeat = heartbeat;
                self.offered = offered;
                self.offered.credit = credit;
                if self.restored {
                    self.queue.begin_at(next_seq);
                }
                let sent_at = connection.hello_at;
                self.clock.sample(exchange(sent_at, times, now));
                self.settle(next_seq, credit, &rejected);
            }
            ServerFrame::Ack { next_seq, credit, times, rejected } => {
                if let Some((_, sent_at)) = connection.sent.take_if(|(end, _)| *end <= next_seq) {
                    self.clock.sample(exchange(sent_at, times, now));
                }
                self.settle(next_seq, credit, &rejected);
            }
            ServerFrame::Pong { client_time, times } => {
                self.clock.sample(exchange(client_time, times, now));
            }
            ServerFrame::GoAway { final_: true, message, .. } => {
                self.away = Some(Away::Never);
                return Ok(Event::GoAway(message));
            }
            ServerFrame::GoAway { reconnect_after, jitter, message, .. } => {
                self.away = Some(Away::Back { after: reconnect_after, jitter });
                return Ok(Event::GoAway(message));
            }
            ServerFrame::Unknown => {}
        }
        Ok(Event::Continue)
    }

    fn settle(&mut self, next_seq: u64, credit: u64, rejected: &[Rejected]) {
        let settled = self.queue.settle(next_seq, rejected);
        if let Some(connection) = &mut self.connection {
            connection.granted = connection.granted.max(settled.saturating_add(credit));
        }
    }

    /// What to do now.
    pub fn step(&mut self, now: Micros) -> Step {
        let Some(connection) = &mut self.connection else { return Step::Wait(None) };
        // A clock that was set back does not make a silent relay look alive for longer.
        connection.heard_at = connection.heard_at.min(now);
        connection.pinged_at = connection.pinged_at.min(now);
        let silent_at = connection.heard_at.saturating_add(connection.heartbeat.saturating_mul(2));
        if now >= silent_at {
            return Step::Close;
        }
        if !connection.welcomed {
            return Step::Wait(Some(silent_at));
        }
        connection.flushed_at = connection.flushed_at.min(now);
        let flush_at = self.queue.flush_at(connection.granted, self.hurry, connection.flushed_at, now);
        if flush_at.is_some_and(|at| at <= now) {
            connection.flushed_at = now;
            let room = self.offered.room();
            let new_keys = &self.keys[connection.keys_sent..];
            let new_keys = &new_keys[..room.keys(new_keys)];
            connection.keys_sent += new_keys.len();
            let allowance = Allowance {
                granted: connection.granted,
                updates: self.offered.batch_updates,
                keys: connection.keys_sent,
                room,
            };
            let sent = self.queue.sent();
            let batch = self.queue.batch(allowance, room.updates);
            // Only the newest frame that will be acknowledged is timed: no later one delays its answer.
            if batch.end > sent {
                connection.sent = Some((batch.end, now));
            }
            return Step::Send(frames::batch(&batch, new_keys, self.clock.offset()));
        }
        if self.queue.all_sent() {
            self.hurry = self.bye;
            if self.bye && self.queue.all_settled() {
                if connection.said_bye {
                    return Step::Close;
                }
                connection.said_bye = true;
                return Step::Send(frames::bye(self.queue.created()));
            }
        }
        let ping_at = connection.heard_at.max(connection.pinged_at).saturating_add(connection.heartbeat);
        if now >= ping_at {
            connection.pinged_at = now;
            return Step::Send(frames::ping(now));
        }
        let wake = ping_at.min(silent_at);
        Step::Wait(Some(flush_at.map_or(wake, |at| at.min(wake))))
    }
}

fn exchange(client_sent: Micros, times: Times, client_received: Micros) -> Exchange {
    Exchange { client_sent, relay_received: times.received_at, relay_sent: times.sent_at, client_received }
}

fn scale(bound: Micros, random: f64) -> Micros {
    (bound as f64 * random.clamp(0.0, 1.0)) as Micros
}

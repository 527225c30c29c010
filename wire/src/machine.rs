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
mod reader;
mod writer;

pub use crate::decode::Malformed;
pub use frames::Hello;
pub use memory::{AREA_BYTES, IDS, IDS_BYTES, INPUT, LOG, Memory, OUTPUT, Text};
pub use queue::{Key, Parent, Stats, Update, WhenFull};

use crate::clock::{Clock, Exchange, Offset};
use crate::{LostReason, Micros, limits};
use answers::{ACK, GO_AWAY, Offered, PONG, Refused, WELCOME, at_most_an_hour};
use frames::{BYE, PING};
use log::{Log, SENT};
use memory::{IDS as SEED_END, KEY_PLACE, KEYS, SEED};
use queue::{ACKNOWLEDGED, BASE, COUNTS, CREATED, LOST, PENDING, SETTLED};
use reader::Reader;

/// How long an update waits for company after a quiet time: what one click writes goes together.
pub const GATHER: Micros = 5_000;
/// How long after a batch the next may go: five frames a second at the most from a page that writes without end. So a
/// single click is in its trace at once, and what a stream of writes costs beside the writes is next to nothing.
pub const FLUSH_AGE: Micros = 200_000;
/// A batch is sent without waiting once it has this many updates…
const FLUSH_COUNT: u64 = 256;
/// …or this many bytes, which is as much as goes into one: a browser takes 0.2 ms for a message alone, sent or heard, and
/// beyond 64 KiB the cost of each byte rises (measured in Chromium).
const FLUSH_BYTES: usize = 60 * 1024;

/// The first reconnect waits up to this long, doubled at each further try: 10,000 clients that lose their
/// relay at once knock up to 1.57/2 s * 10,000 = 7,800 times a second once it is back (`tests/it/storm.rs`)…
const BACKOFF_BASE: Micros = 2_000_000;
/// …up to this.
const BACKOFF_MAX: Micros = 30_000_000;
/// A connection that lived this long was a good one: the doubling starts anew.
const STABLE: Micros = 10_000_000;

/// What to do next.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// Send so many bytes, which stand at the output, then ask again.
    Send(usize),
    /// Close the socket: the relay has gone silent, or everything is said.
    Close,
    /// Ask again at this time, or sooner if something happens; never, at the end of time.
    Wait(Micros),
}

/// What a frame from the relay meant.
#[derive(Debug, PartialEq, Eq)]
pub enum Heard {
    /// Ask for the next step.
    Continue,
    /// The relay will close the connection: say so to people, close, and do what `closed` says. UTF-8, as a rule.
    GoAway(Text),
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
    /// The newest frame in flight, for the clock: the number after its last update, zero where none is…
    timed_end: u64,
    /// …and when it was sent.
    timed_at: Micros,
    /// So many of the table of keys were introduced.
    keys: u32,
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
            timed_end: 0,
            timed_at: 0,
            keys: 0,
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
    Back,
    Never,
}

/// The emitter's end of a session.
#[derive(Debug)]
pub struct Machine<M> {
    memory: M,
    /// Where the next byte is written.
    at: usize,
    reader: Reader,
    refused: Refused,
    log: Log,
    /// The account: see [`Machine::number_of`].
    counts: [u64; COUNTS],
    /// What the pending updates take, as encoded.
    bytes: usize,
    /// What of it was ever sent: updates, and bytes.
    sent_updates: usize,
    sent_bytes: usize,
    max_updates: usize,
    max_bytes: usize,
    when_full: WhenFull,
    /// How many keys are in the table.
    keys: u32,
    clock: Clock,
    /// What the relay last heard from takes.
    offered: Offered,
    open: bool,
    connection: Connection,
    /// How many lost ranges the frame being written has room for.
    ranges_left: usize,
    /// Over how long the next try is spread out, within its bounds.
    backoff: Micros,
    away: Away,
    /// When a relay that goes away wants to be tried again, and over how long its clients are spread out.
    away_after: Micros,
    away_jitter: Micros,
    hurry: bool,
    bye: bool,
}

impl<M: Memory> Machine<M> {
    /// Nobody's session, until `start`. All zeros, as far as can be: those take no place in the module.
    pub const fn new(memory: M) -> Self {
        Self {
            memory,
            at: 0,
            reader: Reader::NEW,
            refused: Refused::NEW,
            log: Log::NEW,
            counts: [0; COUNTS],
            bytes: 0,
            sent_updates: 0,
            sent_bytes: 0,
            max_updates: 0,
            max_bytes: 0,
            when_full: WhenFull::DropNewest,
            keys: 0,
            clock: Clock::ZERO,
            offered: Offered::NONE,
            open: false,
            connection: Connection { heartbeat: 0, ..Connection::new(0) },
            ranges_left: 0,
            backoff: 0,
            away: Away::Unasked,
            away_after: 0,
            away_jitter: 0,
            hurry: false,
            bye: false,
        }
    }

    /// A session that has not connected yet. The seed of its ids stands at the input: 32 bytes, random and kept over
    /// reconnects. `max_updates` may be pending, and `max_bytes` of them as encoded.
    pub fn start(&mut self, max_updates: usize, max_bytes: usize, when_full: WhenFull) {
        self.memory.copy(INPUT, SEED, SEED_END - SEED);
        (self.max_updates, self.max_bytes, self.log.most_ranges) = (max_updates, max_bytes, max_updates);
        self.when_full = when_full;
        self.log.clear();
        self.clock.forget();
        self.offered.set(0, 0, 0);
    }

    /// The index of a new key, for [`Key::Index`], whose `len` bytes stand at the input; none when the table is full
    /// or the key is beyond the protocol's limits (such a key goes inline, where `push` counts what cannot be
    /// carried). Asked once for each.
    pub fn intern(&mut self, len: usize) -> Option<u32> {
        if self.keys as usize == limits::KEYS || !(1..=limits::KEY_BYTES).contains(&len) {
            return None;
        }
        let place = KEYS + self.keys as usize * KEY_PLACE;
        self.set_word(place, len as u64);
        self.memory.copy(INPUT, place + 8, len);
        self.keys += 1;
        Some(self.keys - 1)
    }

    /// Creates `count` updates that are lost already.
    pub fn lose(&mut self, count: u64, reason: LostReason) {
        self.lose_some(count, reason as u64);
    }

    /// A number of the account, which balances at every moment: 0 the number after the newest, 1 acknowledged, 2
    /// pending, from 3 on lost, by reason in the order of their numbers; then the number below which all is settled,
    /// and the first number that this session knows of.
    pub fn number_of(&self, which: usize) -> u64 {
        self.counts[which % COUNTS]
    }

    /// The account.
    pub fn stats(&self) -> Stats {
        let mut lost = [0; LostReason::ALL.len()];
        lost.copy_from_slice(&self.counts[LOST + 1..SETTLED]);
        Stats {
            created: self.counts[CREATED] - self.counts[BASE],
            acknowledged: self.counts[ACKNOWLEDGED],
            pending: self.counts[PENDING],
            lost,
        }
    }

    /// Every number below this is settled, and need not be kept any longer.
    pub fn settled(&self) -> u64 {
        self.counts[SETTLED]
    }

    /// Nothing is left to say to the relay, neither an update nor a loss.
    pub fn all_settled(&self) -> bool {
        self.counts[SETTLED] == self.counts[CREATED]
    }

    /// The offset to the relay's clock, once there was an exchange.
    pub fn clock(&self) -> Option<Offset> {
        self.clock.offset()
    }

    /// The client's clock was set: what was learned of the offset is void.
    pub fn clock_jumped(&mut self) {
        self.clock.forget();
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

    /// The socket is open: the `Hello` to send is written to the output, and the answer is its length.
    pub fn opened(&mut self, about: Hello, now: Micros) -> usize {
        self.away = Away::Unasked;
        self.open = true;
        self.at = OUTPUT;
        self.hello(about, now);
        self.at - OUTPUT
    }

    /// The socket is closed or could not be opened; `random` is uniform in [0, 1). The answer is how
    /// long to wait before the next try, or none: the relay does not want this session back, and what
    /// was pending is lost as rejected.
    pub fn closed(&mut self, now: Micros, random: f64) -> Option<Micros> {
        if self.open && now >= self.connection.opened_at + STABLE {
            self.backoff = 0;
        }
        self.open = false;
        let (mut after, mut bound) = (self.away_after, self.away_jitter);
        match core::mem::replace(&mut self.away, Away::Unasked) {
            Away::Never => {
                self.abandon(LostReason::Rejected);
                return None;
            }
            Away::Back => {}
            Away::Unasked => {
                after = 0;
                bound = self.backoff.clamp(BACKOFF_BASE, BACKOFF_MAX);
                self.backoff = 2 * bound;
            }
        }
        self.rewind();
        // Full jitter: uniform between nothing and the bound, so that the clients of one relay come back spread out
        // however they were cut off.
        Some(after + (bound as f64 * random) as Micros)
    }

    /// Gives up for good: everything pending is lost under `reason`.
    pub fn abandon(&mut self, reason: LostReason) {
        self.open = false;
        self.abandon_all(reason as u64);
    }

    /// Takes one frame from the relay, of so many bytes at the input.
    ///
    /// # Errors
    /// [`Malformed`] when the bytes are not a frame, which then has no effect; whoever owns the socket closes it.
    pub fn receive(&mut self, len: usize, now: Micros) -> Result<Heard, Malformed> {
        let kind = self.read_frame(len);
        let answer = self.reader.rest();
        self.scan(answer);
        let [_, first, second, third, fourth, ..] = self.reader.numbers;
        let message = self.reader.texts[4];
        // Where a kind of answer has its limits, its times and its refusals.
        let (limits, times, refused) = match kind {
            WELCOME => (self.reader.texts[3], 5, 6),
            ACK => (Text::default(), 3, 4),
            _ => (Text::default(), 2, 0),
        };
        let times = self.reader.texts[times];
        self.scan(limits);
        let [_, frame, updates, value, ..] = self.reader.numbers;
        self.scan(times);
        let [_, relay_received, relay_sent, ..] = self.reader.numbers;
        self.read_refused(answer, refused);
        if let Some(fault) = self.reader.fault {
            return Err(fault);
        }
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
                self.offered.set(frame, updates, value);
            }
            ACK if (1..=first).contains(&self.connection.timed_end) => {
                client_sent = self.connection.timed_at;
                self.connection.timed_end = 0;
            }
            PONG => client_sent = first,
            GO_AWAY => {
                self.away = if matches!(first, 2..=4) { Away::Never } else { Away::Back };
                self.away_after = at_most_an_hour(second);
                self.away_jitter = at_most_an_hour(third);
                return Ok(Heard::GoAway(message));
            }
            _ => {}
        }
        // An answer that says nothing of time has none of the relay's.
        if client_sent < Micros::MAX && relay_sent > 0 {
            self.clock.sample(Exchange { client_sent, relay_received, relay_sent, client_received: now });
        }
        if refused > 0 {
            self.settle(first);
            self.connection.granted = self.connection.granted.max(self.counts[SETTLED] + second);
        }
        Ok(Heard::Continue)
    }

    /// What to do now; a frame to send is written to the output.
    pub fn step(&mut self, now: Micros) -> Step {
        if !self.open {
            return Step::Wait(Micros::MAX);
        }
        let connection = &mut self.connection;
        // A clock that was set back does not make a silent relay look alive for longer.
        connection.heard_at = connection.heard_at.min(now);
        connection.pinged_at = connection.pinged_at.min(now);
        connection.flushed_at = connection.flushed_at.min(now);
        let silent_at = connection.heard_at + 2 * connection.heartbeat;
        let ping_at = connection.heard_at.max(connection.pinged_at) + connection.heartbeat;
        if now >= silent_at {
            return Step::Close;
        }
        if !connection.welcomed {
            return Step::Wait(silent_at);
        }
        self.at = OUTPUT;
        let flush_at = self.flush_at(now);
        if flush_at <= now {
            self.connection.flushed_at = now;
            let sent = self.log.mark(SENT).seq;
            self.send_batch(self.offered.frame_bytes);
            let end = self.log.mark(SENT).seq;
            // Only the newest frame that will be acknowledged is timed: no later one delays its answer.
            if end > sent {
                (self.connection.timed_end, self.connection.timed_at) = (end, now);
            }
            return Step::Send(self.at - OUTPUT);
        }
        if self.all_sent() {
            self.hurry = self.bye;
            if self.bye && self.all_settled() {
                if self.connection.said_bye {
                    return Step::Close;
                }
                self.connection.said_bye = true;
                self.number_frame(BYE, self.counts[CREATED]);
                return Step::Send(self.at - OUTPUT);
            }
        }
        if now >= ping_at {
            self.connection.pinged_at = now;
            self.number_frame(PING, now);
            return Step::Send(self.at - OUTPUT);
        }
        Step::Wait(ping_at.min(silent_at).min(flush_at))
    }
}

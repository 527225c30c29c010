//! The relay's session machine: one [`Session`] a connection, one [`Ledger`] a session.
//!
//! ```text
//!   socket ── receive ──▶ Event::Batch(Accepted) ──▶ bus
//!     ▲                                               │
//!     └────────── ack ◀────────── settled ◀───────────┘
//! ```
//! An update is accepted once (the ledger drops what it has seen), and acknowledged only when whoever
//! publishes it has said that it is settled. That may be later than the connection ends: the ledger goes from
//! one to the next with what is accepted and not settled.

mod accept;
mod ledger;
mod shape;

pub use accept::{Accepted, RejectedRange, Rejection, Update, check_value};
pub use ledger::Ledger;

use crate::clock::Offset;
use crate::decode::Malformed;
use crate::proto::{self, client_frame, server_frame};
use crate::{IdSeed, Micros, SessionId, ids, limits};
use bytes::Bytes;
use prost::Message;
use std::sync::Arc;

/// What a relay takes, and says in `Welcome`.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Bytes of one frame, [`limits::FRAME_BYTES_MIN`] or more.
    pub frame_bytes: usize,
    /// Updates of one batch.
    pub batch_updates: usize,
    /// Bytes of one value.
    pub value_bytes: usize,
    /// After how many milliseconds of silence a client sends a `Ping`.
    pub heartbeat_interval_ms: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            frame_bytes: limits::FRAME_BYTES,
            batch_updates: limits::BATCH_UPDATES,
            value_bytes: limits::VALUE_BYTES,
            // Under the 30 to 60 s after which proxies drop silent connections.
            heartbeat_interval_ms: 20_000,
        }
    }
}

/// The client broke the protocol; the connection ends with a `GoAway` that says this.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Violation {
    /// The bytes are not a frame.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// The bytes have the shape of a frame, but not this schema's types.
    #[error("malformed frame: {0}")]
    Schema(String),
    /// The first frame must be `Hello`, and only the first.
    #[error("{0}")]
    Order(&'static str),
    /// A field has the wrong length.
    #[error("{field} must be {expected} bytes, got {got}")]
    Length {
        /// The field.
        field: &'static str,
        /// Its only length.
        expected: usize,
        /// The length that came.
        got: usize,
    },
    /// A field is larger, or a list longer, than the limit.
    #[error("{field} is {got}, the limit is {limit}")]
    Limit {
        /// The field.
        field: &'static str,
        /// The limit.
        limit: u64,
        /// What came.
        got: u64,
    },
    /// Sequence numbers were skipped.
    #[error("the batch begins at {got}, but {expected} is next: numbers that will not come belong into lost")]
    Hole {
        /// The next number that the ledger waits for.
        expected: u64,
        /// The number that came.
        got: u64,
    },
    /// Ranges in `lost` are reversed, out of order, or overlap.
    #[error("lost must be ascending and disjoint from itself and the updates, at {0}")]
    Overlap(u64),
    /// The client sent more than it was granted.
    #[error("update {seq} is beyond the credit, which ends at {granted}")]
    Credit {
        /// The first number beyond.
        seq: u64,
        /// The end of the credit.
        granted: u64,
    },
    /// The client ends its session and leaves numbers open.
    #[error("bye.next_seq is {got}, but {expected} is next: what was made is sent, or lost, before bye")]
    Bye {
        /// The next number that the ledger waits for.
        expected: u64,
        /// How many updates the client says that it made.
        got: u64,
    },
}

/// The answer to whatever follows `Hello` too soon.
const BEFORE_WELCOME: Violation = Violation::Order("a frame before welcome");

/// A valid `Hello`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hello {
    /// Names the session; derived from the seed, so that only its owner can say so.
    pub session_id: SessionId,
    /// What its ids are derived from.
    pub id_seed: IdSeed,
    /// OpenTelemetry resource attributes.
    pub resource: Vec<(String, String)>,
    /// What the operator asked for.
    pub token: String,
    /// Everything below is settled from the client's point of view.
    pub first_unacked_seq: u64,
}

/// What a frame asks of the shell.
#[derive(Debug)]
pub enum Event {
    /// Authorise, find the ledger, call [`Session::attach`].
    Hello(Hello),
    /// Publish, then call [`Session::settled`] with `accepted.end`.
    Batch(Accepted),
    /// An `ExportTraceServiceRequest` to validate and pass on.
    Spans(Bytes),
    /// Send this.
    Reply(Bytes),
    /// The session ends: every number below this one is accounted for.
    Bye(u64),
}

/// One connection of a session.
#[derive(Debug)]
pub struct Session {
    limits: Limits,
    keys: Vec<Option<Arc<str>>>,
    ledger: Option<Ledger>,
    clock: Offset,
    /// Updates below this number may come.
    granted: u64,
    /// When the newest batch with numbers came, for the client's clock…
    received_at: Micros,
    /// …and the number after the last that it accounts for.
    received_end: u64,
    hello_at: Option<Micros>,
    /// The last answer's `next_seq`.
    acked: u64,
    said_bye: bool,
}

impl Session {
    /// A connection that waits for its `Hello`.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            keys: Vec::new(),
            ledger: None,
            clock: Offset::default(),
            granted: 0,
            received_at: 0,
            received_end: 0,
            hello_at: None,
            acked: 0,
            said_bye: false,
        }
    }

    /// Takes one frame. Updates that it carries and that are wrong in themselves are in the ledger as
    /// rejected; the batch's others are not touched by them.
    ///
    /// # Errors
    /// A [`Violation`] ends the connection; the ledger is as it was before the frame.
    pub fn receive(&mut self, frame: &Bytes, now: Micros) -> Result<Event, Violation> {
        limit("frame", self.limits.frame_bytes, frame.len())?;
        shape::check(frame, &self.limits)?;
        let frame =
            proto::ClientFrame::decode(frame.clone()).map_err(|it| Violation::Schema(it.to_string()))?;
        match (frame.frame, self.hello_at) {
            (Some(client_frame::Frame::Hello(hello)), None) => {
                self.hello_at = Some(now);
                read_hello(hello, now).map(|(hello, clock)| {
                    self.clock = clock;
                    Event::Hello(hello)
                })
            }
            (Some(client_frame::Frame::Hello(_)), Some(_)) => Err(Violation::Order("a second hello")),
            (_, None) => Err(Violation::Order("the first frame must be hello")),
            // Nothing of a client that is not authorised yet goes anywhere.
            (Some(_), Some(_)) if self.ledger.is_none() => Err(BEFORE_WELCOME),
            (Some(_), Some(_)) if self.said_bye => Err(Violation::Order("a frame after bye")),
            (Some(client_frame::Frame::Batch(batch)), _) => {
                let end = end(&batch);
                let accepted = self.accept(batch, now)?;
                // One that only brings keys is no update's.
                if end > 0 {
                    (self.received_at, self.received_end) = (now, end);
                }
                Ok(Event::Batch(accepted))
            }
            (Some(client_frame::Frame::OtlpSpans(spans)), _) => {
                Ok(Event::Spans(spans.export_trace_service_request))
            }
            (Some(client_frame::Frame::Ping(ping)), _) => {
                let pong = proto::Pong { client_time_us: ping.client_time_us, times: Some(times(now, now)) };
                Ok(Event::Reply(encode(server_frame::Frame::Pong(pong))))
            }
            (Some(client_frame::Frame::Bye(bye)), _) => self.end(bye.next_seq).map(Event::Bye),
            (None, _) => Err(Violation::Schema("no frame of this version".into())),
        }
    }

    fn end(&mut self, got: u64) -> Result<u64, Violation> {
        let expected = self.ledger.as_ref().map_or(0, Ledger::accepted);
        // A page that speaks for an earlier one may know of less than that one sent.
        if got > expected {
            return Err(Violation::Bye { expected, got });
        }
        self.said_bye = true;
        Ok(expected)
    }

    /// Goes on with `ledger`. What is accepted in there and not settled must be on the bus: the client sends it
    /// again, and it is dropped as a duplicate. The answer is the `Welcome` to send, by which the client may have
    /// `credit` updates, up to [`limits::CREDIT`], beyond what is settled.
    pub fn attach(&mut self, ledger: Ledger, now: Micros, credit: u32) -> Bytes {
        let next_seq = ledger.settled();
        let rejected = ledger.rejected_from(0);
        self.ledger = Some(ledger);
        self.acked = next_seq;
        self.granted = self.bound(credit);
        let welcome = proto::Welcome {
            next_seq,
            credit: (self.granted - next_seq) as u32,
            heartbeat_interval_ms: self.limits.heartbeat_interval_ms,
            limits: Some(proto::Limits {
                frame_bytes: self.limits.frame_bytes as u32,
                batch_updates: self.limits.batch_updates as u32,
                value_bytes: self.limits.value_bytes as u32,
            }),
            times: Some(times(self.hello_at.unwrap_or(now), now)),
            rejected,
        };
        encode(server_frame::Frame::Welcome(welcome))
    }

    /// Gives the ledger back, for the session's next connection.
    pub fn detach(&mut self) -> Option<Ledger> {
        let mut ledger = self.ledger.take()?;
        ledger.rest();
        Some(ledger)
    }

    /// Everything below `end` is settled.
    pub fn settled(&mut self, end: u64) {
        if let Some(ledger) = &mut self.ledger {
            ledger.advance_settled(end);
        }
    }

    /// The `Ack` for what was settled since the last answer, or for `credit` that lets the client send more than
    /// that one did; none when there is neither. `credit` is as in [`Session::attach`]; less than before takes
    /// nothing back that was granted.
    pub fn ack(&mut self, now: Micros, credit: u32) -> Option<Bytes> {
        let granted = self.bound(credit);
        let settled = self.ledger.as_ref()?.settled();
        if (settled, granted) == (self.acked, self.granted) {
            return None;
        }
        let since = self.acked;
        (self.acked, self.granted) = (settled, granted);
        self.answer(since, now)
    }

    /// The last answer's numbers once more, for a client that the relay has nothing else to say to and does not
    /// read from: a sign of life.
    pub fn heartbeat(&self, now: Micros) -> Option<Bytes> {
        self.answer(self.acked, now)
    }

    /// An `Ack` with what was refused from `since` on.
    fn answer(&self, since: u64, now: Micros) -> Option<Bytes> {
        let next_seq = self.acked;
        // What is settled beyond the newest batch came by another connection: who takes it for an answer to a
        // batch that is still under way would see the wrong time.
        let times = (next_seq <= self.received_end).then(|| times(self.received_at, now));
        let rejected = self.ledger.as_ref()?.rejected_from(since);
        let credit = (self.granted - next_seq) as u32;
        Some(encode(server_frame::Frame::Ack(proto::Ack { next_seq, credit, times, rejected })))
    }

    /// The number that updates must stay below: it never moves back.
    fn bound(&self, credit: u32) -> u64 {
        let settled = self.ledger.as_ref().map_or(0, Ledger::settled);
        self.granted.max(settled + u64::from(credit.min(limits::CREDIT)))
    }
}

/// A `GoAway`; its delays are in milliseconds.
pub fn go_away(reason: proto::GoAwayReason, after_ms: u32, jitter_ms: u32, message: &str) -> Bytes {
    encode(server_frame::Frame::GoAway(proto::GoAway {
        reason: reason.into(),
        reconnect_after_ms: after_ms,
        jitter_ms,
        message: message.into(),
    }))
}

fn encode(frame: server_frame::Frame) -> Bytes {
    proto::ServerFrame { frame: Some(frame) }.encode_to_vec().into()
}

fn times(received_at_us: Micros, sent_at_us: Micros) -> proto::Times {
    proto::Times { received_at_us, sent_at_us }
}

/// The number after the last that a batch accounts for; zero where it accounts for none.
fn end(batch: &proto::Batch) -> u64 {
    let updates = match batch.updates.len() {
        0 => 0,
        count => batch.first_seq.saturating_add(count as u64),
    };
    batch.lost.last().map_or(0, |range| range.last.saturating_add(1)).max(updates)
}

fn limit(field: &'static str, limit: usize, got: usize) -> Result<(), Violation> {
    seq_limit(field, limit as u64, got as u64)
}

fn seq_limit(field: &'static str, limit: u64, got: u64) -> Result<(), Violation> {
    if got > limit {
        return Err(Violation::Limit { field, limit, got });
    }
    Ok(())
}

/// Checks a `Hello`; before any exchange the best guess is that it took no time to arrive.
fn read_hello(hello: proto::Hello, now: Micros) -> Result<(Hello, Offset), Violation> {
    let clock = Offset { micros: now.wrapping_sub(hello.client_time_us) as i64, error: Micros::MAX };
    limit("hello.token", limits::TOKEN_BYTES, hello.token.len())?;
    seq_limit("hello.first_unacked_seq", limits::SEQ_END - 1, hello.first_unacked_seq)?;
    for attribute in &hello.resource {
        limit("hello.resource.key", limits::ATTRIBUTE_BYTES, attribute.key.len())?;
        limit("hello.resource.value", limits::ATTRIBUTE_BYTES, attribute.value.len())?;
    }
    let id_seed = exactly("hello.id_seed", &hello.id_seed)?;
    let hello = Hello {
        session_id: ids::session_id(id_seed),
        id_seed,
        resource: hello.resource.into_iter().map(|it| (it.key, it.value)).collect(),
        token: hello.token,
        first_unacked_seq: hello.first_unacked_seq,
    };
    Ok((hello, clock))
}

fn exactly<const N: usize>(field: &'static str, bytes: &[u8]) -> Result<[u8; N], Violation> {
    bytes.try_into().map_err(|_| Violation::Length { field, expected: N, got: bytes.len() })
}

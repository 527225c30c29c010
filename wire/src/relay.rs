//! The relay's session machine: one [`Session`] a connection, one [`Ledger`] a session.
//!
//! ```text
//!   socket ── receive ──▶ Event::Batch(Accepted) ──▶ bus
//!     ▲                                               │
//!     └────────── ack ◀────────── settled ◀───────────┘
//! ```
//! An update is accepted once (the ledger drops what it has seen), and acknowledged only when whoever
//! publishes it has said so.

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
    /// Updates that one connection may have unsettled, up to [`limits::REJECTED_RANGES`].
    pub credit: u32,
    /// After how many milliseconds of silence a client sends a `Ping`.
    pub heartbeat_interval_ms: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            frame_bytes: limits::FRAME_BYTES,
            batch_updates: limits::BATCH_UPDATES,
            value_bytes: limits::VALUE_BYTES,
            credit: limits::REJECTED_RANGES as u32,
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
    /// The session ends. It made this many updates, and every one is accounted for.
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
    /// When the newest batch came, for the client's clock.
    received_at: Micros,
    hello_at: Option<Micros>,
    acked: u64,
    said_bye: bool,
}

impl Session {
    /// A connection that waits for its `Hello`.
    pub fn new(limits: Limits) -> Self {
        let credit = limits.credit.min(limits::REJECTED_RANGES as u32);
        Self {
            limits: Limits { credit, ..limits },
            keys: Vec::new(),
            ledger: None,
            clock: Offset::default(),
            granted: 0,
            received_at: 0,
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
            (Some(client_frame::Frame::Batch(batch)), _) => self.accept(batch, now).map(Event::Batch),
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
        if got != expected {
            return Err(Violation::Bye { expected, got });
        }
        self.said_bye = true;
        Ok(got)
    }

    /// Goes on with `ledger`, of whose updates none may still be on their way to the bus from an earlier
    /// connection (see [`Session::is_settled`]); the answer is the `Welcome` to send.
    pub fn attach(&mut self, ledger: Ledger, now: Micros) -> Bytes {
        let next_seq = ledger.settled();
        self.acked = next_seq;
        self.granted = next_seq + u64::from(self.limits.credit);
        let welcome = proto::Welcome {
            next_seq,
            credit: self.limits.credit,
            heartbeat_interval_ms: self.limits.heartbeat_interval_ms,
            limits: Some(proto::Limits {
                frame_bytes: self.limits.frame_bytes as u32,
                batch_updates: self.limits.batch_updates as u32,
                value_bytes: self.limits.value_bytes as u32,
            }),
            times: Some(times(self.hello_at.unwrap_or(now), now)),
            rejected: ledger.rejected_from(0),
        };
        self.ledger = Some(ledger);
        encode(server_frame::Frame::Welcome(welcome))
    }

    /// Gives the ledger back, for the session's next connection.
    pub fn detach(&mut self) -> Option<Ledger> {
        let mut ledger = self.ledger.take()?;
        ledger.rest();
        Some(ledger)
    }

    /// Everything below `end` is published, but for `dropped`, ascending, which the bus did not take.
    pub fn settled(&mut self, end: u64, dropped: &[u64]) {
        if let Some(ledger) = &mut self.ledger {
            ledger.settle(end, dropped);
        }
    }

    /// Whether everything accepted is settled.
    pub fn is_settled(&self) -> bool {
        self.ledger.as_ref().is_none_or(|ledger| ledger.settled() == ledger.accepted())
    }

    /// The `Ack` for what was settled since the last; none when nothing was.
    pub fn ack(&mut self, now: Micros) -> Option<Bytes> {
        let ledger = self.ledger.as_ref()?;
        let next_seq = ledger.settled();
        if next_seq == self.acked {
            return None;
        }
        let rejected = ledger.rejected_from(self.acked);
        self.acked = next_seq;
        self.granted = next_seq + u64::from(self.limits.credit);
        let times = Some(times(self.received_at, now));
        let ack = proto::Ack { next_seq, credit: self.limits.credit, times, rejected };
        Some(encode(server_frame::Frame::Ack(ack)))
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

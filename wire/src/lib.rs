//! The Atomwire protocol: bytes and rules, no sockets, no clock, no async.
//!
//! `PROTOCOL.md` is the normative text. The two session machines are sans-I/O: time goes in as
//! microseconds since the Unix epoch ([`Micros`]), bytes go in and come out, and whoever owns the
//! socket does the rest. The browser's half ([`machine`]) encodes by hand and needs neither the standard library
//! nor an allocator, because a module that people download must be small; [`emitter`] is the same for native
//! programs. The relay's half ([`relay`]) decodes with prost. What the relay and the bus's subscribers say to each other
//! ([`zmtp`]) is `ZeroMQ`'s protocol, and none of ours.

#![cfg_attr(not(feature = "relay"), no_std)]

pub mod clock;
mod decode;
#[cfg(feature = "relay")]
pub mod emitter;
pub mod ids;
pub mod limits;
pub mod machine;
#[cfg(feature = "relay")]
pub mod proto;
#[cfg(feature = "relay")]
pub mod relay;
#[cfg(feature = "relay")]
pub mod zmtp;

/// Microseconds: since the Unix epoch for a point in time, plain for a duration.
pub type Micros = u64;

/// The WebSocket subprotocol of version 1.
pub const SUBPROTOCOL: &str = "atomwire.v1";

/// The 16 bytes that name a session, derived from its seed ([`ids::session_id`]).
pub type SessionId = [u8; 16];

/// The 32 random bytes from which a session's id and those of its traces and spans are derived.
pub type IdSeed = [u8; 32];

/// A W3C trace context: the parent of an update's span.
#[cfg(feature = "relay")]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParentContext {
    /// 16 bytes, not all zero.
    pub trace_id: [u8; 16],
    /// 8 bytes, not all zero.
    pub span_id: [u8; 8],
    /// W3C trace flags; meaningless when `local`.
    pub flags: u8,
    /// The parent is a span of this same session, so that sampling is the relay's to decide.
    pub local: bool,
    /// W3C tracestate as it came, unchecked; empty where there is none.
    pub tracestate: String,
}

/// Why an update will never be sent. The numbers are those of `LostReason` in the schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LostReason {
    /// The emitter's queue was at its bound.
    QueueFull = 1,
    /// One update was larger than the protocol carries.
    TooLarge = 2,
    /// JSON could not hold the value, and the app asked for such updates to be dropped.
    NotSerializable = 3,
    /// The page went away with updates that did not fit into its last request.
    PageClosed = 4,
    /// The relay refused it.
    Rejected = 5,
    /// The emitter itself failed (no WebAssembly, a trap).
    EmitterFailed = 6,
    /// The page died without a word; the next page of the origin found its note.
    PageKilled = 7,
}

impl LostReason {
    /// Every reason, in the order of their numbers.
    pub const ALL: [Self; 7] = [
        Self::QueueFull,
        Self::TooLarge,
        Self::NotSerializable,
        Self::PageClosed,
        Self::Rejected,
        Self::EmitterFailed,
        Self::PageKilled,
    ];

    /// The reason of that number; a failure of the emitter's where it is none.
    pub fn of(number: u64) -> Self {
        match number {
            1 => Self::QueueFull,
            2 => Self::TooLarge,
            3 => Self::NotSerializable,
            4 => Self::PageClosed,
            5 => Self::Rejected,
            7 => Self::PageKilled,
            _ => Self::EmitterFailed,
        }
    }

    /// The name under which it is counted everywhere: in `stats()`, on the bus, in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::QueueFull => "queue_full",
            Self::TooLarge => "too_large",
            Self::NotSerializable => "not_serializable",
            Self::PageClosed => "page_closed",
            Self::Rejected => "rejected",
            Self::EmitterFailed => "emitter_failed",
            Self::PageKilled => "page_killed",
        }
    }
}

/// What an update's value lacks. The numbers are those of `Omitted` in the schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Omitted {
    /// All of it: JSON cannot hold it.
    Value = 1,
    /// Parts that JSON cannot hold, which stand as `JSON.stringify` leaves them.
    Parts = 2,
}

/// Updates `first` to `last`, both included, which will never be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LostRange {
    /// The first sequence number.
    pub first: u64,
    /// The last sequence number.
    pub last: u64,
    /// Why.
    pub reason: LostReason,
}

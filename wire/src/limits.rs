//! What the protocol carries at the most, and why.
//!
//! A relay may take less and says so in `Welcome`; it never takes more.

/// One frame. A value of the largest size fits beside a share of new keys and lost ranges; a hostile
/// frame costs no more than this to receive.
pub const FRAME_BYTES: usize = 512 * 1024;

/// The least that a relay may offer to take as one frame: the longest key and an update of 2 KiB fit.
pub const FRAME_BYTES_MIN: usize = 4096;

/// One value's JSON text. A state atom larger than this is a document store in disguise; 256 KiB is
/// also what a second of a slow 2 Mbit/s uplink carries.
pub const VALUE_BYTES: usize = 256 * 1024;

/// How deep a value's arrays and objects may nest: what every JSON reader on the bus can take
/// (Python's recursion limit is 1,000, .NET's reader stops at 64 unless told otherwise).
pub const VALUE_DEPTH: usize = 64;

/// An atom's key. Long enough for a path with two ids in it, short enough to be a span name.
pub const KEY_BYTES: usize = 256;

/// Keys a connection may intern; later ones travel in full. 1,024 keys of 256 bytes bound what a
/// connection pins to 256 KiB.
pub const KEYS: usize = 1024;

/// Updates in one batch: a frame of 1,024 small updates is about 64 KiB.
pub const BATCH_UPDATES: usize = 1024;

/// Lost ranges in one batch.
pub const BATCH_LOST: usize = 256;

/// Attributes of one update, or of a resource.
pub const ATTRIBUTES: usize = 64;

/// One attribute's key, and one attribute's value.
pub const ATTRIBUTE_BYTES: usize = 1024;

/// An error's type; its message may be `ATTRIBUTE_BYTES`.
pub const ERROR_TYPE_BYTES: usize = 128;

/// A tracestate: W3C asks for 512 to be carried.
pub const TRACESTATE_BYTES: usize = 512;

/// The token of a `Hello`: a JWT with room to spare.
pub const TOKEN_BYTES: usize = 4096;

/// Sequence numbers stay below 2^53, so that any language's JSON numbers hold them exactly.
pub const SEQ_END: u64 = 1 << 53;

/// The longest write, in microseconds: what claims to be longer than a day counts as a day, so that no client moves its
/// beginning out of this century.
pub const DURATION: u64 = 24 * 60 * 60 * 1_000_000;

/// The greatest credit, and that of every last request: 4,096 updates are 100 ms of one browser that writes 40,000 times
/// a second; more only fills queues.
pub const CREDIT: u32 = 4096;

/// Rejected ranges in one answer: were all updates in flight refused, each could still be named.
pub const REJECTED_RANGES: usize = CREDIT as usize;

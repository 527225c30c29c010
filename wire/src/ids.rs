//! Session, trace and span ids, derived rather than sent.
//!
//! Position *p* of a session's id stream is the 32 bytes from offset 32·*p* of the `ChaCha12` key stream
//! under the session's seed (64-bit block counter, nonce zero: the original variant of D. J.
//! Bernstein): 16 bytes of trace id, 8 of span id, 8 unused. Both ends compute it, so 24 random bytes an
//! update stay off the wire, and a client cannot choose somebody else's ids. The last position's trace id is the
//! session's own id: who knows the seed has it, and who sees it on the bus does not have the seed.

#[cfg(feature = "relay")]
use crate::{IdSeed, SessionId};
#[cfg(feature = "relay")]
use chacha20::ChaCha12Rng;
#[cfg(feature = "relay")]
use chacha20::rand_core::{Rng, SeedableRng};

/// Words of 32 bits at one position; half a `ChaCha` block, so that no position straddles two.
#[cfg(feature = "relay")]
const WORDS: u64 = 8;

/// The ids of one position. `trace_id` is used only where the span is a root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ids {
    /// Never all zero.
    pub trace_id: [u8; 16],
    /// Never all zero.
    pub span_id: [u8; 8],
}

#[cfg(feature = "relay")]
impl Ids {
    /// From the 32 bytes of a position.
    pub(crate) fn from_stream(bytes: &[u8; 32]) -> Self {
        let [trace @ .., _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _] = *bytes;
        let [_, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, span @ .., _, _, _, _, _, _, _, _] = *bytes;
        Self { trace_id: nonzero(trace), span_id: nonzero(span) }
    }
}

/// The id stream of one session.
#[cfg(feature = "relay")]
#[derive(Debug)]
pub struct IdStream {
    cipher: ChaCha12Rng,
    /// The position that needs no seek; none behind the last.
    next: Option<u64>,
}

#[cfg(feature = "relay")]
impl IdStream {
    /// The stream under `seed`.
    pub fn new(seed: IdSeed) -> Self {
        Self { cipher: ChaCha12Rng::from_seed(seed), next: Some(0) }
    }

    /// The ids at `position`; the next position costs no seek.
    pub fn at(&mut self, position: u64) -> Ids {
        if self.next != Some(position) {
            self.cipher.set_word_pos(u128::from(position) * u128::from(WORDS));
        }
        self.next = position.checked_add(1);
        let mut bytes = [0; 4 * WORDS as usize];
        self.cipher.fill_bytes(&mut bytes);
        Ids::from_stream(&bytes)
    }
}

/// The id of the session whose seed this is.
#[cfg(feature = "relay")]
pub fn session_id(seed: IdSeed) -> SessionId {
    IdStream::new(seed).at(u64::MAX).trace_id
}

#[cfg(feature = "relay")]
/// W3C forbids ids of all zeros; one in 2^64 would be.
fn nonzero<const N: usize>(mut id: [u8; N]) -> [u8; N] {
    if id == [0; N] {
        id[N - 1] = 1;
    }
    id
}

//! The bytes that a session owns, in one piece and by address: the one thing that differs between a browser's module
//! and a native program.
//!
//! ```text
//!  INPUT ── OUTPUT ── SEED ── IDS ── KEYS ── LOG ──▶
//! ```
//! An address is one number where a slice is two, and borrows nothing. What lies beyond the end traps.

use super::Machine;
use crate::limits::{FRAME_BYTES, KEY_BYTES, KEYS as MOST_KEYS};

/// A frame of the largest size, or a value of the largest size with all that stands beside it.
pub const AREA_BYTES: usize = FRAME_BYTES + 16 * 1024;

/// What the machine is given.
pub const INPUT: usize = 0;
/// What the machine gives.
pub const OUTPUT: usize = INPUT + AREA_BYTES;
/// The seed of the session's ids.
pub(super) const SEED: usize = OUTPUT + AREA_BYTES;
/// Room for the ids of two positions, a trace's and a parent's: [`IDS_BYTES`] each.
pub const IDS: usize = SEED + 32;
/// What the ids of a position take: the trace id's 16 bytes, and the span id's 8.
pub const IDS_BYTES: usize = 24;
/// The table of keys: each in its place, behind its length.
pub(super) const KEYS: usize = IDS + 2 * IDS_BYTES;
pub(super) const KEY_PLACE: usize = 8 + KEY_BYTES;
/// The log, up to the end.
pub const LOG: usize = KEYS + MOST_KEYS * KEY_PLACE;

/// Where a session keeps everything that is bytes. All zeros at first.
pub trait Memory {
    /// All of it, as far as it has grown.
    fn bytes(&self) -> &[u8];

    /// The same, to write.
    fn bytes_mut(&mut self) -> &mut [u8];

    /// Sees to it that there are `len` bytes at least; false when there is no more memory to be had.
    fn grow(&mut self, len: usize) -> bool;

    /// Copies `len` bytes `from` one place `to` another, which may overlap.
    fn copy(&mut self, from: usize, to: usize, len: usize) {
        self.bytes_mut().copy_within(from..from + len, to);
    }
}

/// So many bytes from there on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Text {
    /// Where it begins.
    pub at: usize,
    /// How long it is.
    pub len: usize,
}

/// What lies beyond the bytes that we have is a mistake of this crate's own. In the module it becomes the trap
/// itself: a panic would bring its message and what formats it.
#[cold]
pub(super) fn trap() -> ! {
    #[cfg(target_arch = "wasm32")]
    core::arch::wasm32::unreachable();
    #[cfg(not(target_arch = "wasm32"))]
    panic!("beyond the bytes that there are");
}

impl<M: Memory> Machine<M> {
    /// The byte at `at`.
    #[inline(never)]
    pub fn byte_at(&self, at: usize) -> u8 {
        match self.memory.bytes().get(at) {
            Some(byte) => *byte,
            None => trap(),
        }
    }

    /// The eight bytes at `at`, as a number.
    #[inline(never)]
    pub fn word(&self, at: usize) -> u64 {
        match self.memory.bytes().get(at..).and_then(|tail| tail.first_chunk()) {
            Some(bytes) => u64::from_le_bytes(*bytes),
            None => trap(),
        }
    }

    /// Writes a number as the eight bytes at `at`.
    #[inline(never)]
    pub fn set_word(&mut self, at: usize, word: u64) {
        match self.memory.bytes_mut().get_mut(at..).and_then(|tail| tail.first_chunk_mut()) {
            Some(bytes) => *bytes = word.to_le_bytes(),
            None => trap(),
        }
    }

    /// All bytes, for what reads and writes them by itself.
    pub fn memory(&mut self) -> &mut M {
        &mut self.memory
    }
}

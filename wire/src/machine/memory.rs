//! The bytes that a session owns: the one thing that differs between a browser's module and a native program.

use crate::limits::{KEY_BYTES, KEYS};

/// What the table of keys takes: each key in the order of its index, behind its length in two bytes.
pub const KEYS_BYTES: usize = KEYS * (2 + KEY_BYTES);

/// Where a session keeps its log and its keys. All zeros at first.
pub trait Memory {
    /// The table of keys: [`KEYS_BYTES`] bytes.
    fn keys(&mut self) -> &mut [u8];

    /// The log, as far as it has grown.
    fn log(&mut self) -> &mut [u8];

    /// Sees to it that the log has `len` bytes at least; false when there is no more memory to be had.
    fn grow(&mut self, len: usize) -> bool;

    /// Moves `len` bytes of `bytes`, which are there, `from` one place `to` another.
    fn shift(bytes: &mut [u8], from: usize, to: usize, len: usize) {
        bytes.copy_within(from..from + len, to);
    }
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

/// `len` bytes from `at` on.
#[inline(never)]
pub(super) fn part(bytes: &[u8], at: usize, len: usize) -> &[u8] {
    match bytes.get(at..).and_then(|tail| tail.get(..len)) {
        Some(part) => part,
        None => trap(),
    }
}

/// Writes `from` at `at`.
#[inline(never)]
pub(super) fn put(bytes: &mut [u8], at: usize, from: &[u8]) {
    let Some(part) = bytes.get_mut(at..).and_then(|tail| tail.get_mut(..from.len())) else { trap() };
    // What the compiler makes a copy of, without the message of a library function that could panic.
    for (to, from) in part.iter_mut().zip(from) {
        *to = *from;
    }
}

/// The `N` bytes at `at`.
pub(super) fn array<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    match bytes.get(at..).and_then(|tail| tail.first_chunk()) {
        Some(array) => *array,
        None => trap(),
    }
}

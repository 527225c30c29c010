//! The module's memory, and the one place that needs `unsafe`: an instance has one thread, and nothing in here calls
//! out, so that whoever is in is alone.
#![allow(unsafe_code)]

use crate::{NUMBERS, Session};
use atomwire_wire::limits::FRAME_BYTES;
use atomwire_wire::machine::{KEYS_BYTES, Memory};
use core::cell::UnsafeCell;

/// A frame of the largest size, and room beside it.
const AREA_BYTES: usize = FRAME_BYTES + 16 * 1024;

/// What crosses between JavaScript and the session.
pub(crate) struct Areas<'a> {
    pub(crate) input: &'a [u8],
    pub(crate) numbers: &'a [f64; NUMBERS],
    pub(crate) output: &'a mut [u8],
}

impl<'a> Areas<'a> {
    /// The first `length` bytes of the input.
    pub(crate) fn taken(&self, length: u32) -> &'a [u8] {
        self.input.get(..length as usize).unwrap_or_default()
    }

    /// Writes to the output.
    pub(crate) fn put(&mut self, at: usize, bytes: &[u8]) {
        if let Some(place) = self.output.get_mut(at..).and_then(|tail| tail.get_mut(..bytes.len())) {
            place.copy_from_slice(bytes);
        }
    }
}

/// What one thread alone uses.
pub(crate) struct Single<T>(UnsafeCell<T>);

// SAFETY: WebAssembly without shared memory has one thread.
unsafe impl<T> Sync for Single<T> {}

pub(crate) static SESSION: Single<Session> = Single(UnsafeCell::new(Session::NEW));
// Apart from it: what is all zeros takes no place in the module.
static INPUT: Single<[u8; AREA_BYTES]> = Single(UnsafeCell::new([0; AREA_BYTES]));
static NUMBERS_OF_PUSH: Single<[f64; NUMBERS]> = Single(UnsafeCell::new([0.0; NUMBERS]));
static OUTPUT: Single<[u8; AREA_BYTES]> = Single(UnsafeCell::new([0; AREA_BYTES]));
static KEYS: Single<[u8; KEYS_BYTES]> = Single(UnsafeCell::new([0; KEYS_BYTES]));

impl Single<Session> {
    pub(crate) fn with<T>(&self, call: impl FnOnce(&mut Session, &mut Areas<'_>) -> T) -> T {
        // SAFETY: one thread, and `call` comes from this crate's exported functions, none of which calls another.
        // JavaScript touches the areas only while no call runs.
        unsafe {
            let areas = &mut Areas {
                input: &*INPUT.0.get(),
                numbers: &*NUMBERS_OF_PUSH.0.get(),
                output: &mut *OUTPUT.0.get(),
            };
            call(&mut *self.0.get(), areas)
        }
    }
}

/// The log's memory, from the end of what the compiler has placed up to the end of all; its field is how much that is.
#[cfg(not(feature = "std"))]
#[derive(Debug)]
pub(crate) struct Linear(usize);

#[cfg(not(feature = "std"))]
unsafe extern "C" {
    static __heap_base: u8;
}

/// Of WebAssembly.
#[cfg(not(feature = "std"))]
const PAGE_BYTES: usize = 64 * 1024;

#[cfg(not(feature = "std"))]
impl Linear {
    pub(crate) const NEW: Self = Self(0);
}

#[cfg(not(feature = "std"))]
impl Memory for Linear {
    fn keys(&mut self) -> &mut [u8] {
        // SAFETY: nobody else has the keys, and the answer borrows the only `Linear`.
        unsafe { &mut *KEYS.0.get() }
    }

    fn log(&mut self) -> &mut [u8] {
        // SAFETY: this module has no allocator, so what lies behind its statics is the log's alone.
        unsafe { core::slice::from_raw_parts_mut((&raw const __heap_base).cast_mut(), self.0) }
    }

    fn grow(&mut self, len: usize) -> bool {
        use core::arch::wasm32::{memory_grow, memory_size};
        let base = &raw const __heap_base as usize;
        let pages = (base + len).div_ceil(PAGE_BYTES);
        let more = pages.saturating_sub(memory_size::<0>());
        if more > 0 && memory_grow::<0>(more) == usize::MAX {
            return false;
        }
        self.0 = memory_size::<0>() * PAGE_BYTES - base;
        true
    }

    fn shift(bytes: &mut [u8], from: usize, to: usize, len: usize) {
        if from.max(to) > bytes.len() || len > bytes.len() - from.max(to) {
            core::arch::wasm32::unreachable();
        }
        // SAFETY: both ends lie within the bytes. The library's own way would bring a panic's message along.
        unsafe { core::ptr::copy(bytes.as_ptr().add(from), bytes.as_mut_ptr().add(to), len) }
    }
}

/// The log's memory where the standard library's allocator has the heap: in this crate's own tests.
#[cfg(feature = "std")]
#[derive(Debug)]
pub(crate) struct Linear(Vec<u8>);

#[cfg(feature = "std")]
impl Linear {
    pub(crate) const NEW: Self = Self(Vec::new());
}

#[cfg(feature = "std")]
impl Memory for Linear {
    fn keys(&mut self) -> &mut [u8] {
        // SAFETY: nobody else has the keys, and the answer borrows the only `Linear`.
        unsafe { &mut *KEYS.0.get() }
    }

    fn log(&mut self) -> &mut [u8] {
        &mut self.0
    }

    fn grow(&mut self, len: usize) -> bool {
        self.0.resize(len, 0);
        true
    }
}

/// What `no_std` asks for. Nothing allocates: `wasm-bindgen` wants an allocator to be there. Nothing panics either.
#[cfg(not(feature = "std"))]
mod bare {
    use core::alloc::{GlobalAlloc, Layout};

    struct NoHeap;

    // SAFETY: no allocation succeeds.
    unsafe impl GlobalAlloc for NoHeap {
        unsafe fn alloc(&self, _: Layout) -> *mut u8 {
            core::ptr::null_mut()
        }

        unsafe fn dealloc(&self, _: *mut u8, _: Layout) {}
    }

    #[global_allocator]
    static NO_HEAP: NoHeap = NoHeap;

    #[panic_handler]
    fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
        core::arch::wasm32::unreachable()
    }
}

//! The module's memory, and the one place that needs `unsafe`: an instance has one thread, and nothing in here calls
//! out, so that whoever is in is alone.
#![allow(unsafe_code)]

use atomwire_wire::machine::{Machine, Memory};
use core::cell::UnsafeCell;

/// What one thread alone uses.
pub(crate) struct Single<T>(UnsafeCell<T>);

// SAFETY: WebAssembly without shared memory has one thread.
unsafe impl<T> Sync for Single<T> {}

/// The session of this instance.
pub(crate) static SESSION: Single<Machine<Linear>> = Single(UnsafeCell::new(Machine::new(Linear::NEW)));

impl Single<Machine<Linear>> {
    pub(crate) fn with<T>(&self, call: impl FnOnce(&mut Machine<Linear>) -> T) -> T {
        // SAFETY: one thread, and `call` comes from this crate's exported functions, none of which calls another.
        call(unsafe { &mut *self.0.get() })
    }
}

/// The machine's memory, from the end of what the compiler has placed up to the end of all; its field is how much that
/// is. JavaScript touches it only while no call runs.
#[cfg(not(feature = "std"))]
#[derive(Debug)]
pub(crate) struct Linear(usize);

#[cfg(not(feature = "std"))]
unsafe extern "C" {
    static __heap_base: u8;
}

/// What JavaScript knows as the machine's address `at`.
#[cfg(not(feature = "std"))]
pub(crate) fn address(at: usize) -> u32 {
    (&raw const __heap_base as usize + at) as u32
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
    fn bytes(&self) -> &[u8] {
        // SAFETY: this module has no allocator, so what lies behind its statics is the machine's alone, and it has
        // the only `Linear`.
        unsafe { core::slice::from_raw_parts(&raw const __heap_base, self.0) }
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above.
        unsafe { core::slice::from_raw_parts_mut((&raw const __heap_base).cast_mut(), self.0) }
    }

    fn grow(&mut self, len: usize) -> bool {
        use core::arch::wasm32::{memory_grow, memory_size};
        let base = address(0) as usize;
        let pages = (base + len).div_ceil(PAGE_BYTES);
        let have = memory_size::<0>();
        // A quarter more at least: each time costs as much as taking ten updates does.
        if pages > have && memory_grow::<0>((pages - have).max(have / 4)) == usize::MAX {
            return false;
        }
        self.0 = memory_size::<0>() * PAGE_BYTES - base;
        true
    }

    #[inline(never)]
    fn copy(&mut self, from: usize, to: usize, len: usize) {
        if from.max(to) > self.0 || len > self.0 - from.max(to) {
            core::arch::wasm32::unreachable();
        }
        let bytes = self.bytes_mut().as_mut_ptr();
        // SAFETY: both ends lie within the bytes. The library's own way would bring a panic's message along.
        unsafe { core::ptr::copy(bytes.add(from), bytes.add(to), len) }
    }
}

/// The same where the standard library's allocator has the heap: in this crate's own tests.
#[cfg(feature = "std")]
#[derive(Debug)]
pub(crate) struct Linear(Vec<u8>);

/// Where the machine's address `at` is; the first call of `input` sees to it that there is any.
#[cfg(feature = "std")]
pub(crate) fn address(at: usize) -> u32 {
    SESSION.with(|session| session.memory().0.as_ptr() as usize + at) as u32
}

#[cfg(feature = "std")]
impl Linear {
    pub(crate) const NEW: Self = Self(Vec::new());
}

#[cfg(feature = "std")]
impl Memory for Linear {
    fn bytes(&self) -> &[u8] {
        &self.0
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.0
    }

    fn grow(&mut self, len: usize) -> bool {
        self.0.resize(len.max(self.0.len()), 0);
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

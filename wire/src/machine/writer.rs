//! Protobuf's wire format, written into bytes that are there already.
//! (<https://protobuf.dev/programming-guides/encoding/>)

use super::memory::{Memory, put, trap};
use core::marker::PhantomData;

/// Writes fields one after the other.
pub(super) struct Writer<'a, M> {
    memory: PhantomData<M>,
    into: &'a mut [u8],
    /// Where the next byte goes.
    pub(super) at: usize,
}

impl<'a, M: Memory> Writer<'a, M> {
    pub(super) fn new(into: &'a mut [u8], at: usize) -> Self {
        Self { memory: PhantomData, into, at }
    }

    #[inline(never)]
    fn byte(&mut self, byte: u8) {
        match self.into.get_mut(self.at) {
            Some(place) => *place = byte,
            None => trap(),
        }
        self.at += 1;
    }

    #[inline(never)]
    pub(super) fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.byte(value as u8 | 0x80);
            value >>= 7;
        }
        self.byte(value as u8);
    }

    /// Bytes as they are.
    pub(super) fn raw(&mut self, bytes: &[u8]) {
        put(self.into, self.at, bytes);
        self.at += bytes.len();
    }

    /// A varint field, left out when zero.
    #[inline(never)]
    pub(super) fn uint(&mut self, field: u8, value: u64) {
        if value != 0 {
            self.byte(field << 3);
            self.varint(value);
        }
    }

    /// A zigzag varint field, left out when zero.
    pub(super) fn sint(&mut self, field: u8, value: i64) {
        self.uint(field, ((value << 1) ^ (value >> 63)) as u64);
    }

    /// A length-delimited field, written even when empty.
    #[inline(never)]
    pub(super) fn bytes(&mut self, field: u8, value: &[u8]) {
        self.byte(field << 3 | 2);
        self.varint(value.len() as u64);
        self.raw(value);
    }

    /// A string field, left out when empty.
    #[inline(never)]
    pub(super) fn string(&mut self, field: u8, value: &[u8]) {
        if !value.is_empty() {
            self.bytes(field, value);
        }
    }

    /// Begins a nested message; `close` takes the answer.
    #[inline(never)]
    pub(super) fn open(&mut self, field: u8) -> usize {
        self.byte(field << 3 | 2);
        self.open_delimited()
    }

    /// Begins what stands behind its length without a tag.
    pub(super) fn open_delimited(&mut self) -> usize {
        // A byte is enough for the length of most.
        self.at += 1;
        self.at
    }

    /// Ends what began at `start`: its length goes before it, and what is longer than a byte can tell moves up.
    #[inline(never)]
    pub(super) fn close(&mut self, start: usize) {
        let len = self.at - start;
        let mut to = start;
        let mut rest = len >> 7;
        while rest > 0 {
            to += 1;
            rest >>= 7;
        }
        M::shift(self.into, start, to, len);
        self.at = start - 1;
        self.varint(len as u64);
        self.at += len;
    }
}

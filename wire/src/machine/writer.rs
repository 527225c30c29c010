//! Protobuf's wire format, written into memory where `at` is.
//! (<https://protobuf.dev/programming-guides/encoding/>)

use super::Machine;
use super::memory::{Memory, Text, trap};

impl<M: Memory> Machine<M> {
    #[inline(never)]
    pub(super) fn byte(&mut self, byte: u8) {
        match self.memory.bytes_mut().get_mut(self.at) {
            Some(place) => *place = byte,
            None => trap(),
        }
        self.at += 1;
    }

    #[inline(never)]
    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.byte(value as u8 | 0x80);
            value >>= 7;
        }
        self.byte(value as u8);
    }

    /// Bytes as they are.
    pub(super) fn raw(&mut self, from: usize, len: usize) {
        self.memory.copy(from, self.at, len);
        self.at += len;
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
    pub(super) fn bytes(&mut self, field: u8, from: usize, len: usize) {
        self.byte(field << 3 | 2);
        self.varint(len as u64);
        self.raw(from, len);
    }

    /// A string field, left out when empty.
    pub(super) fn string(&mut self, field: u8, text: Text) {
        if text.len > 0 {
            self.bytes(field, text.at, text.len);
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
        self.memory.copy(start, to, len);
        self.at = start - 1;
        self.varint(len as u64);
        self.at += len;
    }
}

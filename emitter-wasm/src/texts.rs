//! Texts that JavaScript has encoded all at once: it knows how long each is in UTF-16, not in UTF-8.

use crate::memory::Linear;
use atomwire_wire::machine::{INPUT, Machine, Text};

/// Where the next text begins.
pub(crate) struct Texts {
    at: usize,
    /// A unit is a byte.
    ascii: bool,
}

impl Texts {
    pub(crate) fn new(ascii: bool) -> Self {
        Self { at: INPUT, ascii }
    }

    /// The next text, `units` of UTF-16 long.
    pub(crate) fn take(&mut self, machine: &Machine<Linear>, units: f64) -> Text {
        let at = self.at;
        self.pass(machine, units);
        Text { at, len: self.at - at }
    }

    /// Asked for five times: it stands in the module once.
    #[inline(never)]
    fn pass(&mut self, machine: &Machine<Linear>, units: f64) {
        let mut units = units as usize;
        if self.ascii {
            self.at += units;
            units = 0;
        }
        while units > 0 {
            // By its first byte: how long a character is, and that four bytes are two units.
            let first = machine.byte_at(self.at);
            let long = usize::from(first >= 0xf0);
            self.at += 1 + usize::from(first >= 0xc0) + usize::from(first >= 0xe0) + long;
            units = units.saturating_sub(1 + long);
        }
    }
}

/// What so many hexadecimal digits at `at` say, sixteen at the most: the first two are the first byte in memory.
#[inline(never)]
pub(crate) fn unhex(machine: &Machine<Linear>, at: usize, digits: usize) -> u64 {
    let mut word = 0;
    for digit in (0..digits).rev() {
        let digit = machine.byte_at(at + (digit ^ 1));
        // Of `0` to `9` the low four bits are the digit, of letters nine less.
        word = word << 4 | u64::from((digit & 15) + 9 * (digit >> 6));
    }
    word
}

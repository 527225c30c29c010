//! Trace and span ids as [`crate::ids`] tells of them, in a fifth of the cipher crate's bytes: `ChaCha12` for one
//! position at a time. A property test holds the two against each other.

use super::Machine;
use super::memory::{Memory, SEED};

/// `expand 32-byte k`, which begins every block.
const CONSTANTS: [u32; 4] = [0x6170_7865, 0x3320_646e, 0x7962_2d32, 0x6b20_6574];
/// How far a quarter round's four steps rotate: 16, 12, 8 and 7, the first in the lowest byte.
const ROTATIONS: u32 = 0x0708_0c10;
/// Twelve rounds of four quarter rounds of four steps.
const STEPS: usize = 12 * 4 * 4;
/// W3C forbids ids of all zeros; one in 2^64 would be. So their last byte becomes this.
const NONZERO: u64 = 1 << 56;

impl<M: Memory> Machine<M> {
    /// The ids of the span at `position` of this session's id stream: the trace id's 16 bytes, then the span id's 8.
    pub fn ids(&self, position: u64) -> [u64; 3] {
        let block = position / 2;
        let mut input = [0; 16];
        for at in 0..4 {
            input[at] = CONSTANTS[at];
            let word = self.word(SEED + 8 * at);
            (input[4 + 2 * at], input[5 + 2 * at]) = (word as u32, (word >> 32) as u32);
        }
        (input[12], input[13]) = (block as u32, (block >> 32) as u32);
        let mut state = input;
        for step in 0..STEPS {
            // Rounds of columns and of diagonals in turn: in a diagonal, each row stands one further.
            let (lane, diagonal, odd) = (step >> 2, step >> 4 & 1, (step & 1) * 2);
            let place = |row: usize| (4 * row + ((lane + row * diagonal) & 3)) & 15;
            // The steps go a += b, d ^= a; c += d, b ^= c; and so again.
            let (a, b, d) = (place(odd), place(odd + 1), place(3 - odd));
            let sum = state[a & 15].wrapping_add(state[b & 15]);
            state[a & 15] = sum;
            state[d & 15] = (state[d & 15] ^ sum).rotate_left(ROTATIONS >> (8 * (step & 3)) & 31);
        }
        for at in 0..16 {
            state[at] = state[at].wrapping_add(input[at]);
        }
        let half = 8 * (position as usize & 1);
        let word = |at: usize| u64::from(state[(half + at) & 15]);
        let [high, low, span] = [0, 2, 4].map(|at| word(at) | word(at + 1) << 32);
        [high, if high | low == 0 { NONZERO } else { low }, if span == 0 { NONZERO } else { span }]
    }

    /// Writes the ids at `position` to memory.
    #[inline(never)]
    pub fn write_ids(&mut self, position: u64, to: usize) {
        let [high, low, span] = self.ids(position);
        self.set_word(to, high);
        self.set_word(to + 8, low);
        self.set_word(to + 16, span);
    }
}

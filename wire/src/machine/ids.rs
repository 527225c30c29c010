//! Trace and span ids as [`crate::ids`] tells of them, in a fifth of the cipher crate's bytes: `ChaCha12` for one
//! position at a time. A property test holds the two against each other.

use super::memory::{array, put};
use crate::IdSeed;
use crate::ids::Ids;

/// `expand 32-byte k`, which begins every block.
const CONSTANTS: [u32; 4] = [0x6170_7865, 0x3320_646e, 0x7962_2d32, 0x6b20_6574];
/// How far a quarter round's four steps rotate: 16, 12, 8 and 7, the first in the lowest byte.
const ROTATIONS: u32 = 0x0708_0c10;
/// Twelve rounds of four quarter rounds of four steps.
const STEPS: usize = 12 * 4 * 4;

/// The ids at `position` of the stream under `seed`.
pub(super) fn ids(seed: &IdSeed, position: u64) -> Ids {
    let block = position / 2;
    let mut input = [0; 16];
    for at in 0..4 {
        input[at] = CONSTANTS[at];
    }
    for at in 0..8 {
        input[4 + at] = u32::from_le_bytes(array(seed, 4 * at));
    }
    input[12] = block as u32;
    input[13] = (block >> 32) as u32;
    let mut state = input;
    for step in 0..STEPS {
        // Rounds of columns and of diagonals in turn: in a diagonal, each row stands one further.
        let (lane, diagonal, odd) = (step >> 2, step >> 4 & 1, (step & 1) * 2);
        let place = |row: usize| 4 * row + (lane + row * diagonal & 3) & 15;
        // The steps go a += b, d ^= a; c += d, b ^= c; and so again.
        let (a, b, d) = (place(odd), place(odd + 1), place(3 - odd));
        let sum = state[a & 15].wrapping_add(state[b & 15]);
        state[a & 15] = sum;
        state[d & 15] = (state[d & 15] ^ sum).rotate_left(ROTATIONS >> (8 * (step & 3)) & 31);
    }
    let mut bytes = [0; 32];
    for at in 0..8 {
        let place = at + 8 * (position as usize & 1);
        put(&mut bytes, 4 * at, &state[place].wrapping_add(input[place]).to_le_bytes());
    }
    Ids::from_stream(&bytes)
}

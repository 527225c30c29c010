//! Derived ids against `vectors/ids.json` and against a cipher of this file's own, written from the
//! paper (D. J. Bernstein, "`ChaCha`, a variant of `Salsa20`", 2008). `UPDATE_VECTORS=1 cargo test -p
//! atomwire-wire` writes the vectors anew, from the latter.

use crate::support::{config, hex, vector_file};
use atomwire_wire::emitter::{Config, Emitter};
use atomwire_wire::ids::{IdStream, Ids, session_id};
use proptest::prelude::*;

/// One block of key stream: 64-bit block counter, 64-bit nonce of zero.
fn chacha(rounds: usize, key: &[u8; 32], counter: u64) -> [u8; 64] {
    let word = |at: usize| u32::from_le_bytes(key[4 * at..4 * at + 4].try_into().unwrap());
    let mut input = [0x6170_7865, 0x3320_646e, 0x7962_2d32, 0x6b20_6574, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    for at in 0..8 {
        input[4 + at] = word(at);
    }
    input[12] = counter as u32;
    input[13] = (counter >> 32) as u32;
    let mut state = input;
    for round in 0..rounds {
        for lane in 0..4 {
            // Columns and diagonals in turn.
            let [a, b, c, d] = [0, 1, 2, 3].map(|row| 4 * row + (lane + row * (round % 2)) % 4);
            for (x, y, z, rotation) in [(a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)] {
                state[x] = state[x].wrapping_add(state[y]);
                state[z] = (state[z] ^ state[x]).rotate_left(rotation);
            }
        }
    }
    let mut output = [0; 64];
    for (bytes, (state, input)) in output.chunks_mut(4).zip(state.iter().zip(input)) {
        bytes.copy_from_slice(&state.wrapping_add(input).to_le_bytes());
    }
    output
}

/// The ids as PROTOCOL.md defines them.
fn expected(seed: &[u8; 32], position: u64) -> Ids {
    let block = chacha(12, seed, position / 2);
    let bytes = &block[32 * (position % 2) as usize..];
    Ids { trace_id: bytes[..16].try_into().unwrap(), span_id: bytes[16..24].try_into().unwrap() }
}

#[test]
fn this_files_chacha_is_right() {
    // RFC 8439, appendix A.1, test vector 1.
    let twenty = "76b8e0ada0f13d90405d6ae55386bd28bdd219b8a08ded1aa836efcc8b770dc7\
                  da41597c5157488d7724e03fb8d84a376a43b8f41518a11cc387b669b2ee6586";
    assert_eq!(hex(&chacha(20, &[0; 32], 0)), twenty);
    // draft-strombergson-chacha-test-vectors-01, TC1, 256-bit key, 12 rounds.
    let twelve = "9bf49a6a0755f953811fce125f2683d50429c3bb49e074147e0089a52eae155f\
                  0564f879d27ae3c02ce82834acfa8c793a629f2ca0de6919610be82f411326be";
    assert_eq!(hex(&chacha(12, &[0; 32], 0)), twelve);
}

#[test]
fn ids_are_as_in_the_vectors() {
    let sequential: [u8; 32] = std::array::from_fn(|at| at as u8);
    let positions = [0, 1, 2, 255, 1 << 32, (1 << 53) - 1];
    let seeds = [[0; 32], sequential, [0xff; 32]].map(|seed| {
        let ids = positions.map(|position| {
            let ids = expected(&seed, position);
            assert_eq!(IdStream::new(seed).at(position), ids);
            let (trace, span) = (hex(&ids.trace_id), hex(&ids.span_id));
            format!(r#"      {{ "position": {position}, "trace_id": "{trace}", "span_id": "{span}" }}"#)
        });
        let session = expected(&seed, u64::MAX).trace_id;
        assert_eq!(session_id(seed), session);
        format!(
            "  {{\n    \"id_seed\": \"{}\",\n    \"session\": \"{}\",\n    \"ids\": [\n{}\n    ]\n  }}",
            hex(&seed),
            hex(&session),
            ids.join(",\n")
        )
    });
    vector_file("ids.json", &format!("[\n{}\n]\n", seeds.join(",\n")));
}

proptest! {
    #[test]
    fn positions_may_come_in_any_order(
        seed in any::<[u8; 32]>(),
        positions in prop::collection::vec(
            prop_oneof![any::<u64>(), 0..9_u64, u64::MAX - 3..=u64::MAX], 1..20),
    ) {
        let mut stream = IdStream::new(seed);
        for position in positions {
            assert_eq!(stream.at(position), expected(&seed, position));
        }
    }

    #[test]
    fn the_emitters_own_cipher_is_the_same(seed in any::<[u8; 32]>(), position in any::<u64>()) {
        let emitter = Emitter::new(Config { id_seed: seed, ..config() });
        assert_eq!(emitter.ids(position), expected(&seed, position));
    }
}

#[test]
fn the_last_position_is_not_followed_by_the_first() {
    let mut stream = IdStream::new([7; 32]);
    stream.at(u64::MAX);
    assert_eq!(stream.at(0), expected(&[7; 32], 0));
}

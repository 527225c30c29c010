//! Peers that send anything at all.

use super::recorded::recordings;
use super::{any_bytes, opening};
use proptest::prelude::*;
use proptest::sample::{Index, select};

fn any_body() -> impl Strategy<Value = Vec<u8>> {
    let word = prop::collection::vec(select(vec![0, 1, b'a', 0xff]), 0..4);
    let name = select(vec!["PING", "PONG", "SUBSCRIBE", "CANCEL", "ERROR", "READY", "JOIN", ""]);
    prop_oneof![
        word.clone(),
        (name, word).prop_map(|(name, data)| [&[name.len() as u8], name.as_bytes(), &data].concat()),
        prop::collection::vec(any::<u8>(), 0..330),
    ]
}

/// A frame whose flags are mostly right, in both forms.
fn any_frame() -> impl Strategy<Value = Vec<u8>> {
    let flags = prop_oneof![20 => select(vec![0, 1, 4]), 1 => any::<u8>()];
    (flags, any::<bool>(), any_body()).prop_map(|(flags, long, body)| {
        if long || body.len() > 255 {
            [&[flags | 2], &(body.len() as u64).to_be_bytes()[..], &body].concat()
        } else {
            [&[flags, body.len() as u8], &body[..]].concat()
        }
    })
}

proptest! {
    #[test]
    fn any_frames(
        socket_type in select(vec!["SUB", "DEALER"]),
        frames in prop::collection::vec(any_frame(), 0..12),
    ) {
        any_bytes::check(&[opening(socket_type), frames.concat()].concat());
    }

    #[test]
    fn a_recording_with_other_bytes_in_it(
        recording in select(recordings()),
        changes in prop::collection::vec((any::<Index>(), any::<u8>()), 1..4),
    ) {
        let mut bytes = recording;
        for (at, byte) in changes {
            *at.get_mut(&mut bytes) = byte;
        }
        any_bytes::check(&bytes);
    }

    #[test]
    fn any_bytes_at_all(
        before in select(vec![vec![], opening("SUB")[..64].to_vec(), opening("SUB"), opening("REQ")]),
        bytes in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        any_bytes::check(&[before, bytes].concat());
    }
}

//! What is written as frames is read as frames.

use atomwire_wire::zmtp::{Frame, frame_head, frames};
use proptest::prelude::*;

/// Messages of `parts`, encoded.
fn encode<'a>(parts: impl IntoIterator<Item = (&'a [u8], bool)>) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (body, more) in parts {
        frame_head(body.len(), more, &mut bytes);
        bytes.extend_from_slice(body);
    }
    bytes
}

#[test]
fn a_body_of_up_to_255_bytes_is_short() {
    let head = |len, more| {
        let mut head = Vec::new();
        frame_head(len, more, &mut head);
        head
    };
    assert_eq!(head(0, false), [0, 0]);
    assert_eq!(head(255, true), [1, 255]);
    assert_eq!(head(256, false), [2, 0, 0, 0, 0, 0, 0, 1, 0]);
    assert_eq!(head(70_000, true), [3, 0, 0, 0, 0, 0, 1, 0x11, 0x70]);
}

#[test]
fn a_walk_says_where_it_stands() {
    let bytes = encode([(&b"topic"[..], true), (b"payload", false), (b"other", false)]);
    let mut walk = frames(&bytes);
    walk.by_ref().take_while(|frame| frame.more).for_each(drop);
    assert_eq!(walk.rest(), b"\x00\x05other");
}

proptest! {
    #[test]
    fn what_is_written_is_read(
        parts in prop::collection::vec((prop::collection::vec(any::<u8>(), 0..600), any::<bool>()), 0..8),
        cut in any::<prop::sample::Index>(),
    ) {
        let expected: Vec<_> = parts.iter().map(|(body, more)| Frame { body, more: *more }).collect();
        let bytes = encode(parts.iter().map(|(body, more)| (&body[..], *more)));
        prop_assert_eq!(frames(&bytes).collect::<Vec<_>>(), &expected[..]);
        prop_assert_eq!(frames(&bytes).map(|frame| frame.body.len()).sum::<usize>(),
            bytes.len() - parts.iter().map(|(body, _)| if body.len() > 255 { 9 } else { 2 }).sum::<usize>());

        // What is cut off ends the walk before the frame that is not whole.
        let cut = &bytes[..cut.index(bytes.len() + 1)];
        let mut walk = frames(cut);
        let whole = walk.by_ref().count();
        prop_assert_eq!(encode(parts[..whole].iter().map(|(body, more)| (&body[..], *more))).len(),
            cut.len() - walk.rest().len());
        prop_assert!(whole == parts.len() || walk.rest().len() < 9 + parts[whole].0.len());
    }

    #[test]
    fn anything_may_be_walked_over(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let mut walk = frames(&bytes);
        let read: usize = walk.by_ref().map(|frame| 2 + frame.body.len()).sum();
        prop_assert!(read + walk.rest().len() <= bytes.len());
    }
}

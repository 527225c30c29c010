//! What was published, in order and by topic: the ring, the count of each topic's messages, and where in the ring
//! the last of them are.

use super::LEDGER_TOPIC;
use super::ring::{Position, Ring};
use atomwire_wire::zmtp::{frame_head, frames};
use bytes::{BufMut as _, Bytes, BytesMut};
use lru::LruCache;
use std::collections::VecDeque;
use std::fmt::Write as _;
use std::num::NonZeroUsize;
use std::sync::Arc;

/// Topics that are counted, when the topic is a template. The least recently used is forgotten first;
/// its count begins anew when it comes back.
const TOPICS: NonZeroUsize = NonZeroUsize::new(65_536).expect("not zero");

/// An answer's payloads take about this much at the most; who wants more asks again.
const ANSWER_BYTES: usize = 1024 * 1024;

/// One byte in so many is for the ledger's messages alone, which are in the ring as well: they are few, each may
/// account for thousands of updates, and a burst of updates must not push them out of what is answered from.
const LEDGER_SHARE: usize = 8;

/// The end of every payload, which begins with its `relay.seq`.
const PAYLOAD_END: &[u8] = b"}}";

/// All messages.
#[derive(Debug)]
pub(super) struct Window {
    /// What subscribers are sent from.
    pub(super) ring: Ring,
    topics: LruCache<Arc<str>, Kept>,
    ledger_ring: Ring,
    ledger: Kept,
}

/// One topic's messages.
#[derive(Debug, Default)]
struct Kept {
    next_seq: u64,
    /// Where the last of them begin, in the bytes of the ring.
    places: VecDeque<u64>,
}

impl Kept {
    fn oldest(&self) -> u64 {
        self.next_seq - self.places.len() as u64
    }

    /// The message that begins at `place` is gone; that of a topic which was forgotten meanwhile is not here.
    fn forget(&mut self, place: u64) {
        if self.places.front() == Some(&place) {
            self.places.pop_front();
        }
    }
}

/// Those of a topic's messages that were asked for and are still there.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Answer {
    /// The number of the first payload.
    pub(super) first: u64,
    /// The oldest number still kept.
    pub(super) oldest: u64,
    /// The number that the topic's next message will have.
    pub(super) next: u64,
    pub(super) payloads: Vec<Bytes>,
}

impl Window {
    /// Keeps so many bytes of messages.
    pub(super) fn new(bytes: usize) -> Self {
        let ledger = bytes / LEDGER_SHARE;
        Self {
            ring: Ring::new(bytes - ledger),
            topics: LruCache::new(TOPICS),
            ledger_ring: Ring::new(ledger),
            ledger: Kept::default(),
        }
    }

    /// Publishes an update, whose `payload` is written up to its `relay.seq`: the answer.
    pub(super) fn publish(&mut self, topic: &Arc<str>, payload: &[u8]) -> u64 {
        let seq = self.topics.get_or_insert_mut(Arc::clone(topic), Kept::default).next_seq;
        let message = Encoded { topic, payload, seq };
        let topics = &mut self.topics;
        let at = message.append(&mut self.ring, |topic, place| {
            if let Some(kept) = topics.peek_mut(topic) {
                kept.forget(place);
            }
        });
        // It is the one used last.
        if let Some(kept) = self.topics.peek_mut(topic) {
            kept.places.push_back(at.bytes);
            kept.next_seq += 1;
        }
        seq
    }

    /// Publishes what the ledger's topic says, written in the same way.
    pub(super) fn publish_note(&mut self, payload: &[u8]) {
        let (topics, ledger) = (&mut self.topics, &mut self.ledger);
        let message = Encoded { topic: LEDGER_TOPIC, payload, seq: ledger.next_seq };
        message.append(&mut self.ring, |topic, place| {
            if let Some(kept) = topics.peek_mut(topic) {
                kept.forget(place);
            }
        });
        let at = message.append(&mut self.ledger_ring, |_, place| ledger.forget(place));
        ledger.places.push_back(at.bytes);
        ledger.next_seq += 1;
    }

    /// The number after the last of each topic of updates, the most recently used first.
    pub(super) fn ends(&self) -> impl Iterator<Item = (&str, u64)> {
        self.topics.iter().map(|(topic, kept)| (&**topic, kept.next_seq))
    }

    /// The messages of `topic` from `from_seq` on, or from the oldest if that one is gone.
    pub(super) fn since(&mut self, topic: &str, from_seq: u64) -> Answer {
        let (ring, kept) = if topic == LEDGER_TOPIC {
            (&mut self.ledger_ring, Some(&self.ledger))
        } else {
            (&mut self.ring, self.topics.peek(topic))
        };
        let Some(kept) = kept else { return Answer { first: 0, oldest: 0, next: 0, payloads: Vec::new() } };
        let first = from_seq.clamp(kept.oldest(), kept.next_seq);
        let (mut bytes, mut payloads) = (0, Vec::new());
        for place in kept.places.range((first - kept.oldest()) as usize..) {
            let payload = payload_of(&ring.from(*place));
            bytes += payload.len();
            if bytes > ANSWER_BYTES && !payloads.is_empty() {
                break;
            }
            payloads.push(payload);
        }
        Answer { first, oldest: kept.oldest(), next: kept.next_seq, payloads }
    }
}

/// A message, as it goes into a ring.
struct Encoded<'a> {
    topic: &'a str,
    payload: &'a [u8],
    seq: u64,
}

impl Encoded<'_> {
    /// Appends it; `forget` hears of each message that leaves, its topic and where it began.
    fn append(&self, ring: &mut Ring, mut forget: impl FnMut(&str, u64)) -> Position {
        let digits = self.seq.checked_ilog10().unwrap_or(0) as usize + 1;
        let body = self.payload.len() + digits + PAYLOAD_END.len();
        let head = |len: usize| if len > 255 { 9 } else { 2 };
        let write = |into: &mut BytesMut| {
            frame_head(self.topic.len(), true, into);
            into.put_slice(self.topic.as_bytes());
            frame_head(body, false, into);
            into.put_slice(self.payload);
            // Writing into bytes cannot fail.
            let _ = write!(into, "{}", self.seq);
            into.put_slice(PAYLOAD_END);
        };
        ring.append(
            head(self.topic.len()) + self.topic.len() + head(body) + body,
            write,
            |start, messages| {
                for (topic, place) in topics_of(messages) {
                    forget(topic, start.bytes + place as u64);
                }
            },
        )
    }
}

/// The topic of each of these messages, and where it begins.
fn topics_of(messages: &[u8]) -> impl Iterator<Item = (&str, usize)> {
    let mut rest = frames(messages);
    std::iter::from_fn(move || {
        let place = messages.len() - rest.rest().len();
        let topic = rest.next()?.body;
        rest.next();
        // It was text when it came in.
        Some((std::str::from_utf8(topic).unwrap_or_default(), place))
    })
}

/// The second part of the first of these messages.
fn payload_of(messages: &Bytes) -> Bytes {
    frames(messages).nth(1).map_or_else(Bytes::new, |frame| messages.slice_ref(frame.body))
}

#[cfg(test)]
mod tests {
    use super::super::ring::Position;
    use super::{Answer, LEDGER_TOPIC, TOPICS, Window, topics_of};
    use atomwire_wire::zmtp::frames;
    use bytes::Bytes;
    use proptest::prelude::*;
    use std::sync::Arc;

    const WINDOW_BYTES: usize = 1024 * 1024;

    /// A payload as the window makes it of one that ends where `relay.seq` goes.
    fn whole(payload: &[u8], seq: u64) -> Vec<u8> {
        [payload, seq.to_string().as_bytes(), b"}}"].concat()
    }

    /// Everything from a place on.
    fn read(window: &mut Window, cursor: &mut Position) -> (u64, Vec<(String, Vec<u8>)>) {
        let (mut missed, mut messages) = (0, Vec::new());
        loop {
            let mut chunks = Vec::new();
            missed += window.ring.read(cursor, &mut chunks);
            if chunks.is_empty() {
                return (missed, messages);
            }
            for chunk in chunks {
                let bodies: Vec<_> = frames(&chunk).map(|frame| frame.body.to_vec()).collect();
                assert_eq!(topics_of(&chunk).count() * 2, bodies.len(), "whole messages");
                messages.extend(
                    bodies
                        .chunks(2)
                        .map(|it| (String::from_utf8(it[0].clone()).expect("UTF-8"), it[1].clone())),
                );
            }
        }
    }

    #[test]
    fn a_topic_that_comes_back_after_many_others_begins_anew_and_keeps_what_is_new() {
        let mut window = Window::new(64 * WINDOW_BYTES);
        let first: Arc<str> = "first".into();
        assert_eq!((window.publish(&first, b"a"), window.publish(&first, b"b")), (0, 1));
        for number in 0..TOPICS.get() {
            window.publish(&number.to_string().into(), b"x");
        }
        assert_eq!(window.publish(&first, b"c"), 0);
        // Now what it published in its first life leaves.
        let large = vec![b'x'; 200_000];
        while window.ring.start().messages < 3 {
            window.publish(&"last".into(), &large);
        }
        let answer = window.since("first", 0);
        assert_eq!(
            answer,
            Answer { first: 0, oldest: 0, next: 1, payloads: vec![Bytes::from_static(b"c0}}")] }
        );
    }

    #[test]
    fn what_is_larger_than_the_window_is_kept_alone() {
        let mut window = Window::new(WINDOW_BYTES);
        let topic: Arc<str> = "topic".into();
        window.publish(&topic, b"small");
        window.publish(&topic, &vec![b'x'; 2 * WINDOW_BYTES]);
        assert_eq!((window.since("topic", 0).oldest, window.since("topic", 0).payloads.len()), (1, 1));
        window.publish(&topic, b"small");
        assert_eq!(window.since("topic", 0).oldest, 2);
    }

    #[test]
    fn updates_do_not_push_the_ledger_out() {
        let mut window = Window::new(WINDOW_BYTES);
        window.publish_note(b"note");
        for _ in 0..100 {
            window.publish(&"topic".into(), &vec![b'x'; 50_000]);
        }
        assert_eq!(window.since(LEDGER_TOPIC, 0).payloads, [Bytes::from_static(b"note0}}")]);
        assert!(window.ring.start().messages > 0);
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

        /// Readers of any pace get what was published, in order, without a hole but the one that they are told of, and
        /// what is asked for by topic is the same.
        #[test]
        fn what_is_read_is_what_was_published(
            steps in prop::collection::vec((0..5_usize, 1..90_000_usize, 0..8_usize), 1..200),
        ) {
            let mut window = Window::new(WINDOW_BYTES);
            let topics: [Arc<str>; 4] = ["a", "b", "c", LEDGER_TOPIC].map(Into::into);
            let mut published: Vec<(String, Vec<u8>)> = Vec::new();
            let mut next = [0_u64; 4];
            let mut readers = [(Position::default(), 0_usize); 3];
            for (topic, len, reader) in steps {
                let topic = topic.min(3);
                // Most are small, as they are.
                let payload = vec![b'x'; if len % 3 > 0 { len % 700 } else { len }];
                if topic == 3 {
                    window.publish_note(&payload);
                } else {
                    prop_assert_eq!(window.publish(&topics[topic], &payload), next[topic]);
                }
                published.push((topics[topic].to_string(), whole(&payload, next[topic])));
                next[topic] += 1;
                if let Some((cursor, at)) = readers.get_mut(reader) {
                    let (missed, messages) = read(&mut window, cursor);
                    *at += missed as usize;
                    prop_assert_eq!(&messages, &published[*at..]);
                    *at = published.len();
                    prop_assert_eq!(*cursor, window.ring.end());
                }
            }
            let kept = published.len() - window.ring.start().messages as usize;
            for (topic, next) in topics.iter().zip(next).take(3) {
                let of_topic: Vec<_> = published[published.len() - kept..].iter().filter(|it| it.0 == **topic).collect();
                let answer = window.since(topic, 0);
                prop_assert_eq!((answer.oldest, answer.next), (next - of_topic.len() as u64, next));
                prop_assert_eq!(answer.first, answer.oldest);
                for (payload, expected) in answer.payloads.iter().zip(of_topic) {
                    prop_assert_eq!(&payload[..], &expected.1[..]);
                }
            }
            let bytes: usize = published[published.len() - kept..].iter().map(|it| it.0.len() + it.1.len()).sum();
            prop_assert!(bytes <= WINDOW_BYTES);
        }
    }
}

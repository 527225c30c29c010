//! What was published: the ring, the count of each topic's messages, the ledger's messages for longer, and how far the
//! consumers are with all that.

use super::LEDGER_TOPIC;
use super::consumers::Consumers;
use super::ring::{Position, Ring};
use atomwire_wire::zmtp::{Subscriptions, frame_head, frames};
use bytes::{BufMut as _, Bytes, BytesMut};
use lru::LruCache;
use std::collections::VecDeque;
use std::fmt::Write as _;
use std::num::NonZeroUsize;
use std::sync::Arc;

/// Topics that are counted, when the topic is a template. The least recently used is forgotten first;
/// its count begins anew when it comes back.
const TOPICS: NonZeroUsize = NonZeroUsize::new(65_536).expect("not zero");

/// One byte in so many is for the ledger's messages alone, which are in the ring as well: they are few, each may
/// account for thousands of updates, and a burst of updates must not push them out of what consumers can read.
const LEDGER_SHARE: usize = 8;

/// What a note takes beside its own bytes.
const NOTE_BYTES: usize = 96;

/// Bytes of notes in an answer: as many as of other messages.
const NOTES_READ_BYTES: usize = 256 * 1024;

/// The end of every payload, which begins with its `relay.seq`.
const PAYLOAD_END: &[u8] = b"}}";

/// All messages.
#[derive(Debug)]
pub(super) struct Window {
    /// What everybody is sent from.
    pub(super) ring: Ring,
    pub(super) consumers: Consumers,
    /// The number of each topic's next message.
    topics: LruCache<Arc<str>, u64>,
    notes: Notes,
}

/// The ledger's messages.
#[derive(Debug)]
struct Notes {
    next_seq: u64,
    /// The last of them, oldest first, each with how many messages were published before it.
    kept: VecDeque<(u64, Bytes)>,
    bytes: usize,
    most: usize,
}

/// What a consumer gets.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Answer {
    /// From which position…
    pub(super) from: u64,
    /// …to which.
    pub(super) next: u64,
    /// The position behind the newest message there is.
    pub(super) end: u64,
    /// Messages between `from` and `next` that are gone.
    pub(super) missed: u64,
    /// Messages in `pieces`: those of the topics that are wanted.
    pub(super) messages: u64,
    pub(super) pieces: Vec<Bytes>,
}

impl Window {
    /// Keeps so many bytes of messages.
    pub(super) fn new(bytes: usize, consumers: Consumers) -> Self {
        let most = bytes / LEDGER_SHARE;
        Self {
            ring: Ring::new(bytes - most),
            consumers,
            topics: LruCache::new(TOPICS),
            notes: Notes { next_seq: 0, kept: VecDeque::new(), bytes: 0, most },
        }
    }

    /// Publishes an update, whose `payload` is written up to its `relay.seq`: the answer.
    pub(super) fn publish(&mut self, topic: &Arc<str>, payload: &[u8]) -> u64 {
        let next_seq = self.topics.get_or_insert_mut(Arc::clone(topic), || 0);
        let seq = *next_seq;
        *next_seq += 1;
        let message = Encoded { topic, payload, seq };
        let held = self.held();
        self.ring.append(message.len(), |into| message.write(into), held);
        seq
    }

    /// Publishes what the ledger's topic says, written in the same way.
    pub(super) fn publish_note(&mut self, payload: &[u8]) {
        let message = Encoded { topic: LEDGER_TOPIC, payload, seq: self.notes.next_seq };
        let mut bytes = BytesMut::with_capacity(message.len());
        message.write(&mut bytes);
        let held = self.held();
        let at = self.ring.end().messages;
        self.ring.append(bytes.len(), |into| into.put_slice(&bytes), held);
        self.notes.push(at, bytes.freeze());
    }

    /// The number after the last of each topic of updates, the most recently used first.
    pub(super) fn ends(&self) -> impl Iterator<Item = (&str, u64)> {
        self.topics.iter().map(|(topic, next_seq)| (&**topic, *next_seq))
    }

    /// What was published from a position on and is of a topic that is wanted, as much as is sent at once. Of what is
    /// gone, the ledger's messages may still be there.
    pub(super) fn read(&mut self, from: u64, wanted: &Subscriptions) -> Answer {
        let (start, end) = (self.ring.start().messages, self.ring.end().messages);
        if from < start {
            let of_ledger = self.notes.read(from, start, wanted.matches(LEDGER_TOPIC.as_bytes()));
            return Answer { end, ..of_ledger };
        }
        let mut cursor = self.ring.seek(from);
        let (mut chunks, from) = (Vec::new(), cursor.messages);
        self.ring.read(&mut cursor, &mut chunks);
        let mut answer = Answer { from, next: cursor.messages, end, ..Answer::default() };
        for chunk in &chunks {
            for (messages, piece) in of_interest(chunk, wanted) {
                answer.messages += messages;
                answer.pieces.push(piece);
            }
        }
        answer
    }

    /// From where on nothing may be overwritten.
    fn held(&self) -> Position {
        self.consumers.required_done().unwrap_or(Position { bytes: u64::MAX, messages: u64::MAX })
    }
}

impl Notes {
    fn push(&mut self, at: u64, note: Bytes) {
        self.next_seq += 1;
        self.bytes += note.len() + NOTE_BYTES;
        self.kept.push_back((at, note));
        while self.bytes > self.most
            && let Some((_, note)) = self.kept.pop_front()
        {
            self.bytes -= note.len() + NOTE_BYTES;
        }
    }

    /// Those between two positions, of which nothing else is left.
    fn read(&self, from: u64, end: u64, wanted: bool) -> Answer {
        let place = |position| self.kept.partition_point(|(at, _)| *at < position);
        let (first, last) = (place(from), place(end));
        let (mut next, mut bytes, mut pieces) = (end, 0, Vec::new());
        for (at, note) in self.kept.range(first..last) {
            bytes += note.len();
            if bytes > NOTES_READ_BYTES && !pieces.is_empty() {
                next = *at;
                break;
            }
            pieces.push(note.clone());
        }
        let missed = next - from - pieces.len() as u64;
        if !wanted {
            pieces.clear();
        }
        Answer { from, next, missed, messages: pieces.len() as u64, pieces, ..Answer::default() }
    }
}

/// A message, as it goes into a ring.
struct Encoded<'a> {
    topic: &'a str,
    payload: &'a [u8],
    seq: u64,
}

impl Encoded<'_> {
    /// How many bytes it takes.
    fn len(&self) -> usize {
        let head = |len: usize| if len > 255 { 9 } else { 2 };
        let body = self.body();
        head(self.topic.len()) + self.topic.len() + head(body) + body
    }

    fn body(&self) -> usize {
        let digits = self.seq.checked_ilog10().unwrap_or(0) as usize + 1;
        self.payload.len() + digits + PAYLOAD_END.len()
    }

    fn write(&self, into: &mut BytesMut) {
        frame_head(self.topic.len(), true, into);
        into.put_slice(self.topic.as_bytes());
        frame_head(self.body(), false, into);
        into.put_slice(self.payload);
        // Writing into bytes cannot fail.
        let _ = write!(into, "{}", self.seq);
        into.put_slice(PAYLOAD_END);
    }
}

/// The messages among these whose topics are wanted, in as few pieces as they stand in, each with how many it holds.
pub(super) fn of_interest(messages: &Bytes, wanted: &Subscriptions) -> Vec<(u64, Bytes)> {
    let mut pieces = Vec::new();
    let (mut rest, mut start, mut count) = (frames(messages), 0, 0);
    loop {
        let at = messages.len() - rest.rest().len();
        let topic = rest.next();
        rest.next();
        if topic.as_ref().is_some_and(|topic| wanted.matches(topic.body)) {
            count += 1;
            continue;
        }
        if count > 0 {
            pieces.push((count, messages.slice(start..at)));
        }
        if topic.is_none() {
            return pieces;
        }
        (start, count) = (messages.len() - rest.rest().len(), 0);
    }
}

#[cfg(test)]
mod tests {
    use super::super::consumers::Consumers;
    use super::super::ring::Position;
    use super::{LEDGER_SHARE, LEDGER_TOPIC, TOPICS, Window};
    use crate::config::ConsumerName;
    use atomwire_wire::zmtp::{Subscriptions, frames};
    use bytes::Bytes;
    use proptest::prelude::*;
    use std::sync::Arc;

    const WINDOW_BYTES: usize = 1024 * 1024;

    fn window(bytes: usize) -> Window {
        Window::new(bytes, Consumers::new(Vec::new()))
    }

    fn wanted(topics: &[&str]) -> Subscriptions {
        let mut wanted = Subscriptions::default();
        for topic in topics {
            wanted.insert(topic.as_bytes());
        }
        wanted
    }

    /// A payload as the window makes it of one that ends where `relay.seq` goes.
    fn whole(payload: &[u8], seq: u64) -> Vec<u8> {
        [payload, seq.to_string().as_bytes(), b"}}"].concat()
    }

    fn messages(pieces: &[Bytes]) -> Vec<(String, Vec<u8>)> {
        let bodies: Vec<_> =
            pieces.iter().flat_map(|piece| frames(piece)).map(|it| it.body.to_vec()).collect();
        assert_eq!(bodies.len() % 2, 0, "whole messages");
        let text = |topic: &[u8]| String::from_utf8(topic.to_vec()).expect("UTF-8");
        bodies.chunks(2).map(|it| (text(&it[0]), it[1].clone())).collect()
    }

    /// Everything from a place on, as subscribers get it.
    fn sent(window: &mut Window, cursor: &mut Position) -> (u64, Vec<(String, Vec<u8>)>) {
        let (mut missed, mut all) = (0, Vec::new());
        loop {
            let mut chunks = Vec::new();
            missed += window.ring.read(cursor, &mut chunks);
            if chunks.is_empty() {
                return (missed, all);
            }
            all.extend(messages(&chunks));
        }
    }

    /// What one consumer reads from a position on, and how many messages it misses.
    fn read(window: &mut Window, from: &mut u64, topics: &[&str]) -> (u64, Vec<(String, Vec<u8>)>) {
        let (mut missed, mut all) = (0, Vec::new());
        while *from < window.ring.end().messages {
            let answer = window.read(*from, &wanted(topics));
            assert_eq!(answer.from, *from);
            assert!(answer.next > *from, "it goes on");
            let some = messages(&answer.pieces);
            assert_eq!(some.len() as u64, answer.messages);
            *from = answer.next;
            missed += answer.missed;
            all.extend(some);
        }
        (missed, all)
    }

    #[test]
    fn a_topic_that_comes_back_after_many_others_begins_anew() {
        let mut window = window(64 * WINDOW_BYTES);
        let first: Arc<str> = "first".into();
        assert_eq!((window.publish(&first, b"a"), window.publish(&first, b"b")), (0, 1));
        for number in 0..TOPICS.get() {
            window.publish(&number.to_string().into(), b"x");
        }
        assert_eq!(window.publish(&first, b"c"), 0);
    }

    #[test]
    fn what_is_larger_than_the_window_is_kept_alone() {
        let mut window = window(WINDOW_BYTES);
        let topic: Arc<str> = "topic".into();
        window.publish(&topic, b"small");
        window.publish(&topic, &vec![b'x'; 2 * WINDOW_BYTES]);
        assert_eq!((window.ring.start().messages, window.read(1, &wanted(&[""])).messages), (1, 1));
        window.publish(&topic, b"small");
        assert_eq!(window.ring.start().messages, 2);
    }

    #[test]
    fn updates_do_not_push_the_ledger_out() {
        let mut window = window(5 * WINDOW_BYTES);
        let flood = |window: &mut Window| {
            for _ in 0..150 {
                window.publish(&"topic".into(), &vec![b'x'; 50_000]);
            }
        };
        let note = [b'x'; 250];
        for _ in 0..1500 {
            window.publish_note(&note);
        }
        flood(&mut window);
        assert!(window.ring.start().messages > 1500);
        assert!(window.read(10, &wanted(&[LEDGER_TOPIC])).next < 1500, "they take more than one answer");
        let (missed, notes) = read(&mut window, &mut 10, &[LEDGER_TOPIC]);
        assert!(missed > 0);
        assert!(notes.into_iter().eq((10..1500).map(|seq| (LEDGER_TOPIC.to_owned(), whole(&note, seq)))));
        // The ledger has a bound of its own.
        for _ in 0..5 * WINDOW_BYTES / LEDGER_SHARE / 100 {
            window.publish_note(b"note");
        }
        flood(&mut window);
        assert!(window.read(0, &wanted(&[""])).missed > 0);
    }

    #[test]
    fn what_a_required_consumer_is_not_done_with_stays() {
        let name = |name: &str| ConsumerName::try_from(name.to_owned()).expect("a name");
        let mut window = Window::new(WINDOW_BYTES, Consumers::new(vec![name("a"), name("b")]));
        let topic: Arc<str> = "topic".into();
        for _ in 0..100 {
            window.publish(&topic, &vec![b'x'; 50_000]);
        }
        assert_eq!(window.ring.start().messages, 0, "nobody has read anything");
        let start = window.ring.start();
        let (a, b) = (window.consumers.enter(&name("a"), start), window.consumers.enter(&name("b"), start));
        let (fifty, eighty) = (window.ring.seek(50), window.ring.seek(80));
        window.consumers.confirm(&a.expect("a turn"), eighty);
        window.consumers.confirm(&b.expect("a turn"), fifty);
        for _ in 0..100 {
            window.publish(&topic, &vec![b'x'; 50_000]);
        }
        assert_eq!(window.ring.start().messages, 50, "b is not done with the others");
        assert_eq!(read(&mut window, &mut 50, &[""]).1.len(), 150);
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

        /// Readers of any pace get what was published, in order, without a hole but the one that they are told of.
        #[test]
        fn what_is_read_is_what_was_published(
            steps in prop::collection::vec((0..5_usize, 1..90_000_usize, 0..8_usize), 1..200),
        ) {
            let mut window = window(WINDOW_BYTES);
            let topics: [Arc<str>; 4] = ["a", "b", "c", LEDGER_TOPIC].map(Into::into);
            let mut published: Vec<(String, Vec<u8>)> = Vec::new();
            let mut next = [0_u64; 4];
            let mut subscribers = [(Position::default(), 0_usize); 2];
            let interests: [&[&str]; 3] = [&[""], &["b"], &["c", LEDGER_TOPIC]];
            let mut consumers = [0_u64; 3];
            for (topic, len, reader) in steps {
                let topic = topic.min(3);
                // Most are small, as they are.
                let len = if topic == 3 { len % 200 } else { len };
                let payload = vec![b'x'; if len % 3 > 0 { len % 700 } else { len }];
                if topic == 3 {
                    window.publish_note(&payload);
                } else {
                    prop_assert_eq!(window.publish(&topics[topic], &payload), next[topic]);
                }
                published.push((topics[topic].to_string(), whole(&payload, next[topic])));
                next[topic] += 1;
                if let Some((cursor, at)) = subscribers.get_mut(reader) {
                    let (missed, messages) = sent(&mut window, cursor);
                    *at += missed as usize;
                    prop_assert_eq!(&messages, &published[*at..]);
                    *at = published.len();
                    prop_assert_eq!(*cursor, window.ring.end());
                }
                if let Some(number) = reader.checked_sub(subscribers.len())
                    && let Some(from) = consumers.get_mut(number)
                {
                    let asked = *from as usize;
                    let kept = window.ring.start().messages as usize;
                    let (missed, messages) = read(&mut window, from, interests[number]);
                    let wants = |topic: &str| interests[number].iter().any(|it| topic.starts_with(it));
                    // The notes are few here: all are kept.
                    let expected = published.iter().enumerate().skip(asked);
                    let gone = |at: usize, topic: &str| at < kept && topic != LEDGER_TOPIC;
                    let lost = expected.clone().filter(|(at, it)| gone(*at, &it.0)).count();
                    let expected = expected.filter(|(at, it)| wants(&it.0) && !gone(*at, &it.0)).map(|it| it.1);
                    prop_assert_eq!(missed, lost as u64);
                    prop_assert_eq!(messages.iter().collect::<Vec<_>>(), expected.collect::<Vec<_>>());
                }
                // A consumer may begin anywhere.
                for at in [window.ring.start().messages, window.ring.end().messages] {
                    prop_assert_eq!(window.ring.seek(at).messages, at);
                }
            }
            let kept = window.ring.start().messages as usize;
            for (at, message) in published.iter().enumerate().skip(kept).step_by(7) {
                let answer = window.read(at as u64, &wanted(&[""]));
                prop_assert_eq!(&messages(&answer.pieces)[0], message);
            }
            let bytes: usize = published[kept..].iter().map(|it| it.0.len() + it.1.len()).sum();
            prop_assert!(bytes <= WINDOW_BYTES);
        }
    }
}

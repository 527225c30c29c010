//! The replay window: the last messages of each topic, bounded in bytes over all topics.

use super::LEDGER_TOPIC;
use bytes::Bytes;
use lru::LruCache;
use std::collections::VecDeque;
use std::num::NonZeroUsize;
use std::sync::Arc;

/// Topics that are counted, when the topic is a template. The least recently used is forgotten first;
/// its count begins anew when it comes back.
const TOPICS: NonZeroUsize = NonZeroUsize::new(65_536).expect("not zero");

/// What a kept message takes beside its payload.
const OVERHEAD: usize = 64;

/// An answer's payloads take about this much at the most; who wants more asks again.
pub(super) const ANSWER_BYTES: usize = 1024 * 1024;

/// One byte in so many is for the ledger alone.
const LEDGER_SHARE: usize = 8;

/// The updates' window and the ledger's own: its messages are few, each may account for thousands of updates,
/// and a burst of updates must not push them out.
#[derive(Debug)]
pub(super) struct Windows {
    pub(super) updates: Window,
    ledger: Window,
}

impl Windows {
    pub(super) fn new(bytes: usize) -> Self {
        let ledger = bytes / LEDGER_SHARE;
        Self { updates: Window::new(bytes - ledger), ledger: Window::new(ledger) }
    }

    pub(super) fn of(&self, topic: &str) -> &Window {
        if topic == LEDGER_TOPIC { &self.ledger } else { &self.updates }
    }

    pub(super) fn of_mut(&mut self, topic: &str) -> &mut Window {
        if topic == LEDGER_TOPIC { &mut self.ledger } else { &mut self.updates }
    }
}

#[derive(Debug, Default)]
struct Kept {
    next_seq: u64,
    /// Where in the ring its last messages are.
    places: VecDeque<Place>,
}

impl Kept {
    fn oldest(&self) -> u64 {
        self.next_seq - self.places.len() as u64
    }
}

/// Counts the messages of each topic and keeps the last.
#[derive(Debug)]
pub(super) struct Window {
    topics: LruCache<Arc<str>, Kept>,
    /// The topic of each kept message, and what the message takes; oldest first. A forgotten topic leaves
    /// its messages here, so that they count until their turn comes.
    order: VecDeque<(Arc<str>, usize)>,
    bytes: usize,
    /// What all kept messages may take.
    most: usize,
    ring: Ring,
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
    fn new(most: usize) -> Self {
        let ring = Ring::new(most);
        Self { topics: LruCache::new(TOPICS), order: VecDeque::new(), bytes: 0, most, ring }
    }

    /// The number of the next message of `topic`.
    pub(super) fn next_seq(&mut self, topic: &str) -> u64 {
        self.topics.get(topic).map_or(0, |kept| kept.next_seq)
    }

    /// Notes that the next message of `topic` went out.
    pub(super) fn keep(&mut self, topic: &Arc<str>, payload: &[u8]) {
        let bytes = topic.len() + payload.len() + OVERHEAD;
        self.bytes += bytes;
        // Room first, the ring has no more. What is larger than the window pushes out all, and is not kept.
        while self.bytes > self.most {
            let Some((topic, bytes)) = self.order.pop_front() else { break };
            self.bytes -= bytes;
            if let Some(kept) = self.topics.peek_mut(&*topic) {
                kept.places.pop_front();
            }
        }
        let kept = self.topics.get_or_insert_mut(Arc::clone(topic), Kept::default);
        kept.next_seq += 1;
        if self.bytes > self.most {
            self.bytes = 0;
            return;
        }
        kept.places.push_back(self.ring.write(payload));
        self.order.push_back((Arc::clone(topic), bytes));
    }

    /// The number after the last of each topic, the most recently used first.
    pub(super) fn ends(&self) -> impl Iterator<Item = (&str, u64)> {
        self.topics.iter().map(|(topic, kept)| (&**topic, kept.next_seq))
    }

    /// The messages of `topic` from `from_seq` on, or from the oldest if that one is gone.
    pub(super) fn since(&self, topic: &str, from_seq: u64) -> Answer {
        let Some(kept) = self.topics.peek(topic) else {
            return Answer { first: 0, oldest: 0, next: 0, payloads: Vec::new() };
        };
        let first = from_seq.clamp(kept.oldest(), kept.next_seq);
        let (mut bytes, mut payloads) = (0, Vec::new());
        for place in kept.places.range((first - kept.oldest()) as usize..) {
            bytes += place.len as usize;
            if bytes > ANSWER_BYTES && !payloads.is_empty() {
                break;
            }
            payloads.push(self.ring.read(*place));
        }
        Answer { first, oldest: kept.oldest(), next: kept.next_seq, payloads }
    }
}

/// Where a payload begins, and how many bytes it has.
#[derive(Debug, Clone, Copy)]
struct Place {
    start: usize,
    len: u32,
}

/// The payloads' bytes one after the other, over and over again. Copied: to keep the payloads themselves would
/// leave the allocator with memory that no cache has any more, which cost a twentieth of the relay's throughput.
#[derive(Debug)]
struct Ring {
    bytes: Box<[u8]>,
    end: usize,
}

impl Ring {
    fn new(bytes: usize) -> Self {
        // The system gives the pages only when they are written.
        Self { bytes: vec![0; bytes].into(), end: 0 }
    }

    /// Writes over the oldest, which nobody must want any more.
    fn write(&mut self, payload: &[u8]) -> Place {
        let start = self.end;
        let (head, tail) = payload.split_at(payload.len().min(self.bytes.len() - start));
        self.bytes[start..start + head.len()].copy_from_slice(head);
        self.bytes[..tail.len()].copy_from_slice(tail);
        self.end = (start + payload.len()) % self.bytes.len();
        Place { start, len: payload.len() as u32 }
    }

    fn read(&self, Place { start, len }: Place) -> Bytes {
        let len = len as usize;
        let head = len.min(self.bytes.len() - start);
        [&self.bytes[start..start + head], &self.bytes[..len - head]].concat().into()
    }
}

#[cfg(test)]
mod tests {
    use super::{Answer, LEDGER_TOPIC, OVERHEAD, TOPICS, Window, Windows};
    use bytes::Bytes;
    use std::sync::Arc;

    const WINDOW_BYTES: usize = 32 * 1024 * 1024;

    #[test]
    fn the_window_holds_the_newest_within_its_bytes() {
        let mut window = Window::new(WINDOW_BYTES);
        let topics = ["even".into(), "odd".into()];
        let payload = Bytes::from(vec![b'x'; 1024 * 1024 - OVERHEAD - "even".len()]);
        for number in 0..100 {
            window.keep(&topics[number % 2], &payload);
        }
        assert!(window.bytes <= WINDOW_BYTES);
        let answer = window.since("odd", 0);
        assert_eq!((answer.oldest, answer.next, answer.first), (34, 50, 34));
        assert_eq!(answer.payloads.len(), 1, "an answer is bounded, too");
    }

    #[test]
    fn topics_that_never_come_back_take_no_more_than_the_window() {
        let mut window = Window::new(WINDOW_BYTES);
        let payload = Bytes::from_static(&[b'x'; 128]);
        let fits = WINDOW_BYTES / (payload.len() + OVERHEAD);
        for number in 0..2 * fits {
            window.keep(&number.to_string().into(), &payload);
        }
        assert!(window.order.len() < fits);
        assert_eq!(window.topics.len(), TOPICS.get());
    }

    #[test]
    fn what_is_kept_is_what_was_published_however_often_the_ring_went_round() {
        let mut window = Window::new(4_000);
        let topic: Arc<str> = "topic".into();
        let payload = |number: u64| number.to_string().repeat(1 + number as usize * 7 % 200);
        for number in 0..2_000 {
            window.keep(&topic, payload(number).as_bytes());
            let Answer { oldest, next, payloads, .. } = window.since(&topic, 0);
            assert_eq!(next, number + 1);
            assert!(payloads.iter().map(|it| it.len() + topic.len() + OVERHEAD).sum::<usize>() <= 4_000);
            assert!(payloads.iter().eq((oldest..next).map(payload).collect::<Vec<_>>().iter()));
        }
    }

    #[test]
    fn what_is_larger_than_the_window_is_counted_and_not_kept() {
        let mut window = Window::new(1_000);
        let topic: Arc<str> = "topic".into();
        for (bytes, kept) in [(10, 1), (1_001, 0), (10, 1), (10, 2)] {
            window.keep(&topic, &vec![b'x'; bytes]);
            assert_eq!(window.since(&topic, 0).payloads.len(), kept);
        }
        assert_eq!(window.since(&topic, 0).next, 4);
    }

    #[test]
    fn updates_do_not_push_out_the_ledger() {
        let mut windows = Windows::new(8_000);
        let note: Arc<str> = LEDGER_TOPIC.into();
        windows.of_mut(&note).keep(&note, b"{}");
        let topic: Arc<str> = "updates".into();
        for _ in 0..1_000 {
            windows.of_mut(&topic).keep(&topic, b"{}");
        }
        assert_eq!(windows.of(&note).since(&note, 0).payloads.len(), 1);
        assert!(windows.of(&topic).since(&topic, 0).oldest > 0);
        assert!(windows.updates.ends().all(|(topic, _)| topic != LEDGER_TOPIC));
    }

    #[test]
    fn an_unknown_topic_has_nothing() {
        let answer = Window::new(WINDOW_BYTES).since("nowhere", u64::MAX);
        assert_eq!(answer, Answer { first: 0, oldest: 0, next: 0, payloads: Vec::new() });
    }

    #[test]
    fn what_is_asked_for_beyond_the_end_is_nothing() {
        let mut window = Window::new(WINDOW_BYTES);
        window.keep(&"topic".into(), b"{}");
        assert_eq!(window.since("topic", u64::MAX).payloads.len(), 0);
        assert_eq!(window.since("topic", 0).payloads.len(), 1);
    }
}

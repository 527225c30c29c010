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
        ring.append(head(self.topic.len()) + self.topic.len() + head(body) + body, write, |start, messages| {
            for (topic, place) in topics_of(messages) {
                forget(topic, start.bytes + place as u64);
            }
        })
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

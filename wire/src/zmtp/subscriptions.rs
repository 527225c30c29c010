//! What a peer has subscribed to.

use std::collections::BTreeSet;
use std::ops::Bound::{Included, Unbounded};

/// A set of prefixes, as libzmq's XPUB keeps it for each peer: what is subscribed to twice is ended by one
/// cancellation. (ZMTP 3.1 would have each counted; but libzmq's SUB sends every subscription, and of the
/// cancellations only the last.)
#[derive(Debug, Clone, Default)]
pub struct Subscriptions {
    prefixes: BTreeSet<Box<[u8]>>,
}

impl Subscriptions {
    /// Adds a prefix; whether it was not there.
    pub fn insert(&mut self, prefix: &[u8]) -> bool {
        self.prefixes.insert(prefix.into())
    }

    /// Takes a prefix out; whether it was there.
    pub fn remove(&mut self, prefix: &[u8]) -> bool {
        self.prefixes.remove(prefix)
    }

    /// Whether this very prefix is there.
    pub fn contains(&self, prefix: &[u8]) -> bool {
        self.prefixes.contains(prefix)
    }

    /// Whether a message of that topic is wanted: whether the topic begins with one of the prefixes.
    pub fn matches(&self, topic: &[u8]) -> bool {
        let mut topic = topic;
        // Whatever lies between a prefix of the topic and the topic begins with that prefix. So the greatest that is
        // not above the topic either is a prefix, or shares with it what all prefixes lie in.
        while let Some(nearest) = self.prefixes.range::<[u8], _>((Unbounded, Included(topic))).next_back() {
            let shared = nearest.iter().zip(topic).take_while(|(a, b)| a == b).count();
            if shared == nearest.len() {
                return true;
            }
            topic = &topic[..shared];
        }
        false
    }

    /// Whether every message is wanted.
    pub fn matches_all(&self) -> bool {
        self.contains(&[])
    }

    /// How many prefixes there are.
    pub fn len(&self) -> usize {
        self.prefixes.len()
    }

    /// Whether nothing is wanted.
    pub fn is_empty(&self) -> bool {
        self.prefixes.is_empty()
    }
}

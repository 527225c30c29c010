//! What a peer has subscribed to.

/// A set of prefixes, as libzmq's XPUB keeps it for each peer: what is subscribed to twice is ended by one
/// cancellation. (ZMTP 3.1 would have each counted; but libzmq's SUB sends every subscription, and of the
/// cancellations only the last.)
#[derive(Debug, Clone, Default)]
pub struct Subscriptions {
    /// Ascending, so that those which begin alike are neighbours, the shortest first.
    prefixes: Vec<Box<[u8]>>,
}

impl Subscriptions {
    /// Adds a prefix; whether it was not there.
    pub fn insert(&mut self, prefix: &[u8]) -> bool {
        let place = self.find(prefix);
        if let Err(at) = place {
            self.prefixes.insert(at, prefix.into());
        }
        place.is_err()
    }

    /// Takes a prefix out; whether it was there.
    pub fn remove(&mut self, prefix: &[u8]) -> bool {
        self.find(prefix).map(|at| self.prefixes.remove(at)).is_ok()
    }

    /// Whether this very prefix is there.
    pub fn contains(&self, prefix: &[u8]) -> bool {
        self.find(prefix).is_ok()
    }

    /// Whether a message of that topic is wanted: whether the topic begins with one of the prefixes.
    pub fn matches(&self, topic: &[u8]) -> bool {
        let (mut alike, mut shared) = (&self.prefixes[..], 0);
        while let (Some(first), Some(last)) = (alike.first(), alike.last()) {
            // What the outermost share, all between them share; the topic is compared with the one that is left.
            shared += first[shared..].iter().zip(&last[shared..]).take_while(|(a, b)| a == b).count();
            if shared == first.len() {
                return topic.starts_with(first);
            }
            let Some(byte) = topic.get(shared) else { return false };
            alike = &alike[alike.partition_point(|it| it[shared] < *byte)..];
            alike = &alike[..alike.partition_point(|it| it[shared] == *byte)];
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

    /// Where a prefix is, or belongs.
    fn find(&self, prefix: &[u8]) -> Result<usize, usize> {
        self.prefixes.binary_search_by(|it| (**it).cmp(prefix))
    }
}

//! The consumer's books, as the bus contract lets anybody keep them.

use super::truth::Truth;
use std::collections::BTreeMap;

/// Who reported a loss.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Browser,
    Relay,
}

/// What a relay publishes about the session `.session`, as the message `.number` of its life.
#[derive(Debug, Clone)]
pub(super) struct Message {
    pub(super) number: u64,
    pub(super) session: usize,
    pub(super) says: Says,
}

#[derive(Debug, Clone)]
pub(super) enum Says {
    Row {
        seq: u64,
        key: String,
        value: Option<String>,
    },
    Lost {
        /// First and last of each, both included.
        ranges: Vec<(u64, u64)>,
        place: Place,
    },
    /// Everything below is accounted for: `start` of a session that was elsewhere before, or its `end`.
    AccountedFor(u64),
}

#[derive(Debug, Default)]
struct Session {
    rows: BTreeMap<u64, (String, Option<String>)>,
    losses: BTreeMap<u64, Place>,
    next_seq: u64,
}

#[derive(Debug, Default)]
pub(super) struct Books {
    sessions: BTreeMap<usize, Session>,
    entered: u64,
    /// Messages that were named as missing: by a gap, or by a relay that drained.
    missed: u64,
}

impl Books {
    pub(super) fn enter(&mut self, message: Message) {
        self.entered += 1;
        let session = self.sessions.entry(message.session).or_default();
        match message.says {
            Says::Row { seq, key, value } => {
                let known = session.rows.entry(seq).or_insert_with(|| (key.clone(), value.clone()));
                assert_eq!(*known, (key, value), "a repeat of update {seq} says something else");
                session.next_seq = session.next_seq.max(seq + 1);
            }
            Says::Lost { ranges, place } => {
                for (first, last) in ranges {
                    for seq in first..=last {
                        session.losses.entry(seq).or_insert(place);
                    }
                    session.next_seq = session.next_seq.max(last + 1);
                }
            }
            Says::AccountedFor(next_seq) => session.next_seq = session.next_seq.max(next_seq),
        }
    }

    /// So many messages are missing.
    pub(super) fn miss(&mut self, count: u64) {
        self.missed += count;
    }

    /// Whether `seq` is a row or a loss.
    pub(super) fn know(&self, session: usize, seq: u64) -> bool {
        let book = self.sessions.get(&session);
        book.is_some_and(|book| book.rows.contains_key(&seq) || book.losses.contains_key(&seq))
    }

    /// Whether `seq` is a row.
    pub(super) fn have(&self, session: usize, seq: u64) -> bool {
        self.sessions.get(&session).is_some_and(|book| book.rows.contains_key(&seq))
    }

    /// Holds what was published against what is in here or was named as missing; `vanished` messages went down with
    /// their relay.
    pub(super) fn balance(&self, published: u64, vanished: u64) {
        assert_eq!(
            published,
            self.entered + self.missed + vanished,
            "every message is read, or missed and named"
        );
    }

    /// Holds the account of `session` against the truth. The answer is how many of its numbers only messages that
    /// were missed tell of.
    pub(super) fn close(&self, session: usize, truth: &Truth) -> u64 {
        let nothing = Session::default();
        let book = self.sessions.get(&session).unwrap_or(&nothing);
        assert!(book.next_seq <= truth.created(), "session {session} has numbers that nobody made");
        let unheard = |seq| truth.gone || truth.is_missed(seq);
        assert!(
            (book.next_seq..truth.created()).all(unheard),
            "session {session}: {} of {}",
            book.next_seq,
            truth.created()
        );
        let mut missed = 0;
        for seq in 0..book.next_seq {
            match (book.rows.get(&seq), book.losses.get(&seq)) {
                (Some(row), _) => truth.check_row(seq, row),
                (None, Some(place)) => truth.check_loss(seq, *place),
                (None, None) => {
                    assert!(
                        truth.is_missed(seq),
                        "update {seq} of session {session} is nowhere: {:?}",
                        truth.fate(seq)
                    );
                    missed += 1;
                }
            }
        }
        missed
    }
}

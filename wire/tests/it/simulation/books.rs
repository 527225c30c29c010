//! The consumer's books, as the bus contract lets anybody keep them.

use super::truth::Truth;
use std::collections::BTreeMap;

/// Who reported a loss.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Browser,
    Relay,
}

/// What a relay publishes about the session `.session`.
#[derive(Debug, Clone)]
pub(super) struct Message {
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
        first: u64,
        last: u64,
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
}

impl Books {
    pub(super) fn enter(&mut self, message: Message) {
        let session = self.sessions.entry(message.session).or_default();
        match message.says {
            Says::Row { seq, key, value } => {
                let known = session.rows.entry(seq).or_insert_with(|| (key.clone(), value.clone()));
                assert_eq!(*known, (key, value), "a repeat of update {seq} says something else");
                session.next_seq = session.next_seq.max(seq + 1);
            }
            Says::Lost { first, last, place } => {
                for seq in first..=last {
                    session.losses.entry(seq).or_insert(place);
                }
                session.next_seq = session.next_seq.max(last + 1);
            }
            Says::AccountedFor(next_seq) => session.next_seq = session.next_seq.max(next_seq),
        }
    }

    /// Holds the account of `session` against the truth. The answer is how many of its numbers only a dead
    /// relay could tell of.
    pub(super) fn close(&self, session: usize, truth: &Truth) -> u64 {
        let nothing = Session::default();
        let book = self.sessions.get(&session).unwrap_or(&nothing);
        assert!(book.next_seq <= truth.created(), "session {session} has numbers that nobody made");
        let reaches = book.next_seq == truth.created();
        assert!(
            reaches || truth.gone || truth.end_died,
            "session {session}: {} of {}",
            book.next_seq,
            truth.created()
        );
        let mut died = 0;
        for seq in 0..book.next_seq {
            match (book.rows.get(&seq), book.losses.get(&seq)) {
                (Some(row), _) => truth.check_row(seq, row),
                (None, Some(place)) => truth.check_loss(seq, *place),
                (None, None) => {
                    assert!(
                        truth.died(seq),
                        "update {seq} of session {session} is nowhere: {:?}",
                        truth.fate(seq)
                    );
                    died += 1;
                }
            }
        }
        died
    }
}

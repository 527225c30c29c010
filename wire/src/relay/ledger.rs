//! What the relay knows of a session beyond one connection.

use crate::ids::{IdStream, Ids};
use crate::proto::{self, RejectReason};
use crate::{IdSeed, limits};
use std::collections::VecDeque;

/// Rejected ranges that a ledger keeps of what is settled between connections: 12 KB. Only a client that missed an
/// acknowledgement of more than these takes the oldest for acknowledged.
const KEPT_RANGES: usize = 256;

/// A session's account at the relay, kept between its connections.
#[derive(Debug)]
pub struct Ledger {
    ids: IdStream,
    /// Everything below was accepted, rejected, or reported lost.
    accepted: u64,
    /// Everything below is also settled.
    settled: u64,
    /// Ascending, for a client that missed the acknowledgement; the oldest go first.
    rejected: VecDeque<Rejected>,
}

/// Updates `first` to `last`, both included, that were refused for one reason.
#[derive(Debug)]
struct Rejected {
    first: u64,
    last: u64,
    reason: RejectReason,
    field: &'static str,
    limit: u64,
}

impl Ledger {
    /// The ledger of a session that this relay does not know: what the client says is settled, another
    /// relay (or this one before a restart) has settled.
    pub fn new(id_seed: IdSeed, first_unacked_seq: u64) -> Self {
        Self {
            ids: IdStream::new(id_seed),
            accepted: first_unacked_seq,
            settled: first_unacked_seq,
            rejected: VecDeque::new(),
        }
    }

    /// The session's client is back.
    pub fn resume(&mut self, first_unacked_seq: u64) {
        // The client may have been with another relay in between.
        self.accepted = self.accepted.max(first_unacked_seq);
        self.settled = self.settled.max(first_unacked_seq);
        self.rejected.retain(|range| range.last >= first_unacked_seq);
    }

    /// The next number that was not seen yet.
    pub fn accepted(&self) -> u64 {
        self.accepted
    }

    /// The next number that is not settled yet.
    pub fn settled(&self) -> u64 {
        self.settled
    }

    pub(super) fn ids(&mut self, position: u64) -> Ids {
        self.ids.at(position)
    }

    pub(super) fn advance(&mut self, accepted: u64) {
        self.accepted = accepted;
    }

    /// Refuses `seq`, the highest number so far.
    pub(super) fn reject(&mut self, seq: u64, reason: RejectReason, field: &'static str, limit: u64) {
        if let Some(last) = self.rejected.back_mut()
            && last.last + 1 == seq
            && last.reason == reason
            && last.field == field
        {
            last.last = seq;
            return;
        }
        self.rejected.push_back(Rejected { first: seq, last: seq, reason, field, limit });
        if self.rejected.len() > limits::REJECTED_RANGES {
            self.rejected.pop_front();
        }
    }

    /// Everything below `end` is settled, of a session that has no connection.
    pub fn settle(&mut self, end: u64) {
        self.advance_settled(end);
        self.rest();
    }

    pub(super) fn advance_settled(&mut self, end: u64) {
        self.settled = self.settled.max(end.min(self.accepted));
    }

    /// Nobody is connected: only what the next connection is likely to ask for stays, and all that nobody could be
    /// told yet, since it is not settled. That waits for the bus, whose messages of it have a bound.
    pub(super) fn rest(&mut self) {
        let settled = self.rejected.partition_point(|range| range.last < self.settled);
        self.rejected.drain(..settled.min(self.rejected.len().saturating_sub(KEPT_RANGES)));
        self.rejected.shrink_to_fit();
    }

    /// The refused ranges from `first` up to what is settled.
    pub(super) fn rejected_from(&self, first: u64) -> Vec<proto::Rejected> {
        let open = |range: &&Rejected| range.last >= first && range.first < self.settled;
        let tell = |range: &Rejected| proto::Rejected {
            first: range.first,
            last: range.last,
            reason: range.reason.into(),
            field: range.field.into(),
            limit: range.limit,
        };
        self.rejected.iter().filter(open).map(tell).collect()
    }
}

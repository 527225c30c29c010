//! What is between a page and a relay.

use atomwire_wire::Micros;
use atomwire_wire::proto;
use atomwire_wire::relay::{Limits, Session};
use bytes::Bytes;
use std::collections::VecDeque;

/// Frames under way in one direction, with the time at which each arrives, ascending.
pub(super) type Way = VecDeque<(Micros, Bytes)>;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Working,
    /// What is sent now never arrives, and nobody notices.
    Silent,
    /// What is sent now never arrives; an end notices when it has read what was under way.
    Cut,
}

/// What there is to know of a last request.
#[derive(Debug, Clone, Copy)]
pub(super) struct Requested {
    /// It is the last that anybody will hear of its page.
    pub(super) for_good: bool,
    /// The page did not know what this relay takes.
    pub(super) ignorant: bool,
}

/// One connection: what is under way in both directions, and the relay's end of it.
pub(super) struct Link {
    /// Whose session it carries.
    pub(super) session_no: usize,
    /// Where it goes.
    pub(super) relay: usize,
    pub(super) up: Way,
    pub(super) down: Way,
    /// Nothing arrives before this.
    pub(super) stalled_until: Micros,
    /// The relay does not read before this, unless something changes.
    pub(super) unread_until: Micros,
    pub(super) state: State,
    /// It is a last request's: it comes by a way of its own, and nobody waits for its answer.
    pub(super) request: Option<Requested>,
    /// The relay's end, until it has noticed the end of the connection.
    pub(super) session: Option<Session>,
    /// The last answer's number, and the bound that it set: neither goes back.
    answered: (u64, u64),
    /// Which ledger answers, once one does.
    pub(super) ledger: Option<u64>,
    /// The client has said goodbye.
    pub(super) ended: bool,
    pub(super) limits: Limits,
}

impl Link {
    pub(super) fn new(session_no: usize, relay: usize, limits: Limits) -> Self {
        Self {
            session_no,
            relay,
            up: Way::new(),
            down: Way::new(),
            stalled_until: 0,
            unread_until: 0,
            state: State::Working,
            request: None,
            session: Some(Session::new(limits)),
            answered: (0, 0),
            ledger: None,
            ended: false,
            limits,
        }
    }

    /// The relay has answered.
    pub(super) fn answer(&mut self, next_seq: u64, credit: u32) {
        let (settled, bound) =
            std::mem::replace(&mut self.answered, (next_seq, next_seq + u64::from(credit)));
        assert!(settled <= self.answered.0 && bound <= self.answered.1, "{:?}", self.answered);
    }

    /// A frame leaves, to arrive at `at`, or later: what was sent later does not arrive earlier.
    pub(super) fn send(&mut self, up: bool, at: Micros, frame: Bytes) {
        if self.state != State::Working {
            return;
        }
        let at = at.max(self.stalled_until);
        let way = if up { &mut self.up } else { &mut self.down };
        let at = way.back().map_or(at, |(last, _)| at.max(*last));
        way.push_back((at, frame));
    }

    /// The relay looks again at what it has left in here.
    pub(super) fn wake(&mut self) {
        self.unread_until = 0;
    }

    pub(super) fn stall(&mut self, until: Micros) {
        self.stalled_until = until;
        for (at, _) in self.up.iter_mut().chain(&mut self.down) {
            *at = (*at).max(until);
        }
    }

    /// When something next arrives, and whether it is at the relay.
    pub(super) fn next(&self) -> Option<(Micros, bool)> {
        let arrival = |way: &Way| way.front().map(|(due, _)| *due);
        let up = arrival(&self.up).map(|due| (due.max(self.unread_until), true));
        [up, arrival(&self.down).map(|due| (due, false))].into_iter().flatten().min()
    }
}

/// A last request on its way.
pub(super) struct Request {
    pub(super) due: Micros,
    pub(super) session_no: usize,
    pub(super) frames: Vec<Bytes>,
    /// The page is gone, and this is all that anybody will hear of it.
    pub(super) for_good: bool,
    /// The limits that the page knew.
    pub(super) offered: Option<proto::Limits>,
}

//! Updates that nobody will receive: what a span says of them, and the sums of each session.

use std::collections::HashMap;

use opentelemetry_proto::tonic::common::v1::KeyValue;
use serde::Serialize;

use crate::attributes::{int_attribute, prefix, string_attribute};
use crate::id::{SessionId, TraceId};

/// Sequence numbers of the protocol end here, and JavaScript's exact integers, too.
const MAX_SEQ: u64 = (1 << 53) - 1;

/// Places and reasons are words such as `not_serializable`; longer ones are cut.
const MAX_WORD_BYTES: usize = 32;

/// Kinds of loss that a session is said to have; further ones are summed as one. Browser and relay
/// together know eleven.
const MAX_KINDS: usize = 16;

/// Sessions whose sums are kept. A kind takes at most 230 bytes (64 in a list that may be half empty, and
/// two words of 32 with 16 for the allocation of each), so all of them at most 1,024 * 17 * 230 bytes, 4 MB.
const MAX_SESSIONS: usize = 1_024;

/// A range of a session's updates that was lost.
#[derive(Clone, Serialize)]
pub(crate) struct Loss {
    first: u64,
    last: u64,
    place: Box<str>,
    reason: Box<str>,
}

/// What was lost, by session.
///
/// The sums outlast the traces that they come from: a session has not lost less because the trace view
/// had no more room. The session whose last loss is the oldest makes room for a new one.
#[derive(Default)]
pub(crate) struct Losses {
    sessions: HashMap<SessionId, SessionLosses>,
}

/// What one session has lost so far.
#[derive(Default)]
pub(crate) struct SessionLosses {
    /// The store's version with the last of them.
    pub(crate) version: u64,
    pub(crate) kinds: Vec<Kind>,
}

/// The losses of one session that have place and reason in common.
#[derive(Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Kind {
    place: Box<str>,
    reason: Box<str>,
    updates: u64,
    /// The trace of the newest; the sum may outlast it.
    pub(crate) trace_id: Option<TraceId>,
}

impl Loss {
    /// `None` for all spans but those which name range, place and reason. What contradicts itself or the
    /// protocol is an ordinary span, to be looked at as it came.
    pub(crate) fn of(attributes: &[KeyValue]) -> Option<Self> {
        let number = |key| u64::try_from(int_attribute(attributes, key)?).ok();
        let word = |key| string_attribute(attributes, key).filter(|word| !word.is_empty());
        let first = number("atomwire.lost.first")?;
        let last = number("atomwire.lost.last").filter(|last| (first..=MAX_SEQ).contains(last))?;
        let place = prefix(word("atomwire.lost.place")?, MAX_WORD_BYTES).into();
        let reason = prefix(word("atomwire.lost.reason")?, MAX_WORD_BYTES).into();
        Some(Self { first, last, place, reason })
    }

    pub(crate) fn updates(&self) -> u64 {
        self.last - self.first + 1
    }

    /// Bytes that it takes beside itself.
    pub(crate) fn weight(&self) -> usize {
        self.place.len() + self.reason.len()
    }
}

impl Losses {
    pub(crate) fn add(&mut self, session: SessionId, loss: &Loss, trace_id: TraceId, version: u64) {
        if self.sessions.len() >= MAX_SESSIONS && !self.sessions.contains_key(&session) {
            let oldest = self.sessions.iter().min_by_key(|(_, losses)| losses.version).map(|(id, _)| *id);
            oldest.and_then(|id| self.sessions.remove(&id));
        }
        let losses = self.sessions.entry(session).or_default();
        losses.version = version;
        losses.add(loss, trace_id);
    }

    pub(crate) fn of(&self, session: SessionId) -> Option<&SessionLosses> {
        self.sessions.get(&session)
    }
}

impl SessionLosses {
    fn add(&mut self, loss: &Loss, trace_id: TraceId) {
        let find = |place: &str, reason: &str| {
            self.kinds.iter().position(|kind| *kind.place == *place && *kind.reason == *reason)
        };
        let mut at = find(&loss.place, &loss.reason);
        let (mut place, mut reason) = (&*loss.place, &*loss.reason);
        if at.is_none() && self.kinds.len() >= MAX_KINDS {
            (place, reason) = ("other", "other");
            at = find(place, reason);
        }
        let at = at.unwrap_or_else(|| {
            let (place, reason) = (place.into(), reason.into());
            self.kinds.push(Kind { place, reason, updates: 0, trace_id: None });
            self.kinds.len() - 1
        });
        let kind = &mut self.kinds[at];
        // A hostile sender may claim more than there are numbers.
        kind.updates = kind.updates.saturating_add(loss.updates());
        kind.trace_id = Some(trace_id);
    }
}

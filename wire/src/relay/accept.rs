//! A batch becomes updates: resolved keys, derived ids, times on the relay's axis.

use super::{BEFORE_WELCOME, Ledger, Session, Violation, limit, seq_limit};
use crate::clock::Offset;
use crate::proto::{self, RejectReason};
use crate::{LostRange, LostReason, Micros, Omitted, ParentContext, limits};
use bytes::Bytes;
use serde_json::value::RawValue;
use std::sync::Arc;

/// An update that the relay has taken on.
#[derive(Debug, Clone)]
pub struct Update {
    /// Its number in the session.
    pub seq: u64,
    /// The atom's key.
    pub key: Arc<str>,
    /// JSON text, checked; none when the browser could not express the value.
    pub value: Option<Bytes>,
    /// What the value lacks of the app's.
    pub omitted: Option<Omitted>,
    /// When the write began, on the relay's clock, and never after the batch arrived.
    pub start: Micros,
    /// How long it took, in microseconds.
    pub duration: Micros,
    /// The error's type and message, without U+0000, when the write failed.
    pub error: Option<(String, String)>,
    /// Attributes of the browser's span.
    pub attributes: Vec<(String, String)>,
    /// The trace: the parent's, or derived.
    pub trace_id: [u8; 16],
    /// The browser's span, derived; none of a client that makes its own.
    pub span_id: Option<[u8; 8]>,
    /// The browser's span's parent, or the client's own span.
    pub parent: Option<ParentContext>,
}

/// What a batch brought that is new.
#[derive(Debug, Default)]
pub struct Accepted {
    /// To publish, ascending.
    pub updates: Vec<Update>,
    /// What the browser had to give up, ascending.
    pub lost: Vec<LostRange>,
    /// Updates that were seen before.
    pub duplicates: u64,
    /// Updates that are wrong in themselves, ascending.
    pub rejected: Vec<RejectedRange>,
    /// The number after the last that this batch accounts for.
    pub end: u64,
    /// How far the browser's clock may be off after correction, in microseconds.
    pub clock_error: Micros,
}

/// Updates `first` to `last`, both included, that the relay refused for one reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RejectedRange {
    /// The first sequence number.
    pub first: u64,
    /// The last sequence number.
    pub last: u64,
    /// Why.
    pub reason: RejectReason,
}

impl RejectedRange {
    /// Adds update `seq` to `ranges`, which all lie below it.
    pub fn add(ranges: &mut Vec<Self>, seq: u64, reason: RejectReason) {
        match ranges.last_mut() {
            Some(range) if range.last + 1 == seq && range.reason == reason => range.last = seq,
            _ => ranges.push(Self { first: seq, last: seq, reason }),
        }
    }

    /// How many updates it holds.
    pub fn updates(&self) -> u64 {
        self.last - self.first + 1
    }
}

/// Consecutive numbers that a batch accounts for.
enum Segment {
    Updates(Vec<proto::Update>),
    Lost(LostReason),
}

impl Session {
    pub(super) fn accept(&mut self, batch: proto::Batch, now: Micros) -> Result<Accepted, Violation> {
        let Some(ledger) = &mut self.ledger else {
            return Err(BEFORE_WELCOME);
        };
        limit("keys of this connection", limits::KEYS, self.keys.len() + batch.new_keys.len())?;
        if batch.clock_error_us != 0 || batch.clock_offset_us != 0 {
            self.clock = Offset { micros: batch.clock_offset_us, error: batch.clock_error_us };
        }
        let (base, clock) = (batch.base_time_us, self.clock);
        let segments = segments(batch.first_seq, batch.updates, &batch.lost)?;
        check_order(&segments, ledger.accepted(), self.granted)?;

        // From here on nothing fails: what is wrong is wrong with one update.
        self.keys.extend(batch.new_keys.into_iter().map(|key| fits_key(&key).then(|| key.into())));
        let mut accepted =
            Accepted { end: ledger.accepted(), clock_error: clock.error, ..Accepted::default() };
        for (first, last, segment) in segments {
            match segment {
                Segment::Lost(reason) => {
                    if last >= accepted.end {
                        accepted.lost.push(LostRange { first: first.max(accepted.end), last, reason });
                    }
                }
                Segment::Updates(updates) => {
                    for (seq, mut update) in (first..).zip(updates) {
                        if seq < accepted.end {
                            accepted.duplicates += 1;
                            continue;
                        }
                        let start = base
                            .wrapping_add_signed(update.start_offset_us)
                            .wrapping_add_signed(clock.micros);
                        update.duration_us = update.duration_us.min(limits::DURATION);
                        // Whatever the clocks say, a write was over before it arrived.
                        let latest = now.saturating_sub(update.duration_us);
                        match read_update(
                            update,
                            seq,
                            start.min(latest),
                            &self.keys,
                            ledger,
                            self.limits.value_bytes,
                        ) {
                            Ok(update) => accepted.updates.push(update),
                            Err(rejection) => {
                                ledger.reject(seq, rejection.reason, rejection.field, rejection.limit as u64);
                                RejectedRange::add(&mut accepted.rejected, seq, rejection.reason);
                            }
                        }
                    }
                }
            }
            accepted.end = accepted.end.max(last + 1);
        }
        ledger.advance(accepted.end);
        Ok(accepted)
    }
}

/// The batch as segments in ascending order, each with its first and last number.
fn segments(
    first_seq: u64,
    updates: Vec<proto::Update>,
    lost: &[proto::LostRange],
) -> Result<Vec<(u64, u64, Segment)>, Violation> {
    let mut segments = Vec::with_capacity(lost.len() + 1);
    for range in lost {
        if range.last < range.first {
            return Err(Violation::Overlap(range.first));
        }
        segments.push((range.first, range.last, Segment::Lost(reason(range.reason))));
    }
    if !updates.is_empty() {
        let last = first_seq.saturating_add(updates.len() as u64 - 1);
        let at = segments.partition_point(|(first, ..)| *first < first_seq);
        segments.insert(at, (first_seq, last, Segment::Updates(updates)));
    }
    Ok(segments)
}

fn check_order(segments: &[(u64, u64, Segment)], mut next: u64, granted: u64) -> Result<(), Violation> {
    let mut end = 0;
    for (first, last, segment) in segments {
        if *first < end {
            return Err(Violation::Overlap(*first));
        }
        seq_limit("seq", limits::SEQ_END - 1, *last)?;
        if *first > next {
            return Err(Violation::Hole { expected: next, got: *first });
        }
        if matches!(segment, Segment::Updates(_)) && *last >= granted {
            return Err(Violation::Credit { seq: (*first).max(granted), granted });
        }
        end = *last + 1;
        next = next.max(end);
    }
    Ok(())
}

/// What is wrong with one update, and with it alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rejection {
    /// The kind of fault.
    pub reason: RejectReason,
    /// The field that is wrong.
    pub field: &'static str,
    /// The limit that it breaks; zero where it is not about a size.
    pub limit: usize,
}

/// Checks that `value` is JSON text of at most `limit` bytes which any reader on the bus can take.
///
/// # Errors
/// A [`Rejection`] that names the limit.
pub fn check_value(value: &[u8], limit: usize) -> Result<(), Rejection> {
    let refused = |reason, field, limit| Err(Rejection { reason, field, limit });
    if value.len() > limit {
        return refused(RejectReason::TooLarge, "update.value", limit);
    }
    if serde_json::from_slice::<&RawValue>(value).is_err() {
        return refused(RejectReason::InvalidJson, "update.value", 0);
    }
    // Few values have so many brackets at all, and to count them costs next to nothing.
    let brackets = value.iter().filter(|byte| matches!(byte, b'[' | b'{')).count();
    if brackets > limits::VALUE_DEPTH && depth(value) > limits::VALUE_DEPTH {
        return refused(RejectReason::TooLarge, "update.value depth", limits::VALUE_DEPTH);
    }
    Ok(())
}

fn read_update(
    update: proto::Update,
    seq: u64,
    start: Micros,
    keys: &[Option<Arc<str>>],
    ledger: &mut Ledger,
    value_bytes: usize,
) -> Result<Update, Rejection> {
    let key = if update.key.is_empty() {
        keys.get(update.key_index as usize).cloned().flatten()
    } else {
        fits_key(&update.key).then(|| update.key.as_str().into())
    };
    let refused = |reason, field, limit| Err(Rejection { reason, field, limit });
    let Some(key) = key else { return refused(RejectReason::InvalidKey, "update.key", limits::KEY_BYTES) };
    let omitted = omitted(&update);
    let error = update.error.map(|error| (error.r#type, error.message));
    let (kind, message) = error.as_ref().map_or((0, 0), |(kind, message)| (kind.len(), message.len()));
    let longest =
        |pick: fn(&proto::Attribute) -> usize| update.attributes.iter().map(pick).max().unwrap_or(0);
    let parent = update.parent.map(read_parent).transpose()?;
    let sizes = [
        ("update.error.type", limits::ERROR_TYPE_BYTES, kind),
        ("update.error.message", limits::ATTRIBUTE_BYTES, message),
        ("update.attributes.key", limits::ATTRIBUTE_BYTES, longest(|it| it.key.len())),
        ("update.attributes.value", limits::ATTRIBUTE_BYTES, longest(|it| it.value.len())),
    ];
    if let Some((field, limit, _)) = sizes.into_iter().find(|(_, limit, size)| size > limit) {
        return refused(RejectReason::TooLarge, field, limit);
    }
    if let Some(value) = &update.value {
        check_value(value, value_bytes)?;
    }
    let ids = ledger.ids(seq.wrapping_add_signed(update.id_offset));
    Ok(Update {
        seq,
        key,
        value: update.value,
        omitted,
        start,
        duration: update.duration_us,
        error: error.map(|(kind, message)| (without_nul(&kind), without_nul(&message))),
        attributes: update.attributes.into_iter().map(|it| (it.key, it.value)).collect(),
        trace_id: parent.as_ref().map_or(ids.trace_id, |parent| parent.trace_id),
        span_id: Some(ids.span_id),
        parent,
    })
}

fn read_parent(parent: proto::ParentContext) -> Result<ParentContext, Rejection> {
    let rejection = |field, limit| Rejection { reason: RejectReason::InvalidContext, field, limit };
    let trace_id = nonzero(&parent.trace_id).ok_or(rejection("update.parent.trace_id", 16))?;
    let span_id = nonzero(&parent.span_id).ok_or(rejection("update.parent.span_id", 8))?;
    let flags = u8::try_from(parent.flags).map_err(|_| rejection("update.parent.flags", 255))?;
    Ok(ParentContext { trace_id, span_id, flags, local: parent.local, tracestate: parent.tracestate })
}

fn nonzero<const N: usize>(id: &[u8]) -> Option<[u8; N]> {
    id.try_into().ok().filter(|id| *id != [0; N])
}

fn fits_key(key: &str) -> bool {
    (1..=limits::KEY_BYTES).contains(&key.len()) && !key.contains('\0')
}

/// Without U+0000, which no text in `PostgreSQL` can hold: what failed is not lost for how it is called.
fn without_nul(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

fn omitted(update: &proto::Update) -> Option<Omitted> {
    match (&update.value, update.omitted()) {
        // Whatever the client gives for its reason: no value is no value.
        (None, _) => Some(Omitted::Value),
        (Some(_), proto::Omitted::Parts) => Some(Omitted::Parts),
        (Some(_), _) => None,
    }
}

fn reason(number: i32) -> LostReason {
    // A reason of a later version is still a loss; the emitter failed in some way.
    LostReason::ALL.into_iter().find(|reason| *reason as i32 == number).unwrap_or(LostReason::EmitterFailed)
}

/// How deep the arrays and objects of valid JSON nest.
fn depth(json: &[u8]) -> usize {
    let (mut depth, mut deepest, mut in_string, mut escaped) = (0_usize, 0, false, false);
    for byte in json {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'[' | b'{' if !in_string => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

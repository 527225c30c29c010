//! The bounded memory of traces: newest kept, oldest evicted, everything dropped is counted.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::mem::size_of;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::id::{SessionId, SpanId, TraceId};
use crate::limits::Limits;
use crate::loss::{Kind, Loss, Losses};
use crate::span::{Nanos, Source, Span, SpanError};

/// All traces, in the order in which they were first seen.
///
/// `weight` never passes `max_bytes`, and every span received is in one place:
/// `received = spans + replaced + evicted_spans + refused`.
pub(crate) struct Store {
    limits: Limits,
    traces: HashMap<TraceId, Trace>,
    order: VecDeque<TraceId>,
    weight: usize,
    /// Counts writes; a trace carries the count of its last one.
    version: u64,
    losses: Losses,
    counts: Counts,
}

struct Trace {
    spans: HashMap<SpanId, Placed>,
    sources: Vec<Arc<Source>>,
    weight: usize,
    refused: u64,
    version: u64,
}

/// A span, and which of its trace's sources it came from.
struct Placed {
    source: usize,
    span: Arc<Span>,
}

#[derive(Clone, Copy, Default)]
struct Counts {
    received: u64,
    replaced: u64,
    evicted_traces: u64,
    evicted_spans: u64,
    refused: u64,
    cut_strings: u64,
    lost_updates: u64,
}

/// What the store holds, and what it could not keep.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Stats {
    /// Traces held now.
    pub traces: usize,
    /// Spans held now.
    pub spans: usize,
    /// Estimated memory of the traces held now.
    pub bytes: usize,
    /// The limit of `bytes`.
    pub max_bytes: usize,
    /// Spans that have arrived.
    pub received: u64,
    /// Spans that came again under the same id; the later one is kept.
    pub replaced: u64,
    /// Whole traces evicted to make room.
    pub evicted_traces: u64,
    /// Spans that were in them.
    pub evicted_spans: u64,
    /// Spans refused as invalid or over a limit; the sender was told which.
    pub refused: u64,
    /// Strings cut to `max_string_bytes`.
    pub cut_strings: u64,
    /// Updates that spans said were lost, of all sessions.
    pub lost_updates: u64,
}

/// Which traces to list.
#[derive(Clone, Copy, Default)]
pub(crate) struct Filter<'a> {
    /// Part of an atom's key, in any case.
    pub(crate) key: Option<&'a str>,
    /// A service's whole name.
    pub(crate) service: Option<&'a str>,
    /// Losses or the others; both if `None`.
    pub(crate) losses: Option<LossFilter>,
}

/// Whether to list traces that stand for a loss.
#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LossFilter {
    Only,
    Without,
}

/// One line of the list.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Summary {
    trace_id: TraceId,
    /// The root's name, or the earliest span's while no root has arrived.
    name: Box<str>,
    has_root: bool,
    /// In the order of each one's first span.
    services: Vec<Box<str>>,
    keys: BTreeSet<Box<str>>,
    spans: usize,
    errors: usize,
    start: Nanos,
    duration: Nanos,
    /// What was lost, where the trace stands for that.
    loss: Option<Loss>,
}

#[derive(Serialize)]
pub(crate) struct Listing {
    /// Newest first, at most as many as asked for.
    traces: Vec<Summary>,
    /// How many traces pass the filter.
    matching: usize,
    /// All services in the store.
    services: BTreeSet<Box<str>>,
}

/// One trace as it stood at `version`; spans by start time.
pub(crate) struct Snapshot {
    pub(crate) version: u64,
    pub(crate) refused: u64,
    pub(crate) sources: Vec<Arc<Source>>,
    pub(crate) spans: Vec<(usize, Arc<Span>)>,
    /// The sessions of its spans, and what each has lost so far.
    pub(crate) sessions: Vec<(SessionId, Vec<Kind>)>,
}

impl Store {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            limits,
            traces: HashMap::new(),
            order: VecDeque::new(),
            weight: 0,
            version: 0,
            losses: Losses::default(),
            counts: Counts::default(),
        }
    }

    pub(crate) fn version(&self) -> u64 {
        self.version
    }

    pub(crate) fn trace_version(&self, id: TraceId) -> Option<u64> {
        self.traces.get(&id).map(|trace| self.version_of(trace))
    }

    /// Moves with every write to the trace, and with every loss of its sessions.
    fn version_of(&self, trace: &Trace) -> u64 {
        let losses = trace.sessions().into_iter().filter_map(|session| self.losses.of(session));
        losses.map(|losses| losses.version).fold(trace.version, u64::max)
    }

    pub(crate) fn stats(&self) -> Stats {
        Stats {
            traces: self.traces.len(),
            spans: self.traces.values().map(|trace| trace.spans.len()).sum(),
            bytes: self.weight,
            max_bytes: self.limits.max_bytes,
            received: self.counts.received,
            replaced: self.counts.replaced,
            evicted_traces: self.counts.evicted_traces,
            evicted_spans: self.counts.evicted_spans,
            refused: self.counts.refused,
            cut_strings: self.counts.cut_strings,
            lost_updates: self.counts.lost_updates,
        }
    }

    /// Counts a span that did not get as far as [`insert`](Self::insert).
    pub(crate) fn count_refused(&mut self) {
        self.version += 1;
        self.counts.received += 1;
        self.counts.refused += 1;
    }

    pub(crate) fn count_cuts(&mut self, cuts: u64) {
        self.counts.cut_strings += cuts;
    }

    /// Keeps the span, evicting the oldest other traces until it fits.
    pub(crate) fn insert(&mut self, id: TraceId, span: Span, source: &Arc<Source>) -> Result<(), SpanError> {
        self.version += 1;
        self.counts.received += 1;
        match self.room_for(id, &span, source) {
            Ok(added) => {
                self.evict_until_fits(added, id);
                self.account(id, &span);
                self.place(id, span, source);
                Ok(())
            }
            Err(error) => {
                self.counts.refused += 1;
                if let Some(trace) = self.traces.get_mut(&id) {
                    trace.refused += 1;
                    trace.version = self.version;
                }
                Err(error)
            }
        }
    }

    /// One pass from the newest trace to the oldest.
    pub(crate) fn list(&self, filter: Filter<'_>, limit: usize) -> Listing {
        let mut listing = Listing { traces: Vec::new(), matching: 0, services: BTreeSet::new() };
        let key = filter.key.map(str::to_lowercase);
        for (id, trace) in self.order.iter().rev().filter_map(|id| Some((*id, self.traces.get(id)?))) {
            for source in &trace.sources {
                if !listing.services.contains(&source.service) {
                    listing.services.insert(source.service.clone());
                }
            }
            if trace.matches(key.as_deref(), filter) {
                listing.matching += 1;
                if listing.traces.len() < limit {
                    listing.traces.push(trace.summary(id));
                }
            }
        }
        listing
    }

    pub(crate) fn snapshot(&self, id: TraceId) -> Option<Snapshot> {
        let trace = self.traces.get(&id)?;
        let mut spans: Vec<_> =
            trace.spans.values().map(|placed| (placed.source, Arc::clone(&placed.span))).collect();
        spans.sort_by_key(|(_, span)| (span.start, span.end, span.id));
        Some(Snapshot {
            version: self.version_of(trace),
            refused: trace.refused,
            sources: trace.sources.clone(),
            spans,
            sessions: trace.sessions().into_iter().map(|session| (session, self.lost_by(session))).collect(),
        })
    }

    fn lost_by(&self, session: SessionId) -> Vec<Kind> {
        let mut lost = self.losses.of(session).map_or_else(Vec::new, |losses| losses.kinds.clone());
        for kind in &mut lost {
            kind.trace_id = kind.trace_id.filter(|id| self.traces.contains_key(id));
        }
        lost
    }

    /// Adds what the span says was lost to its session's sums; one that comes again is in them already.
    fn account(&mut self, id: TraceId, span: &Span) {
        let (Some(session), Some(loss)) = (span.session, &span.loss) else { return };
        if self.traces.get(&id).is_none_or(|trace| !trace.spans.contains_key(&span.id)) {
            self.counts.lost_updates = self.counts.lost_updates.saturating_add(loss.updates());
            self.losses.add(session, loss, id, self.version);
        }
    }

    /// The bytes that the span would add, unless a limit forbids it. What an older span of the same
    /// id gives back is left out, so the answer may be too high, never too low.
    fn room_for(&self, id: TraceId, span: &Span, source: &Source) -> Result<usize, SpanError> {
        let (trace_weight, new_source) = match self.traces.get(&id) {
            None => (0, true),
            Some(trace) => {
                let limit = self.limits.max_spans_per_trace;
                if trace.spans.len() >= limit && !trace.spans.contains_key(&span.id) {
                    return Err(SpanError::TraceFull { limit });
                }
                (trace.weight, trace.place_of(source).is_none())
            }
        };
        let trace_overhead = if trace_weight == 0 { Trace::OVERHEAD } else { 0 };
        let added = trace_overhead + span.weight() + if new_source { source.weight() } else { 0 };
        if trace_weight + added > self.limits.max_bytes {
            return Err(SpanError::StoreFull { limit: self.limits.max_bytes });
        }
        Ok(added)
    }

    fn evict_until_fits(&mut self, added: usize, spared: TraceId) {
        while self.weight + added > self.limits.max_bytes {
            // The spared trace alone fits, so another one is left, first or second in line.
            let oldest = usize::from(self.order.front() == Some(&spared));
            let Some(trace) = self.order.remove(oldest).and_then(|id| self.traces.remove(&id)) else {
                break;
            };
            self.weight -= trace.weight;
            self.counts.evicted_traces += 1;
            self.counts.evicted_spans += trace.spans.len() as u64;
        }
    }

    fn place(&mut self, id: TraceId, span: Span, source: &Arc<Source>) {
        let trace = self.traces.entry(id).or_insert_with(|| {
            self.order.push_back(id);
            self.weight += Trace::OVERHEAD;
            Trace::new()
        });
        let before = trace.weight;
        trace.version = self.version;
        if trace.place(span, source) {
            self.counts.replaced += 1;
        }
        self.weight = self.weight - before + trace.weight;
    }
}

impl Trace {
    /// The trace itself and its places in map and queue, which hold up to twice the slots needed.
    const OVERHEAD: usize = 2 * (size_of::<(TraceId, Trace)>() + size_of::<TraceId>());

    fn new() -> Self {
        Self { spans: HashMap::new(), sources: Vec::new(), weight: Self::OVERHEAD, refused: 0, version: 0 }
    }

    fn place_of(&self, source: &Source) -> Option<usize> {
        self.sources.iter().position(|known| **known == *source)
    }

    /// Returns whether the span took the place of an older one of the same id.
    fn place(&mut self, span: Span, source: &Arc<Source>) -> bool {
        let source = self.place_of(source).unwrap_or_else(|| {
            self.weight += source.weight();
            self.sources.push(Arc::clone(source));
            self.sources.len() - 1
        });
        self.weight += span.weight();
        let replaced = self.spans.insert(span.id, Placed { source, span: Arc::new(span) });
        self.weight -= replaced.as_ref().map_or(0, |old| old.span.weight());
        replaced.is_some()
    }

    fn matches(&self, lowercase_key: Option<&str>, filter: Filter<'_>) -> bool {
        let keys = || self.spans.values().filter_map(|placed| placed.span.key.as_deref());
        let of_service = |name: &str| self.sources.iter().any(|source| *source.service == *name);
        filter.service.is_none_or(of_service)
            && filter.losses.is_none_or(|wanted| (wanted == LossFilter::Only) == self.loss().is_some())
            && lowercase_key.is_none_or(|part| keys().any(|key| key.to_lowercase().contains(part)))
    }

    /// The root, or the earliest span while no root has arrived.
    fn head(&self) -> Option<&Span> {
        let spans = self.spans.values().map(|placed| &*placed.span);
        spans.min_by_key(|span| (span.parent.is_some(), span.start, span.id))
    }

    /// What was lost, where the trace stands for that.
    fn loss(&self) -> Option<&Loss> {
        self.head()?.loss.as_ref()
    }

    fn sessions(&self) -> BTreeSet<SessionId> {
        self.spans.values().filter_map(|placed| placed.span.session).collect()
    }

    fn summary(&self, trace_id: TraceId) -> Summary {
        let mut spans: Vec<_> = self.spans.values().collect();
        spans.sort_by_key(|placed| (placed.span.start, placed.span.id));
        let mut services = Vec::new();
        for placed in &spans {
            let service = &self.sources[placed.source].service;
            if !services.contains(service) {
                services.push(service.clone());
            }
        }
        let spans: Vec<&Span> = spans.iter().map(|placed| &*placed.span).collect();
        let head = self.head();
        let start = spans.first().map_or(0, |span| span.start);
        let end = spans.iter().map(|span| span.end).max().unwrap_or(start);
        Summary {
            trace_id,
            name: head.map_or_else(Box::default, |span| span.name.clone()),
            has_root: head.is_some_and(|span| span.parent.is_none()),
            services,
            keys: spans.iter().filter_map(|span| span.key.clone()).collect(),
            spans: spans.len(),
            errors: spans.iter().filter(|span| span.status == "error").count(),
            start: Nanos(start),
            duration: Nanos(end.saturating_sub(start)),
            loss: self.loss().cloned(),
        }
    }
}

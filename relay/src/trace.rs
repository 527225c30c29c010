//! The trace flow: records of what happened to each update, turned into OTLP away from the hot path.

pub(crate) mod context;
mod export;
mod otlp;
mod sampling;

pub(crate) use export::ExportThread;

use crate::config::{OtelSettings, Sampler};
use crate::losses::Losses;
use crate::metrics::Metrics;
use atomwire_wire::Omitted;
use bytes::Bytes;
use opentelemetry::trace::TraceFlags;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::mpsc::UnboundedSender;

/// Bytes of records that may wait for the exporter: what 100,000 updates a second make in about
/// half a second, or a quiet relay in a collector's restart.
const QUEUE_BYTES: usize = 32 * 1024 * 1024;

/// A span as OTLP, without the texts that a client chooses.
const SPAN_BYTES: usize = 256;

/// OpenTelemetry resource attributes.
pub(crate) type Resource = Arc<[(String, String)]>;

/// Records on their way; each stays where it was made.
pub(crate) type Records = Vec<Box<Record>>;

/// The browser's own span.
#[derive(Debug)]
pub(crate) struct BrowserSpan {
    pub(crate) resource: Resource,
    pub(crate) span_id: [u8; 8],
    pub(crate) parent_span_id: Option<[u8; 8]>,
    pub(crate) start_us: u64,
    pub(crate) duration_us: u64,
    pub(crate) clock_error_us: u64,
    pub(crate) error: Option<(String, String)>,
    pub(crate) attributes: Vec<(String, String)>,
    /// What the value lacks of the app's.
    pub(crate) omitted: Option<Omitted>,
    /// The value, where it is wanted on the span.
    pub(crate) value: Option<Bytes>,
}

/// One update's way through the relay: up to three spans.
#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) trace_id: [u8; 16],
    pub(crate) flags: TraceFlags,
    pub(crate) tracestate: String,
    pub(crate) key: Arc<str>,
    pub(crate) session: Arc<str>,
    pub(crate) seq: u64,
    /// None for a client of the plain contract, which makes its own span or none.
    pub(crate) browser: Option<BrowserSpan>,
    /// The parent of the SERVER span.
    pub(crate) parent_span_id: Option<[u8; 8]>,
    pub(crate) server_span_id: [u8; 8],
    pub(crate) producer_span_id: [u8; 8],
    pub(crate) received_us: u64,
    pub(crate) topic: Arc<str>,
    pub(crate) relay_seq: u64,
    pub(crate) sending_us: u64,
    pub(crate) published_us: u64,
}

impl Record {
    /// Notes as what the update went out, and when that began.
    pub(crate) fn published(&mut self, topic: Arc<str>, relay_seq: u64, sending_us: u64) {
        self.topic = topic;
        self.relay_seq = relay_seq;
        // The wall clock may jump; a span does not start before its parent nor end before its start.
        self.sending_us = sending_us.max(self.received_us);
    }

    /// Notes when it was out.
    pub(crate) fn published_at(&mut self, published_us: u64) {
        self.published_us = published_us.max(self.sending_us);
    }

    /// What it takes as OTLP, roughly; that is more than it takes in memory.
    pub(crate) fn weight(&self) -> usize {
        let text =
            |pairs: &[(String, String)]| pairs.iter().map(|(a, b)| a.len() + b.len() + 64).sum::<usize>();
        let browser = self.browser.as_ref().map_or(0, |span| {
            let error = span.error.as_ref().map_or(0, |(kind, message)| kind.len() + message.len());
            text(&span.attributes) + error + span.value.as_ref().map_or(0, Bytes::len)
        });
        let each = SPAN_BYTES + self.tracestate.len() + self.key.len() + self.topic.len();
        self.spans() as usize * each + browser
    }
}

/// Updates that will never be on the bus: a span for each range.
#[derive(Debug)]
struct Lost {
    resource: Resource,
    session: Arc<str>,
    losses: Losses,
    /// When this relay heard of it.
    reported_us: u64,
}

/// What waits for the exporter.
#[derive(Debug)]
enum Item {
    Records(Records, usize),
    Lost(Lost),
    /// An `ExportTraceServiceRequest` of another instrumentation.
    Foreign(Bytes),
}

impl Item {
    fn weight(&self) -> usize {
        match self {
            Self::Records(_, weight) => *weight,
            // Six attributes, and nothing that a client chooses.
            Self::Lost(lost) => lost.losses.ranges.len() * 2 * SPAN_BYTES,
            // prost's structs take several times the bytes that they come from.
            Self::Foreign(bytes) => size_of::<Self>() + bytes.len() * 4,
        }
    }
}

/// The way to the exporter; clones share it. Never waits: what does not fit is counted.
#[derive(Debug, Clone)]
pub(crate) struct Spans {
    queue: Option<UnboundedSender<Item>>,
    queued: Arc<AtomicUsize>,
    metrics: Arc<Metrics>,
    sampler: Sampler,
}

impl Spans {
    /// Starts the exporter, where one is wanted.
    pub(crate) fn start(settings: &OtelSettings, metrics: &Arc<Metrics>) -> (Self, Option<ExportThread>) {
        let queued = Arc::new(AtomicUsize::new(0));
        let thread = settings.exporter.clone().map(|exporter| {
            let encoder = otlp::Encoder::new(&settings.resource);
            export::start(exporter, encoder, Arc::clone(&queued), Arc::clone(metrics))
        });
        let (queue, thread) = thread.unzip();
        (Self { queue, queued, metrics: Arc::clone(metrics), sampler: settings.sampler }, thread)
    }

    /// Whether the trace is to be exported: an explicit parent's word, or the ratio.
    pub(crate) fn sample(&self, trace_id: [u8; 16], parent: Option<TraceFlags>) -> bool {
        sampling::sample(&self.sampler, trace_id, parent)
    }

    /// Whether records are wanted at all.
    pub(crate) fn enabled(&self) -> bool {
        self.queue.is_some()
    }

    /// Takes what was published.
    pub(crate) fn push(&self, records: Records) {
        if !records.is_empty() {
            let weight = records.iter().map(|record| record.weight()).sum();
            let spans = records.iter().map(|record| record.spans()).sum();
            self.queue(Item::Records(records, weight), spans);
        }
    }

    /// Takes what was lost. That is rare, so it is exported whatever the sampler says of updates.
    pub(crate) fn lost(&self, session: &Arc<str>, resource: &Resource, losses: Losses, reported_us: u64) {
        if self.enabled() {
            let spans = losses.ranges.len() as u64;
            let (session, resource) = (Arc::clone(session), Arc::clone(resource));
            self.queue(Item::Lost(Lost { resource, session, losses, reported_us }), spans);
        }
    }

    /// Takes spans of other instrumentations.
    pub(crate) fn pass_on(&self, request: Bytes, spans: u64) {
        if spans > 0 {
            self.queue(Item::Foreign(request), spans);
        }
    }

    fn queue(&self, item: Item, spans: u64) {
        let Some(queue) = &self.queue else { return };
        let weight = item.weight();
        if self.queued.fetch_add(weight, Ordering::Relaxed) + weight > QUEUE_BYTES
            || queue.send(item).is_err()
        {
            self.queued.fetch_sub(weight, Ordering::Relaxed);
            self.metrics.spans_dropped("queue_full").inc_by(spans);
        }
    }
}

impl Record {
    fn spans(&self) -> u64 {
        2 + u64::from(self.browser.is_some())
    }
}

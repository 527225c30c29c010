//! The trace flow: records of what happened to each update, encoded as OTLP where they come in, and sent from
//! a thread of its own. One batch is filled while others travel.

mod batch;
pub(crate) mod context;
mod export;
mod foreign;
mod otlp;
mod protobuf;
mod resource;
mod sampling;

pub(crate) use export::ExportThread;
pub(crate) use resource::Resource;

use crate::config::{Endpoint, OtelSettings, Sampler, Topic};
use crate::losses::Losses;
use crate::metrics::Metrics;
use atomwire_wire::Omitted;
use batch::Batch;
use bytes::Bytes;
use opentelemetry::trace::TraceFlags;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use otlp::Templates;
use prost::Message as _;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::mpsc::UnboundedSender;

/// Bytes of spans that may wait for the collector: what 100,000 updates a second make in two thirds of a second,
/// or a quiet relay in a collector's restart.
const QUEUE_BYTES: usize = 64 * 1024 * 1024;

/// Spans of other instrumentations wait only in the first half of that, so that pages which send many do not
/// keep out those of updates.
const FOREIGN_BYTES: usize = QUEUE_BYTES / 2;

/// Bytes of one request; one more span may come on top, of half a MiB at the most, and a Collector takes 4 MiB.
const REQUEST_BYTES: usize = 2 * 1024 * 1024;

/// Loss spans of one session in one second: they show that something is lost, the ledger tells all of it.
const LOST_SPANS: usize = 16;

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
    /// What it came by: `websocket` or `http`.
    pub(crate) protocol: &'static str,
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
}

/// The relay, as its own spans name it.
#[derive(Debug)]
pub(crate) struct Instance<'a> {
    /// `service.instance.id`, unless a variable sets it.
    pub(crate) id: &'a str,
    pub(crate) listen: SocketAddr,
    /// The endpoint that subscribers connect to.
    pub(crate) bus: &'a Endpoint,
    pub(crate) topic: &'a Topic,
}

/// The way to the exporter; clones share it. Never waits for it: what does not fit is counted.
#[derive(Debug, Clone)]
pub(crate) struct Spans {
    line: Option<Line>,
    metrics: Arc<Metrics>,
    sampler: Sampler,
}

/// What is filled, and where it goes when it is full.
#[derive(Debug, Clone)]
struct Line {
    filling: Arc<Mutex<Batch>>,
    full: UnboundedSender<Batch>,
    /// Bytes of the batches that are full and not yet out.
    queued: Arc<AtomicUsize>,
    templates: Arc<Templates>,
    lost: Arc<Mutex<LostSpans>>,
}

/// Loss spans of this second, by session.
#[derive(Debug, Default)]
struct LostSpans {
    second: u64,
    of: HashMap<Arc<str>, usize>,
}

impl Spans {
    /// Starts the exporter, where one is wanted.
    pub(crate) fn start(
        settings: &OtelSettings,
        instance: &Instance<'_>,
        metrics: &Arc<Metrics>,
    ) -> (Self, Option<ExportThread>) {
        let (line, thread) = settings
            .exporter
            .clone()
            .map(|exporter| {
                let mut resource = settings.resource.clone();
                if !resource.iter().any(|(key, _)| key == "service.instance.id") {
                    resource.push(("service.instance.id".to_owned(), instance.id.to_owned()));
                }
                let (filling, queued) = (Arc::<Mutex<Batch>>::default(), Arc::<AtomicUsize>::default());
                let relay = Resource::of_relay(&resource);
                let shared = (Arc::clone(&filling), Arc::clone(&queued));
                let (full, thread) = export::start(exporter, relay, shared, Arc::clone(metrics));
                let templates = Arc::new(Templates::new(instance));
                (Line { filling, full, queued, templates, lost: Arc::default() }, thread)
            })
            .unzip();
        (Self { line, metrics: Arc::clone(metrics), sampler: settings.sampler }, thread)
    }

    /// Whether the trace is to be exported: an explicit parent's word, or the ratio.
    pub(crate) fn sample(&self, trace_id: [u8; 16], parent: Option<TraceFlags>) -> bool {
        sampling::sample(&self.sampler, trace_id, parent)
    }

    /// Whether records are wanted at all.
    pub(crate) fn enabled(&self) -> bool {
        self.line.is_some()
    }

    /// Takes what was published.
    pub(crate) fn push(&self, records: Records) {
        let Some(line) = self.line.as_ref().filter(|_| !records.is_empty()) else { return };
        let mut filling = lock(&line.filling);
        let mut dropped = 0;
        for record in records {
            if line.has_room(&filling, QUEUE_BYTES) {
                filling.add_record(&record, &line.templates);
                line.pass_full(&mut filling);
            } else {
                dropped += record.spans();
            }
        }
        drop(filling);
        self.count_full(dropped);
    }

    /// Takes what was lost: a span for each range. No ratio thins them out, a session's number in a second is
    /// bounded instead.
    pub(crate) fn lost(&self, session: &Arc<str>, resource: &Resource, losses: &Losses, reported_us: u64) {
        let Some(line) = self.line.as_ref().filter(|_| self.sampler.ratio > 0.0) else { return };
        let taken = lock(&line.lost).take(session, losses.ranges.len(), reported_us);
        let (ranges, others) = losses.ranges.split_at(taken);
        self.metrics.spans_dropped("limited").inc_by(others.len() as u64);
        let mut filling = lock(&line.filling);
        if line.has_room(&filling, QUEUE_BYTES) {
            for range in ranges {
                filling.add_lost(resource, session, losses, range, reported_us);
            }
            line.pass_full(&mut filling);
        } else {
            self.count_full(ranges.len() as u64);
        }
    }

    /// Takes spans of other instrumentations.
    pub(crate) fn pass_on(&self, mut request: ExportTraceServiceRequest) {
        let Some(line) = &self.line else { return };
        let (spans, wrong) = foreign::check(&mut request);
        self.metrics.spans_dropped("invalid").inc_by(wrong);
        // Encoded anew, so that nothing else of what came gets out.
        let request = request.encode_to_vec();
        let mut filling = lock(&line.filling);
        if line.has_room(&filling, FOREIGN_BYTES) {
            filling.add_foreign(&request, spans);
            line.pass_full(&mut filling);
        } else {
            self.count_full(spans);
        }
    }

    fn count_full(&self, spans: u64) {
        if spans > 0 {
            self.metrics.spans_dropped("queue_full").inc_by(spans);
        }
    }
}

impl Line {
    fn has_room(&self, filling: &Batch, limit: usize) -> bool {
        self.queued.load(Ordering::Relaxed) + filling.bytes() < limit
    }

    /// Hands `filling` over when it is a request's worth.
    fn pass_full(&self, filling: &mut Batch) {
        if filling.bytes() >= REQUEST_BYTES {
            let full = std::mem::take(filling);
            self.queued.fetch_add(full.bytes(), Ordering::Relaxed);
            // The exporter ends only once every sender is gone.
            let _ = self.full.send(full);
        }
    }
}

impl LostSpans {
    /// How many of `wanted` spans `session` may have at `now_us`.
    fn take(&mut self, session: &Arc<str>, wanted: usize, now_us: u64) -> usize {
        let second = now_us / 1_000_000;
        if self.second != second {
            self.second = second;
            self.of.clear();
        }
        let had = self.of.entry(Arc::clone(session)).or_default();
        let taken = wanted.min(LOST_SPANS - *had);
        *had += taken;
        taken
    }
}

impl Record {
    fn spans(&self) -> u64 {
        2 + u64::from(self.browser.is_some())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

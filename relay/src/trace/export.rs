//! The exporter: a thread of its own that encodes and sends in bulk, with OTLP's rules for retries
//! (<https://opentelemetry.io/docs/specs/otlp/>, 1.9).

mod client;

use super::Item;
use super::otlp::Encoder;
use crate::config::Exporter;
use crate::metrics::Metrics;
use client::{Client, Failure};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};
use tokio::time::{Instant, timeout_at};

/// How long the first span of a request waits for company: short enough that a trace is complete when a
/// person looks for it.
const DELAY: Duration = Duration::from_millis(200);

/// Bytes of one request, as the records estimate them; one more batch may come on top, and a Collector takes
/// 4 MiB.
const REQUEST_BYTES: usize = 2 * 1024 * 1024;

/// How often a pause looks whether the relay is ending.
const TICK: Duration = Duration::from_millis(50);

/// Retries wait up to this, doubled each time…
const BACKOFF: Duration = Duration::from_millis(250);
/// …up to this…
const BACKOFF_MAX: Duration = Duration::from_secs(5);
/// …and end after this: a restart of a collector is bridged, an outage is not hoarded.
const GIVE_UP: Duration = Duration::from_secs(30);

/// The exporter thread; it ends when every `Spans` is gone and everything is out.
#[derive(Debug)]
pub(crate) struct ExportThread(JoinHandle<()>);

impl ExportThread {
    /// Whether everything is out.
    pub(crate) fn is_finished(&self) -> bool {
        self.0.is_finished()
    }
}

pub(super) fn start(
    settings: Exporter,
    encoder: Encoder,
    queued: Arc<AtomicUsize>,
    metrics: Arc<Metrics>,
) -> (UnboundedSender<Item>, ExportThread) {
    let (queue, items) = tokio::sync::mpsc::unbounded_channel();
    let run = move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.unwrap_or_else(|error| unreachable!("a runtime at startup: {error}"));
        runtime.block_on(async {
            let client = Client::new(&settings);
            Export { client, encoder, queued, metrics, items, failing: false }.run().await;
        });
    };
    let thread = std::thread::Builder::new().name("otlp".into()).spawn(run);
    (queue, ExportThread(thread.unwrap_or_else(|error| unreachable!("a thread at startup: {error}"))))
}

struct Export {
    client: Client,
    encoder: Encoder,
    queued: Arc<AtomicUsize>,
    metrics: Arc<Metrics>,
    items: UnboundedReceiver<Item>,
    failing: bool,
}

impl Export {
    async fn run(mut self) {
        while let Some(first) = self.items.recv().await {
            let (items, weight) = self.collect(first).await;
            let (request, spans) = self.encoder.encode(items);
            self.send(request, spans).await;
            self.queued.fetch_sub(weight, Ordering::Relaxed);
        }
    }

    /// What comes within the delay, as long as it fits into one request.
    async fn collect(&mut self, first: Item) -> (Vec<Item>, usize) {
        let deadline = Instant::now() + DELAY;
        let (mut weight, mut items) = (first.weight(), vec![first]);
        while weight < REQUEST_BYTES {
            let Ok(Some(item)) = timeout_at(deadline, self.items.recv()).await else { break };
            weight += item.weight();
            items.push(item);
        }
        (items, weight)
    }

    async fn send(&mut self, request: ExportTraceServiceRequest, spans: u64) {
        let give_up = Instant::now() + GIVE_UP;
        let mut bound = BACKOFF;
        let reason = loop {
            let failure = match self.client.export(&request).await {
                Ok(refused) => {
                    self.metrics.spans_exported.inc_by(spans.saturating_sub(refused));
                    self.metrics.spans_dropped("refused").inc_by(refused.min(spans));
                    if std::mem::take(&mut self.failing) {
                        tracing::info!("spans are exported again");
                    }
                    return;
                }
                Err(failure) => failure,
            };
            if !std::mem::replace(&mut self.failing, true) {
                let error = failure.to_string();
                tracing::warn!(error, "spans cannot be exported; retrying, and counting what is dropped");
            }
            let pause = match failure {
                Failure::Final(_) => break "refused",
                Failure::Retry { after: Some(after), .. } => after,
                Failure::Retry { after: None, .. } => bound.mul_f64(fastrand::f64()),
            };
            // The relay is ending: whoever waits for the last spans does not wait for a dead collector.
            if Instant::now() + pause > give_up || self.items.is_closed() {
                break "export_failed";
            }
            self.pause(pause).await;
            bound = (bound * 2).min(BACKOFF_MAX);
        };
        self.metrics.spans_dropped(reason).inc_by(spans);
    }

    /// Waits for `pause`, or until the relay is ending.
    async fn pause(&self, pause: Duration) {
        let until = Instant::now() + pause;
        while Instant::now() < until && !self.items.is_closed() {
            tokio::time::sleep(TICK.min(pause)).await;
        }
    }
}

//! The exporter: a thread of its own that sends several requests at once, with OTLP's rules for retries
//! (<https://opentelemetry.io/docs/specs/otlp/>, 1.9). A request that waits for its retry stops no other.

mod client;
mod split;

use super::batch::{Batch, Request};
use super::{Resource, lock};
use crate::config::Exporter;
use crate::metrics::Metrics;
use client::{Client, Failure};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How long the first span of a request waits for company: short enough that a trace is complete when a
/// person looks for it.
const DELAY: Duration = Duration::from_millis(200);

/// Requests on their way at once: behind a collector that takes 20 ms for each, 400 MiB a second.
const IN_FLIGHT: usize = 4;

/// Retries wait up to this, doubled each time…
const BACKOFF: Duration = Duration::from_millis(250);
/// …up to this…
const BACKOFF_MAX: Duration = Duration::from_secs(5);
/// …and end after this: a restart of a collector is bridged, an outage is not hoarded.
const GIVE_UP: Duration = Duration::from_secs(30);

/// How often one request may be split: one wrong span of 4,000 is found in 12, and a collector that refuses
/// everything is not asked about each.
const SPLITS: usize = 32;

/// The exporter thread; it ends when every `Spans` is gone and everything is out.
#[derive(Debug)]
pub(crate) struct ExportThread(JoinHandle<u64>);

impl ExportThread {
    /// Waits until nothing is left to send. Every `Spans` must be gone. The answer is how many spans were given
    /// up at the end.
    pub(crate) fn join(self) -> u64 {
        // A panic of that thread aborts the process; there is no other way to fail.
        self.0.join().unwrap_or_default()
    }
}

/// Starts the thread; what is `filling` meanwhile, and the bytes `queued`, are shared with it.
pub(super) fn start(
    settings: Exporter,
    relay: Resource,
    (filling, queued): (Arc<Mutex<Batch>>, Arc<AtomicUsize>),
    metrics: Arc<Metrics>,
) -> (UnboundedSender<Batch>, ExportThread) {
    let (sender, full) = tokio::sync::mpsc::unbounded_channel();
    let run = move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.unwrap_or_else(|error| unreachable!("a runtime at startup: {error}"));
        runtime.block_on(async {
            let export = Arc::new(Export {
                client: Client::new(&settings),
                relay,
                queued,
                metrics,
                in_flight: Semaphore::new(IN_FLIGHT),
                not_before: Mutex::new(Instant::now()),
                failing: AtomicBool::new(false),
                ending: CancellationToken::new(),
                given_up: AtomicU64::new(0),
            });
            export.run(full, &filling).await
        })
    };
    let thread = std::thread::Builder::new().name("otlp".into()).spawn(run);
    (sender, ExportThread(thread.unwrap_or_else(|error| unreachable!("a thread at startup: {error}"))))
}

struct Export {
    client: Client,
    relay: Resource,
    queued: Arc<AtomicUsize>,
    metrics: Arc<Metrics>,
    in_flight: Semaphore,
    /// When the collector wants to be asked again.
    not_before: Mutex<Instant>,
    failing: AtomicBool,
    ending: CancellationToken,
    /// Spans that were dropped after the end had begun.
    given_up: AtomicU64,
}

impl Export {
    /// Sends what is full, and what is not after a while; the answer is how many spans were given up at the
    /// end.
    async fn run(self: Arc<Self>, mut full: UnboundedReceiver<Batch>, filling: &Mutex<Batch>) -> u64 {
        let tasks = TaskTracker::new();
        loop {
            let batch = match timeout(DELAY, full.recv()).await {
                Ok(Some(batch)) => batch,
                ended => {
                    if ended.is_ok() {
                        self.ending.cancel();
                    }
                    let batch = std::mem::take(&mut *lock(filling));
                    self.queued.fetch_add(batch.bytes(), Ordering::Relaxed);
                    batch
                }
            };
            if !batch.is_empty() {
                tasks.spawn(Arc::clone(&self).deliver(batch));
            }
            if self.ending.is_cancelled() {
                break;
            }
        }
        tasks.close();
        tasks.wait().await;
        self.given_up.load(Ordering::Relaxed)
    }

    /// Sends one batch. What the collector refuses is split, until what is wrong is alone.
    async fn deliver(self: Arc<Self>, batch: Batch) {
        let bytes = batch.bytes();
        let mut requests = vec![batch.into_request(&self.relay)];
        let mut splits = SPLITS;
        while let Some(request) = requests.pop() {
            let reason = match self.send(&request).await {
                Ok(()) => continue,
                Err(Failure::Refused(_)) if splits > 0 => {
                    splits -= 1;
                    if let Some(halves) = split::halves(&request) {
                        requests.extend(halves);
                        continue;
                    }
                    "refused"
                }
                Err(Failure::Refused(_) | Failure::Final(_)) => "refused",
                Err(Failure::Retry { .. }) => "export_failed",
            };
            self.count_dropped(reason, request.spans);
        }
        self.queued.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Sends one request until it is answered for good.
    async fn send(&self, request: &Request) -> Result<(), Failure> {
        let give_up = Instant::now() + GIVE_UP;
        let mut bound = BACKOFF;
        loop {
            let failure = match self.attempt(request).await {
                Ok(refused) => {
                    let refused = refused.min(request.spans);
                    self.metrics.spans_exported.inc_by(request.spans - refused);
                    if refused > 0 {
                        self.count_dropped("refused", refused);
                    }
                    if self.failing.swap(false, Ordering::Relaxed) {
                        tracing::info!("spans are exported again");
                    }
                    return Ok(());
                }
                Err(failure) => failure,
            };
            if !self.failing.swap(true, Ordering::Relaxed) {
                let error = failure.to_string();
                tracing::warn!(error, "spans cannot be exported; retrying, and counting what is dropped");
            }
            // When the relay is ending, whoever waits for the last spans does not wait for a dead collector.
            match failure {
                Failure::Retry { .. } if Instant::now() < give_up && !self.ending.is_cancelled() => {}
                _ => return Err(failure),
            }
            self.pause_until(Instant::now() + bound.mul_f64(fastrand::f64())).await;
            bound = (bound * 2).min(BACKOFF_MAX);
        }
    }

    /// Sends one request once; the answer is how many of its spans the collector did not take.
    async fn attempt(&self, request: &Request) -> Result<u64, Failure> {
        let _place = self.in_flight.acquire().await;
        let not_before = *lock(&self.not_before);
        self.pause_until(not_before).await;
        let answer = self.client.export(&request.bytes).await;
        if let Err(Failure::Retry { after: Some(after), .. }) = &answer {
            let mut not_before = lock(&self.not_before);
            *not_before = (*not_before).max(Instant::now() + *after);
        }
        answer
    }

    /// Waits until `instant`, or until the relay is ending.
    async fn pause_until(&self, instant: Instant) {
        tokio::select! {
            () = sleep_until(instant) => {}
            () = self.ending.cancelled() => {}
        }
    }

    fn count_dropped(&self, reason: &'static str, spans: u64) {
        self.metrics.spans_dropped(reason).inc_by(spans);
        if self.ending.is_cancelled() {
            self.given_up.fetch_add(spans, Ordering::Relaxed);
        }
    }
}

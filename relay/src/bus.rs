//! The bus: a publisher whose send buffer is the replay window.
//!
//! ```text
//!   connection ── publish ──▶ window ── at its own pace ──▶ subscriber
//!                               └────── when asked ───────▶ replay client
//! ```
//! To publish is to write into the window, so nobody who publishes waits, and no subscriber makes another wait. Who
//! reads too slowly is overtaken, and sees by `relay.seq` what it missed.

mod connection;
mod endpoint;
mod replay;
mod ring;
mod subscriber;
mod window;

pub(crate) use endpoint::is_valid as is_endpoint;

use crate::config::Topic;
use crate::metrics::Metrics;
use crate::trace::{Record, Records, Spans};
use crate::{clock, payload};
use endpoint::{Endpoint, Stream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use thiserror::Error;
use tokio::sync::Notify;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use window::Window;

/// The topic of what was lost, and of beginnings and ends.
const LEDGER_TOPIC: &str = "atomwire.ledger";

/// Topics that the relay's last message names.
const TOPICS_NAMED: usize = 1000;

/// One update on its way out.
#[derive(Debug)]
pub(crate) struct Message {
    /// The atom's key, for a templated topic.
    pub(crate) key: Arc<str>,
    /// The payload's JSON up to where `relay.seq` goes.
    pub(crate) payload: Vec<u8>,
    /// Its spans, when its trace is sampled.
    pub(crate) record: Option<Box<Record>>,
}

/// An endpoint could not be opened.
#[derive(Debug, Error)]
#[error("cannot bind {setting} to {endpoint}: {source}")]
pub(crate) struct BindError {
    setting: &'static str,
    endpoint: String,
    source: std::io::Error,
}

/// What the bus needs.
pub(crate) struct BusConfig {
    pub(crate) bus: String,
    pub(crate) replay: String,
    pub(crate) replay_bytes: usize,
    pub(crate) topic: Topic,
    pub(crate) relay_id: String,
}

/// Where the bus listens.
pub(crate) struct Endpoints {
    pub(crate) bus: String,
    pub(crate) replay: String,
}

/// A handle to the bus; clones share it.
#[derive(Clone)]
pub(crate) struct Bus(Arc<Shared>);

struct Shared {
    window: Mutex<Window>,
    topic: Topic,
    /// The one topic, when it is not a template.
    fixed_topic: Option<Arc<str>>,
    relay_id: String,
    metrics: Arc<Metrics>,
    spans: Spans,
    /// Something was published.
    appended: Notify,
    /// Cancelled when the last message is published…
    ended: CancellationToken,
    /// …and when nobody is waited for any longer.
    cut: CancellationToken,
    subscribers: TaskTracker,
    /// How far each of them is, in the bytes of the window.
    cursors: Mutex<Vec<Arc<AtomicU64>>>,
    /// Those that did not take everything until the end.
    behind: AtomicU64,
}

impl Bus {
    /// Binds both endpoints, and serves whoever connects.
    pub(crate) async fn start(
        config: BusConfig,
        metrics: Arc<Metrics>,
        spans: Spans,
    ) -> Result<(Self, Endpoints), BindError> {
        let subscribers = bind("--bus", &config.bus).await?;
        let replays = bind("--replay", &config.replay).await?;
        let names = Endpoints { bus: subscribers.1, replay: replays.1 };
        let bus = Self(Arc::new(Shared {
            window: Mutex::new(Window::new(config.replay_bytes)),
            fixed_topic: config.topic.is_fixed().then(|| config.topic.of("").into()),
            topic: config.topic,
            relay_id: config.relay_id,
            metrics,
            spans,
            appended: Notify::new(),
            ended: CancellationToken::new(),
            cut: CancellationToken::new(),
            subscribers: TaskTracker::new(),
            cursors: Mutex::default(),
            behind: AtomicU64::new(0),
        }));
        tokio::spawn(bus.clone().welcome(subscribers.0, |bus, stream, name| {
            bus.0.subscribers.spawn(subscriber::serve(bus.clone(), stream, name));
        }));
        tokio::spawn(bus.clone().welcome(replays.0, |bus, stream, _| {
            tokio::spawn(replay::serve(bus.clone(), stream));
        }));
        Ok((bus, names))
    }

    /// Serves who connects, until the bus ends.
    async fn welcome(self, endpoint: Endpoint, serve: impl Fn(&Self, Stream, String)) {
        loop {
            tokio::select! {
                biased;
                () = self.0.ended.cancelled() => return,
                (stream, name) = endpoint.accept() => serve(&self, stream, name),
            }
        }
    }

    /// Publishes `notes`, which are payloads for the ledger's topic up to where `relay.seq` goes, then `messages`, each
    /// in their order.
    pub(crate) fn publish(&self, notes: &[Vec<u8>], messages: Vec<Message>) {
        let published = messages.len() as u64;
        let topics: Vec<_> = messages.iter().map(|it| self.topic_of(&it.key)).collect();
        let mut records = Records::new();
        let sending_at = clock::now_us();
        {
            let mut window = self.lock();
            for note in notes {
                window.publish_note(note);
            }
            for (Message { payload, record, .. }, topic) in messages.into_iter().zip(topics) {
                let relay_seq = window.publish(&topic, &payload);
                records.extend(record.map(|mut record| {
                    record.published(topic, relay_seq, sending_at);
                    record
                }));
            }
        }
        self.0.appended.notify_waiters();
        self.0.metrics.published.inc_by(published);
        if !records.is_empty() {
            let published_at = clock::now_us();
            for record in &mut records {
                record.published_at(published_at);
            }
            self.0.spans.push(records);
        }
    }

    /// Bytes that the subscriber which is furthest behind does not have yet.
    pub(crate) fn lag(&self) -> u64 {
        let end = self.lock().ring.end().bytes;
        let cursors = self.cursors();
        let lags = cursors.iter().map(|cursor| end.saturating_sub(cursor.load(Ordering::Relaxed)));
        lags.max().unwrap_or(0)
    }

    /// Publishes the relay's last message, and waits until every subscriber has everything, up to `deadline`; the answer
    /// is how many have not.
    pub(crate) async fn end(&self, deadline: Duration) -> u64 {
        let end = payload::relay_end(self.lock().ends().take(TOPICS_NAMED), &self.0.relay_id);
        self.publish(&[end], Vec::new());
        self.0.ended.cancel();
        self.0.subscribers.close();
        if timeout(deadline, self.0.subscribers.wait()).await.is_err() {
            self.0.cut.cancel();
            self.0.subscribers.wait().await;
        }
        self.0.cut.cancel();
        self.0.behind.load(Ordering::Relaxed)
    }

    fn topic_of(&self, key: &str) -> Arc<str> {
        self.0.fixed_topic.clone().unwrap_or_else(|| self.0.topic.of(key).into())
    }

    fn lock(&self) -> MutexGuard<'_, Window> {
        self.0.window.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn cursors(&self) -> MutexGuard<'_, Vec<Arc<AtomicU64>>> {
        self.0.cursors.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn bind(setting: &'static str, endpoint: &str) -> Result<(Endpoint, String), BindError> {
    let failed = |source| BindError { setting, endpoint: endpoint.to_owned(), source };
    let bound = Endpoint::bind(endpoint).await.map_err(failed)?;
    let name = bound.name().map_err(failed)?;
    Ok((bound, name))
}

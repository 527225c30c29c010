//! The bus: a publisher whose send buffer is the replay window.
//!
//! ```text
//!   connection ── publish ──▶ window ── at its own pace ──▶ subscriber
//!       ▲                       └────── when it asks ─────▶ consumer
//!       └────────── flow ◀── what it is done with ◀────────────┘
//! ```
//! To publish is to write into the window, so nobody who publishes waits, and no reader makes another wait. Who
//! reads too slowly is overtaken, and sees by `relay.seq` what it missed; but for required consumers, which hold
//! clients up by credit.

mod connection;
mod consumers;
mod flow;
mod listener;
mod reader;
mod ring;
mod subscriber;
mod window;

pub(crate) use consumers::Lag;
pub(crate) use flow::Flow;

use crate::config::{Acknowledge, ConsumerName, Endpoint, Topic};
use crate::metrics::Metrics;
use crate::trace::{Record, Records, Spans};
use crate::{clock, payload};
use consumers::{Consumers, Turn};
use listener::{Listener, Stream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use thiserror::Error;
use tokio::sync::{Notify, watch};
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
    endpoint: Endpoint,
    source: std::io::Error,
}

/// What the bus needs.
pub(crate) struct BusConfig {
    pub(crate) bus: Endpoint,
    pub(crate) replay: Endpoint,
    pub(crate) replay_bytes: usize,
    pub(crate) topic: Topic,
    /// Consumers that nothing may be overwritten for.
    pub(crate) required: Vec<ConsumerName>,
    pub(crate) acknowledge: Acknowledge,
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
    /// A consumer has confirmed something, or has left.
    moved: Notify,
    acknowledge: Acknowledge,
    flow: watch::Sender<Flow>,
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
            window: Mutex::new(Window::new(config.replay_bytes, Consumers::new(config.required))),
            fixed_topic: config.topic.is_fixed().then(|| config.topic.of("").into()),
            topic: config.topic,
            relay_id: config.relay_id,
            metrics,
            spans,
            appended: Notify::new(),
            moved: Notify::new(),
            acknowledge: config.acknowledge,
            flow: watch::Sender::new(Flow::start(config.acknowledge)),
            ended: CancellationToken::new(),
            cut: CancellationToken::new(),
            subscribers: TaskTracker::new(),
            cursors: Mutex::default(),
            behind: AtomicU64::new(0),
        }));
        let (ended, cut) = (bus.0.ended.clone(), bus.0.cut.clone());
        tokio::spawn(bus.clone().welcome(subscribers.0, ended, |bus, stream, name| {
            bus.0.subscribers.spawn(subscriber::serve(bus.clone(), stream, name));
        }));
        tokio::spawn(bus.clone().welcome(replays.0, cut, |bus, stream, _| {
            tokio::spawn(reader::serve(bus.clone(), stream));
        }));
        Ok((bus, names))
    }

    /// Serves who connects, until it is told not to.
    async fn welcome(
        self,
        listener: Listener,
        until: CancellationToken,
        serve: impl Fn(&Self, Stream, String),
    ) {
        loop {
            tokio::select! {
                biased;
                () = until.cancelled() => return,
                (stream, name) = listener.accept() => serve(&self, stream, name),
            }
        }
    }

    /// Publishes `notes`, which are payloads for the ledger's topic up to where `relay.seq` goes, then `messages`, each
    /// in their order. The answer is the position after them: they are settled when [`Flow::settled`] is there.
    pub(crate) fn publish(&self, notes: &[Vec<u8>], messages: Vec<Message>) -> u64 {
        let published = messages.len() as u64;
        let topics: Vec<_> = messages.iter().map(|it| self.topic_of(&it.key)).collect();
        let mut records = Records::new();
        let sending_at = clock::now_us();
        let end = {
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
            self.update_flow(&window);
            window.ring.end().messages
        };
        self.0.appended.notify_waiters();
        self.0.metrics.published.inc_by(published);
        if !records.is_empty() {
            let published_at = clock::now_us();
            for record in &mut records {
                record.published_at(published_at);
            }
            self.0.spans.push(records);
        }
        end
    }

    /// What required consumers let clients do, as it changes.
    pub(crate) fn flow(&self) -> watch::Receiver<Flow> {
        self.0.flow.subscribe()
    }

    /// How far each consumer is.
    pub(crate) fn consumers(&self) -> Vec<Lag> {
        let window = self.lock();
        window.consumers.lags(window.ring.end()).collect()
    }

    /// Where a consumer goes on that wants what comes from `from` of `relay` on, and so is done with what is below.
    fn resume(&self, turn: &Turn, relay: Option<&str>, from: u64) -> u64 {
        if relay != Some(&self.0.relay_id) {
            return 0;
        }
        let mut window = self.lock();
        let done = window.ring.seek(from);
        window.consumers.confirm(turn, done);
        self.update_flow(&window);
        drop(window);
        self.0.moved.notify_waiters();
        // What is gone, it is told.
        from.min(done.messages)
    }

    fn leave(&self, turn: &Turn) {
        self.lock().consumers.leave(turn);
        self.0.moved.notify_waiters();
    }

    fn update_flow(&self, window: &Window) {
        let Some(done) = window.consumers.required_done() else { return };
        let flow = Flow::of(self.0.acknowledge, done, window.ring.end(), window.ring.most());
        self.0.flow.send_if_modified(|now| {
            if now.room != flow.room {
                let behind =
                    window.consumers.lags(window.ring.end()).filter(|it| it.required && it.messages > 0);
                flow.log(behind);
            }
            std::mem::replace(now, flow) != flow
        });
    }

    /// Notes in the metrics how far everybody is behind.
    pub(crate) fn measure(&self) {
        let metrics = &self.0.metrics;
        let end = self.lock().ring.end().bytes;
        let lags =
            self.cursors().iter().map(|cursor| end.saturating_sub(cursor.load(Ordering::Relaxed))).max();
        metrics.bus_lag_bytes.set(lags.unwrap_or(0) as i64);
        metrics.clear_consumer_lags();
        for Lag { consumer, messages, bytes, .. } in self.consumers() {
            metrics.set_consumer_lag(&consumer, messages, bytes);
        }
    }

    /// Publishes the relay's last message, and waits until every subscriber has everything, and every consumer that is
    /// there, or required, is done with everything, up to `deadline`; the answer is how many are not.
    pub(crate) async fn end(&self, deadline: Duration) -> u64 {
        let end = payload::relay_end(self.lock().ends().take(TOPICS_NAMED), &self.0.relay_id);
        self.publish(&[end], Vec::new());
        self.0.ended.cancel();
        self.0.subscribers.close();
        let all = async {
            self.0.subscribers.wait().await;
            self.all_done().await;
        };
        let _ = timeout(deadline, all).await;
        let behind: Vec<_> = self.consumers().into_iter().filter(|it| it.messages > 0).collect();
        for Lag { consumer, messages, bytes, .. } in &behind {
            tracing::warn!(%consumer, messages, bytes, "it is not done with the last messages");
        }
        self.0.cut.cancel();
        self.0.subscribers.wait().await;
        self.0.behind.load(Ordering::Relaxed) + behind.len() as u64
    }

    async fn all_done(&self) {
        loop {
            let mut moved = std::pin::pin!(self.0.moved.notified());
            moved.as_mut().enable();
            if self.consumers().iter().all(|it| it.messages == 0) {
                return;
            }
            moved.await;
        }
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

async fn bind(setting: &'static str, endpoint: &Endpoint) -> Result<(Listener, String), BindError> {
    let failed = |source| BindError { setting, endpoint: endpoint.clone(), source };
    let bound = Listener::bind(endpoint).await.map_err(failed)?;
    let name = bound.name().map_err(failed)?;
    Ok((bound, name))
}

//! What the relay counts, and how `/metrics` shows it. Labels come from this program's own words, and the names of
//! consumers, never from a client.

use crate::config::ConsumerName;
use crate::losses::Losses;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

type Reasons = Family<[(&'static str, &'static str); 1], Counter>;
type OfConsumers = Family<[(&'static str, String); 1], Gauge>;

/// The relay's account and its state.
///
/// `received = published + dropped + duplicate`, but for what is on its way through.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    pub(crate) received: Counter,
    pub(crate) published: Counter,
    dropped: Reasons,
    dropped_in_all: Counter,
    pub(crate) duplicates: Counter,
    lost_by_clients: Reasons,
    bad_input: Reasons,
    pub(crate) connections: Gauge,
    pub(crate) sessions: Gauge,
    pub(crate) bus_subscribers: Gauge,
    pub(crate) bus_subscriptions: Gauge,
    pub(crate) bus_lag_bytes: Gauge,
    consumer_lag: OfConsumers,
    consumer_lag_bytes: OfConsumers,
    pub(crate) bus_missed: Counter,
    pub(crate) spans_exported: Counter,
    spans_dropped: Reasons,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let mut metrics = Self {
            registry: Registry::with_prefix("atomwire"),
            received: Counter::default(),
            published: Counter::default(),
            dropped: Family::default(),
            dropped_in_all: Counter::default(),
            duplicates: Counter::default(),
            lost_by_clients: Family::default(),
            bad_input: Family::default(),
            connections: Gauge::default(),
            sessions: Gauge::default(),
            bus_subscribers: Gauge::default(),
            bus_subscriptions: Gauge::default(),
            bus_lag_bytes: Gauge::default(),
            consumer_lag: Family::default(),
            consumer_lag_bytes: Family::default(),
            bus_missed: Counter::default(),
            spans_exported: Counter::default(),
            spans_dropped: Family::default(),
        };
        metrics.register();
        metrics
    }

    fn register(&mut self) {
        let it = &mut self.registry;
        it.register("updates_received", "Updates that came from clients", self.received.clone());
        it.register("updates_published", "Updates that the bus took", self.published.clone());
        it.register("updates_dropped", "Updates that did not reach the bus", self.dropped.clone());
        it.register("updates_duplicate", "Updates that came again", self.duplicates.clone());
        it.register(
            "client_updates_lost",
            "Updates that clients reported lost",
            self.lost_by_clients.clone(),
        );
        it.register("bad_input", "Frames and requests that were refused", self.bad_input.clone());
        it.register("connections", "Open WebSocket connections", self.connections.clone());
        it.register("sessions", "Sessions whose ledger is kept", self.sessions.clone());
        it.register("bus_subscribers", "Subscribers of the bus", self.bus_subscribers.clone());
        it.register("bus_subscriptions", "Subscriptions on the bus", self.bus_subscriptions.clone());
        let lag = self.bus_lag_bytes.clone();
        it.register_with_unit("bus_lag", "What the slowest subscriber does not have yet", Unit::Bytes, lag);
        let lag = self.consumer_lag.clone();
        it.register("consumer_lag_messages", "Messages that a consumer is not done with yet", lag);
        let lag = self.consumer_lag_bytes.clone();
        it.register_with_unit("consumer_lag", "Their bytes", Unit::Bytes, lag);
        let missed = self.bus_missed.clone();
        it.register("bus_messages_missed", "Messages that a reader of the bus was too slow for", missed);
        it.register("spans_exported", "Spans that the collector took", self.spans_exported.clone());
        it.register("spans_dropped", "Spans that it did not get", self.spans_dropped.clone());
    }

    /// Counts updates that did not reach the bus.
    pub(crate) fn count_dropped(&self, reason: &'static str, updates: u64) {
        self.dropped.get_or_create(&[("reason", reason)]).inc_by(updates);
        self.dropped_in_all.inc_by(updates);
    }

    /// Updates that did not reach the bus, for whatever reason.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped_in_all.get()
    }

    /// Counts updates that the relay refused.
    pub(crate) fn count_refused(&self, losses: &Losses) {
        for range in &losses.ranges {
            self.count_dropped(range.reason, range.updates());
        }
    }

    /// Counts updates that a client reported lost.
    pub(crate) fn count_lost_by_clients(&self, losses: &Losses) {
        for range in &losses.ranges {
            self.lost_by_clients.get_or_create(&[("reason", range.reason)]).inc_by(range.updates());
        }
    }

    /// Frames and requests that were refused, by kind.
    pub(crate) fn bad_input(&self, kind: &'static str) -> Counter {
        self.bad_input.get_or_create(&[("kind", kind)]).clone()
    }

    /// Spans that were not exported, by reason.
    pub(crate) fn spans_dropped(&self, reason: &'static str) -> Counter {
        self.spans_dropped.get_or_create(&[("reason", reason)]).clone()
    }

    /// Notes what a consumer is not done with yet.
    pub(crate) fn set_consumer_lag(&self, consumer: &ConsumerName, messages: u64, bytes: u64) {
        let label = [("consumer", consumer.to_string())];
        self.consumer_lag.get_or_create(&label).set(messages as i64);
        self.consumer_lag_bytes.get_or_create(&label).set(bytes as i64);
    }

    /// Forgets all consumers' lags: who is gone has none.
    pub(crate) fn clear_consumer_lags(&self) {
        self.consumer_lag.clear();
        self.consumer_lag_bytes.clear();
    }

    /// The `OpenMetrics` text that Prometheus reads.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        // Writing into a String cannot fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}

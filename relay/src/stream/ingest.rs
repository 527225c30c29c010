//! The way of updates onto the bus, whichever contract brought them.

use crate::bus;
use crate::clock;
use crate::losses::Losses;
use crate::payload::{self, Payload};
use crate::relay::Relay;
use crate::trace::{BrowserSpan, Record, Resource, context};
use atomwire_wire::SessionId;
use atomwire_wire::relay::Update;
use bytes::Bytes;
use opentelemetry::trace::TraceFlags;
use std::sync::Arc;

/// One session's, on one connection: what it takes in together is published together.
pub(super) struct Ingest {
    pub(super) relay: Arc<Relay>,
    session: Arc<str>,
    /// Of the browser's spans.
    resource: Resource,
    /// `network.protocol.name` of the SERVER span.
    protocol: &'static str,
    notes: Vec<Vec<u8>>,
    messages: Vec<bus::Message>,
}

impl Ingest {
    /// Of the session `id`, whose client says `resource` of itself and came by `protocol`.
    pub(super) fn new(
        relay: Arc<Relay>,
        id: &SessionId,
        resource: &[(String, String)],
        protocol: &'static str,
    ) -> Self {
        let (session, resource) = (payload::hex(id).into(), Resource::of_page(resource));
        Self { relay, session, resource, protocol, notes: Vec::new(), messages: Vec::new() }
    }

    /// Takes in that the session starts at `next_seq`.
    pub(super) fn start(&mut self, next_seq: u64) {
        self.notes.push(payload::start(&self.session, next_seq, &self.relay.id));
    }

    /// Takes in what was lost, and makes its spans.
    pub(super) fn lost(&mut self, losses: &Losses) {
        self.relay.spans.lost(&self.session, &self.resource, losses, clock::now_us());
        self.notes.push(payload::lost(&self.session, losses, &self.relay.id));
    }

    /// Takes in that the client closed the session, with every number below `next_seq`.
    pub(super) fn end(&mut self, next_seq: u64) {
        self.notes.push(payload::end(&self.session, next_seq, "closed", &self.relay.id));
    }

    /// Takes an update in that came at `received_us`, of a client whose clock may be off by `clock_error_us`.
    pub(super) fn add(&mut self, update: Update, received_us: u64, clock_error_us: u64) {
        let spans = &self.relay.spans;
        // A parent in the same session says nothing about sampling, and its trace id is as random as ours.
        let explicit = update.parent.as_ref().filter(|parent| !parent.local);
        let explicit = explicit.map(|parent| TraceFlags::new(parent.flags));
        let sampled = spans.sample(update.trace_id, explicit);
        let flags = flags(explicit.unwrap_or(context::RANDOM), sampled);
        let tracestate = update.parent.as_ref().map_or("", |parent| &parent.tracestate);
        let tracestate = context::parse_state(tracestate);
        let parent_span_id = update.parent.as_ref().map(|parent| parent.span_id);
        let (server_span_id, producer_span_id) = (span_id(), span_id());
        let payload = Payload {
            key: &update.key,
            value: update.value.as_ref(),
            omitted: update.omitted,
            trace_id: update.trace_id,
            span_id: producer_span_id,
            flags,
            tracestate: &tracestate,
            session: &self.session,
            seq: update.seq,
            time_us: update.start,
            error: update.error.as_ref().map(|(kind, _)| kind.as_str()),
            relay_id: &self.relay.id,
        };
        let payload = payload.write();
        let key = Arc::clone(&update.key);
        let record = (sampled && spans.enabled()).then(|| {
            let browser = update.span_id.map(|span_id| BrowserSpan {
                resource: self.resource.clone(),
                span_id,
                parent_span_id,
                start_us: update.start,
                duration_us: update.duration,
                clock_error_us,
                error: update.error,
                attributes: update.attributes,
                omitted: update.omitted,
                // Copied: a slice would keep the whole frame.
                value: update.value.filter(|_| self.relay.dev).map(|value| Bytes::copy_from_slice(&value)),
            });
            Box::new(Record {
                trace_id: update.trace_id,
                flags,
                tracestate,
                key: update.key,
                session: Arc::clone(&self.session),
                seq: update.seq,
                protocol: self.protocol,
                browser,
                parent_span_id: update.span_id.or(parent_span_id),
                server_span_id,
                producer_span_id,
                received_us,
                topic: Arc::clone(&self.session),
                relay_seq: 0,
                sending_us: 0,
                published_us: 0,
            })
        });
        self.messages.push(bus::Message { key, payload, record });
    }

    /// Publishes what was taken in: first what the ledger's topic is told, then the updates. The answer is the position
    /// after them; none where there was nothing.
    pub(super) fn publish(&mut self) -> Option<u64> {
        if self.notes.is_empty() && self.messages.is_empty() {
            return None;
        }
        let notes = std::mem::take(&mut self.notes);
        Some(self.relay.bus.publish(&notes, std::mem::take(&mut self.messages)))
    }
}

/// A span id of the relay's own.
fn span_id() -> [u8; 8] {
    // W3C forbids zero.
    fastrand::u64(1..).to_be_bytes()
}

/// The flags of a trace's next context: its own random bit, and the decision.
fn flags(random: TraceFlags, sampled: bool) -> TraceFlags {
    (random & context::RANDOM).with_sampled(sampled)
}

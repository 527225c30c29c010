//! What the relay does with a session's frames, whatever brought them.

use super::Origin;
use super::reports::Reports;
use super::{flags, span_id};
use crate::bus::Message;
use crate::clock;
use crate::losses::Losses;
use crate::message::{self, Payload};
use crate::relay::Relay;
use crate::sessions::{Arrival, Claim, Replaced};
use crate::trace::{BrowserSpan, Record, Resource, context};
use atomwire_wire::limits;
use atomwire_wire::proto::GoAwayReason;
use atomwire_wire::relay::{
    Accepted, Event, Hello, Ledger, Limits, RejectedRange, Session, Update, Violation, go_away,
};
use bytes::Bytes;
use opentelemetry::trace::TraceFlags;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message as _;
use std::sync::Arc;
use tokio::time::Instant;

/// The largest `OtlpSpans`: what browsers allow a page in its last request. prost's structs may take a
/// hundred times as much for a hostile one.
const OTLP_BYTES: usize = 64 * 1024;

/// What a connection hears that another has succeeded.
pub(super) const REPLACED: &str = "a newer connection has taken this session";

/// Why a connection ends, with words for the client.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) reason: GoAwayReason,
    pub(super) message: String,
}

impl From<Violation> for Refusal {
    fn from(violation: Violation) -> Self {
        Self { reason: GoAwayReason::ProtocolError, message: violation.to_string() }
    }
}

impl Refusal {
    /// The `GoAway` that says so.
    pub(super) fn frame(&self) -> Bytes {
        go_away(self.reason, 0, 0, &self.message)
    }
}

/// A session that was claimed by a `Hello`. It must be opened: nobody else gives it back.
pub(super) struct Claimed {
    session: Session,
    claim: Claim,
    ledger: Ledger,
    hello: Hello,
    protocol: &'static str,
}

/// A session whose frames are taken in.
pub(super) struct Intake {
    relay: Arc<Relay>,
    session: Session,
    pub(super) claim: Claim,
    origin: Origin,
    /// `network.protocol.name` of the SERVER span.
    protocol: &'static str,
    /// Where the session starts on this relay's books, once it says anything there.
    start: Option<u64>,
    reports: Reports,
    /// Every number below was taken in.
    end: u64,
    ended: bool,
}

impl Claimed {
    /// Takes the first frame, which must be a `Hello`. It claims as the last thing that it does, so that it
    /// may be cancelled.
    pub(super) async fn new(relay: &Relay, frame: &Bytes, arrival: Arrival) -> Result<Self, Refusal> {
        let mut session = Session::new(Limits::default());
        let Event::Hello(hello) = session.receive(frame, clock::now_us())? else {
            return Err(Violation::Order("the first frame must be hello").into());
        };
        if !relay.admits(&hello.token) {
            let message = "hello.token is not the one that this relay asks for".to_owned();
            return Err(Refusal { reason: GoAwayReason::Unauthorized, message });
        }
        let claimed = relay.sessions.claim(&hello, arrival).await;
        let (claim, ledger) = claimed
            .map_err(|Replaced| Refusal { reason: GoAwayReason::Replaced, message: REPLACED.to_owned() })?;
        let protocol = match arrival {
            Arrival::Socket(_) => "websocket",
            Arrival::Request => "http",
        };
        Ok(Self { session, claim, ledger, hello, protocol })
    }

    /// Begins to take the session's frames in; the answer is the `Welcome` to send, too.
    pub(super) fn open(mut self, relay: Arc<Relay>) -> (Intake, Bytes) {
        let origin = Origin {
            session: message::hex(&self.claim.id).into(),
            resource: Resource::of_page(&self.hello.resource),
        };
        let reports = Reports::new(self.claim.paid_until);
        let (start, end) = (self.claim.starts_at, self.ledger.accepted());
        // Only now: the answer says when it was sent.
        let welcome = self.session.attach(self.ledger, clock::now_us(), limits::CREDIT);
        let (session, claim, protocol) = (self.session, self.claim, self.protocol);
        (Intake { relay, session, claim, origin, protocol, start, reports, end, ended: false }, welcome)
    }
}

impl Intake {
    /// Takes any later frame; the answer is what to send at once.
    pub(super) fn receive(&mut self, frame: &Bytes) -> Result<Option<Bytes>, Refusal> {
        let now = clock::now_us();
        match self.session.receive(frame, now)? {
            Event::Batch(accepted) => self.publish(accepted, now),
            Event::Spans(request) => self.pass_on(&request)?,
            Event::Reply(frame) => return Ok(Some(frame)),
            Event::Bye(_) => self.ended = true,
            // The session takes only one hello.
            Event::Hello(_) => {}
        }
        Ok(None)
    }

    /// Whether the client said goodbye.
    pub(super) fn ended(&self) -> bool {
        self.ended
    }

    /// The `Ack` for what was published since the last one, if anything was.
    pub(super) fn ack(&mut self) -> Option<Bytes> {
        self.session.ack(clock::now_us(), limits::CREDIT)
    }

    /// When [`Intake::report`] is to be called; none while there is nothing to report.
    pub(super) fn report_at(&self) -> Option<Instant> {
        self.reports.first().map(|_| self.reports.due())
    }

    /// Tells the bus of all losses that it was not told of yet.
    pub(super) fn report(&mut self) {
        let notes = self.notes();
        self.relay.bus.publish(&notes, Vec::new());
        self.session.settled(self.end);
    }

    /// Settles everything taken in, and gives the `Ack` for it.
    pub(super) fn drain(&mut self) -> Option<Bytes> {
        if self.report_at().is_some() {
            self.report();
        }
        self.ack()
    }

    /// Gives the session back.
    pub(super) fn close(mut self) {
        self.drain();
        self.claim.paid_until = self.reports.paid_until();
        if let Some(ledger) = self.session.detach() {
            if self.ended || !self.claim.is_silent(&ledger) {
                let start = self.start();
                self.relay.bus.publish(&start.into_iter().collect::<Vec<_>>(), Vec::new());
            }
            let ended = self.relay.sessions.release(&self.claim, ledger, self.ended);
            self.relay.announce(&ended);
        }
    }

    fn publish(&mut self, accepted: Accepted, now: u64) {
        let metrics = &self.relay.metrics;
        let rejected: u64 = accepted.rejected.iter().map(RejectedRange::updates).sum();
        metrics.received.inc_by(accepted.updates.len() as u64 + rejected + accepted.duplicates);
        metrics.duplicates.inc_by(accepted.duplicates);
        let lost = Losses::of_browser(&accepted.lost);
        metrics.count_lost_by_clients(&lost);
        let refused = Losses::of_relay(&accepted.rejected);
        metrics.count_refused(&refused);
        let at = Instant::now();
        self.reports.add(lost, at);
        self.reports.add(refused, at);
        let new = accepted.end > self.end;
        self.end = accepted.end;
        let start = if new { self.start() } else { None };
        let mut notes: Vec<_> = start.into_iter().collect();
        if self.reports.due() <= at {
            notes.extend(self.notes());
        }
        let clock_error = accepted.clock_error;
        let messages = accepted.updates.into_iter().map(|it| self.message(it, now, clock_error)).collect();
        self.relay.bus.publish(&notes, messages);
        // What was not told yet is not settled.
        let settled = self.reports.first().map_or(self.end, |first| first.min(self.end));
        self.session.settled(settled);
    }

    /// What the bus is to be told of the session's start, once.
    fn start(&mut self) -> Option<Vec<u8>> {
        self.start.take().map(|next_seq| message::start(&self.origin.session, next_seq, &self.relay.id))
    }

    /// Makes the spans of what was lost and not told; the answer is what to tell the bus.
    fn notes(&mut self) -> Vec<Vec<u8>> {
        let Origin { session, resource } = &self.origin;
        let note = |losses: Losses| {
            self.relay.spans.lost(session, resource, &losses, clock::now_us());
            message::lost(session, &losses, &self.relay.id)
        };
        self.reports.take(Instant::now()).into_iter().map(note).collect()
    }

    fn message(&self, update: Update, received_us: u64, clock_error_us: u64) -> Message {
        let spans = &self.relay.spans;
        // A parent in the same session says nothing about sampling, and its trace id is as random as ours.
        let explicit = update.parent.as_ref().filter(|parent| !parent.local);
        let explicit = explicit.map(|parent| TraceFlags::new(parent.flags));
        let sampled = spans.sample(update.trace_id, explicit);
        let flags = flags(explicit.unwrap_or(context::RANDOM), sampled);
        let tracestate = update.parent.as_ref().map_or("", |parent| &parent.tracestate);
        let tracestate = context::parse_state(tracestate);
        let (server_span_id, producer_span_id) = (span_id(), span_id());
        let payload = Payload {
            key: &update.key,
            value: update.value.as_ref(),
            omitted: update.omitted,
            trace_id: update.trace_id,
            span_id: producer_span_id,
            flags,
            tracestate: &tracestate,
            session: &self.origin.session,
            seq: update.seq,
            time_us: update.start,
            error: update.error.as_ref().map(|(kind, _)| kind.as_str()),
            relay_id: &self.relay.id,
        };
        let payload = payload.write();
        let (seq, key) = (update.seq, Arc::clone(&update.key));
        let record = (sampled && spans.enabled()).then(|| {
            let browser = BrowserSpan {
                resource: self.origin.resource.clone(),
                span_id: update.span_id,
                parent_span_id: update.parent.as_ref().map(|parent| parent.span_id),
                start_us: update.start,
                duration_us: update.duration,
                clock_error_us,
                error: update.error,
                attributes: update.attributes,
                omitted: update.omitted,
                // Copied: a slice would keep the whole frame.
                value: update.value.filter(|_| self.relay.dev).map(|value| Bytes::copy_from_slice(&value)),
            };
            Box::new(Record {
                trace_id: update.trace_id,
                flags,
                tracestate,
                key: update.key,
                session: Arc::clone(&self.origin.session),
                seq,
                protocol: self.protocol,
                browser: Some(browser),
                parent_span_id: Some(update.span_id),
                server_span_id,
                producer_span_id,
                received_us,
                topic: Arc::clone(&self.origin.session),
                relay_seq: 0,
                sending_us: 0,
                published_us: 0,
            })
        });
        Message { key, payload, record }
    }

    fn pass_on(&self, request: &Bytes) -> Result<(), Refusal> {
        if request.len() > OTLP_BYTES {
            let (field, limit, got) = ("otlp_spans", OTLP_BYTES as u64, request.len() as u64);
            return Err(Violation::Limit { field, limit, got }.into());
        }
        let Ok(decoded) = ExportTraceServiceRequest::decode(request.clone()) else {
            return Err(Violation::Schema("otlp_spans is not an ExportTraceServiceRequest".into()).into());
        };
        self.relay.spans.pass_on(decoded);
        Ok(())
    }
}

//! What the relay does with a session's frames, whatever brought them.

use super::ingest::Ingest;
use super::reports::Reports;
use crate::bus::Flow;
use crate::clock;
use crate::losses::Losses;
use crate::relay::Relay;
use crate::sessions::{Arrival, Claim, Replaced};
use atomwire_wire::limits;
use atomwire_wire::proto::GoAwayReason;
use atomwire_wire::relay::{Accepted, Event, Limits, RejectedRange, Session, Violation, go_away};
use bytes::Bytes;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message as _;
use std::sync::Arc;
use tokio::sync::watch;
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

/// A session whose frames are taken in. Dropped, it says its last on the bus and gives the session back.
pub(super) struct Intake {
    pub(super) claim: Claim,
    ingest: Ingest,
    reports: Reports,
    flow: watch::Receiver<Flow>,
    /// It has less credit than there may be.
    is_short: bool,
}

impl Intake {
    /// Takes the first frame, which must be a `Hello`, and the session that it names; the answer is the `Welcome` to
    /// send, too.
    pub(super) async fn open(
        relay: Arc<Relay>,
        frame: &Bytes,
        arrival: Arrival,
    ) -> Result<(Self, Bytes), Refusal> {
        let mut session = Session::new(Limits::default());
        let Event::Hello(hello) = session.receive(frame, clock::now_us())? else {
            return Err(Violation::Order("the first frame must be hello").into());
        };
        if !relay.admits(&hello.token) {
            let message = "hello.token is not the one that this relay asks for".to_owned();
            return Err(Refusal { reason: GoAwayReason::Unauthorized, message });
        }
        let protocol = arrival.protocol();
        let flow = relay.bus.flow();
        let claimed = relay.sessions.claim(session, &hello, arrival, || *flow.borrow()).await;
        let (claim, welcome) = claimed
            .map_err(|Replaced| Refusal { reason: GoAwayReason::Replaced, message: REPLACED.to_owned() })?;
        let ingest = Ingest::new(relay, &claim.id, &hello.resource, protocol);
        let reports = Reports::new(claim.paid_until);
        let is_short = flow.borrow().credit() < limits::CREDIT;
        Ok((Self { claim, ingest, reports, flow, is_short }, welcome))
    }

    /// The relay that takes the frames in.
    pub(super) fn relay(&self) -> &Relay {
        &self.ingest.relay
    }

    /// Takes any later frame in; the answer is what to send.
    pub(super) fn receive(&mut self, frame: &Bytes) -> Result<Option<Bytes>, Refusal> {
        let now = clock::now_us();
        match self.claim.session.receive(frame, now)? {
            Event::Batch(accepted) => self.take_in(accepted, now),
            Event::Spans(request) => self.pass_on(&request)?,
            Event::Reply(frame) => return Ok(Some(frame)),
            Event::Bye(_) => self.claim.over = true,
            // The session takes only one hello.
            Event::Hello(_) => {}
        }
        Ok(None)
    }

    /// Publishes what was taken in, and of its losses as much as may be told by now.
    pub(super) fn publish(&mut self) {
        self.report_due(Instant::now());
        self.settle();
    }

    /// When [`Intake::publish`] has more to tell of losses; none while there is no more.
    pub(super) fn report_at(&self) -> Option<Instant> {
        self.reports.first().map(|_| self.reports.due())
    }

    /// Publishes everything taken in.
    pub(super) fn drain(&mut self) {
        self.report(Instant::now());
        self.settle();
    }

    /// The `Ack` for what was settled since the last one, or for more credit; none where there is neither.
    pub(super) fn ack(&mut self) -> Option<Bytes> {
        let credit = self.flow.borrow().credit();
        self.is_short = credit < limits::CREDIT;
        self.claim.session.ack(clock::now_us(), credit)
    }

    /// The last answer once more.
    pub(super) fn heartbeat(&self) -> Option<Bytes> {
        self.claim.session.heartbeat(clock::now_us())
    }

    /// Whether required consumers have a say in what is acknowledged next.
    pub(super) fn waits(&self) -> bool {
        self.is_short || !self.claim.unsettled.is_empty()
    }

    fn take_in(&mut self, accepted: Accepted, now: u64) {
        let metrics = &self.ingest.relay.metrics;
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
        if accepted.end > self.claim.end {
            self.start();
        }
        // At once: what is told first decides how the next ranges are merged.
        self.report_due(at);
        self.claim.end = accepted.end;
        for update in accepted.updates {
            self.ingest.add(update, now, accepted.clock_error);
        }
    }

    /// Has the bus told of the session's start, once.
    fn start(&mut self) {
        if let Some(next_seq) = self.claim.start.take() {
            self.ingest.start(next_seq);
        }
    }

    fn report_due(&mut self, now: Instant) {
        if self.reports.due() <= now {
            self.report(now);
        }
    }

    /// Has the bus told of all losses that it was not told of yet.
    fn report(&mut self, now: Instant) {
        for losses in self.reports.take(now) {
            self.ingest.lost(&losses);
        }
    }

    /// Publishes, and settles what may be: of what the bus has, everything below the first loss that it was not told of
    /// yet.
    fn settle(&mut self) {
        if let Some(position) = self.ingest.publish() {
            let told = self.reports.first().map_or(self.claim.end, |first| first.min(self.claim.end));
            self.claim.unsettled.add(position, told);
        }
        if let Some(end) = self.claim.unsettled.settle(self.flow.borrow().settled) {
            self.claim.session.settled(end);
        }
    }

    fn pass_on(&self, request: &Bytes) -> Result<(), Refusal> {
        if request.len() > OTLP_BYTES {
            let (field, limit, got) = ("otlp_spans", OTLP_BYTES as u64, request.len() as u64);
            return Err(Violation::Limit { field, limit, got }.into());
        }
        let Ok(decoded) = ExportTraceServiceRequest::decode(request.clone()) else {
            return Err(Violation::Schema("otlp_spans is not an ExportTraceServiceRequest".into()).into());
        };
        self.ingest.relay.spans.pass_on(decoded);
        Ok(())
    }
}

impl Drop for Intake {
    fn drop(&mut self) {
        self.drain();
        self.claim.paid_until = self.reports.paid_until();
        if self.claim.over || !self.claim.is_silent() {
            self.start();
            self.ingest.publish();
        }
    }
}

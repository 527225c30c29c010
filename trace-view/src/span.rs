//! One OTLP span checked and packed: the few fields that lists and trees need, the rest as JSON text.

use std::mem::size_of;
use std::sync::Arc;

use opentelemetry_proto::tonic::common::v1::InstrumentationScope;
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1 as otlp;
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

use crate::attributes::{Attributes, Cutter, prefix, string_attribute};
use crate::id::{IdError, SessionId, SpanId, TraceId};
use crate::limits::Limits;
use crate::loss::Loss;

/// The attribute that carries the Jotai atom's key.
const ATOM_KEY: &str = "atomwire.key";

/// The attribute that carries the emitter's session.
const SESSION_ID: &str = "atomwire.session.id";

/// The name that OpenTelemetry's resource conventions give a service without one.
const UNKNOWN_SERVICE: &str = "unknown_service";

/// What an allocation costs beside its bytes: the allocator's header and rounding.
const ALLOCATION_BYTES: usize = 16;

/// A span as it is kept.
pub(crate) struct Span {
    pub(crate) id: SpanId,
    pub(crate) parent: Option<SpanId>,
    pub(crate) name: Box<str>,
    pub(crate) kind: &'static str,
    pub(crate) start: u64,
    pub(crate) end: u64,
    pub(crate) status: &'static str,
    /// The atom's key, where the span names one.
    pub(crate) key: Option<Box<str>>,
    /// The emitter's session, where the span names one.
    pub(crate) session: Option<SessionId>,
    /// What the session lost, where the span says that it did.
    pub(crate) loss: Option<Loss>,
    /// Attributes, events, links, …: nobody but the page looks inside.
    pub(crate) detail: Box<RawValue>,
}

/// Where spans come from: resource and instrumentation scope, shared by the spans of a request.
pub(crate) struct Source {
    pub(crate) service: Box<str>,
    pub(crate) json: Box<RawValue>,
}

/// Why a span was refused.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SpanError {
    #[error("{field} {error}")]
    Id { field: &'static str, error: IdError },
    #[error("start_time_unix_nano must be set")]
    NoStart,
    #[error("the span takes {bytes} bytes, more than max_span_bytes = {limit}")]
    TooHeavy { bytes: usize, limit: usize },
    #[error("its trace has max_spans_per_trace = {limit} spans already")]
    TraceFull { limit: usize },
    #[error("its trace would take more than max_bytes = {limit}")]
    StoreFull { limit: usize },
}

impl Span {
    /// Checks and packs; also returns how many strings had to be cut.
    pub(crate) fn pack(span: &otlp::Span, limits: &Limits) -> Result<(TraceId, Self, u64), SpanError> {
        let trace_id = TraceId::try_from(span.trace_id.as_slice()).map_err(in_field("trace_id"))?;
        let id = SpanId::try_from(span.span_id.as_slice()).map_err(in_field("span_id"))?;
        let parent = parent_id(&span.parent_span_id)?;
        if span.start_time_unix_nano == 0 {
            return Err(SpanError::NoStart);
        }
        let cutter = Cutter::new(limits.max_string_bytes);
        let name = cutter.cut(&span.name).into();
        let key = string_attribute(&span.attributes, ATOM_KEY)
            .map(|key| prefix(key, limits.max_string_bytes).into());
        let session = string_attribute(&span.attributes, SESSION_ID).and_then(|id| id.parse().ok());
        let packed = Self {
            id,
            parent,
            name,
            kind: kind_name(span.kind()),
            start: span.start_time_unix_nano,
            end: span.end_time_unix_nano,
            status: status_name(span.status.as_ref()),
            key,
            session,
            // A loss without its session is nobody's.
            loss: session.and_then(|_| Loss::of(&span.attributes)),
            detail: to_json(&DetailView::new(span, &cutter)),
        };
        let bytes = packed.weight();
        if bytes > limits.max_span_bytes {
            return Err(SpanError::TooHeavy { bytes, limit: limits.max_span_bytes });
        }
        Ok((trace_id, packed, cutter.cuts()))
    }

    /// Bytes of memory that this span is estimated to take, its place in a trace's map included.
    pub(crate) fn weight(&self) -> usize {
        // A hash map holds up to twice the slots that it needs.
        const SLOTS: usize = 2 * size_of::<(SpanId, usize, Arc<Span>)>();
        const SELF: usize = size_of::<Span>() + size_of::<[usize; 2]>() + 6 * ALLOCATION_BYTES;
        let key = self.key.as_ref().map_or(0, |key| key.len());
        let loss = self.loss.as_ref().map_or(0, Loss::weight);
        SLOTS + SELF + self.name.len() + key + loss + self.detail.get().len()
    }
}

impl Source {
    pub(crate) fn pack(
        resource: Option<&Resource>,
        scope: Option<&InstrumentationScope>,
        limits: &Limits,
    ) -> Self {
        let cutter = Cutter::new(limits.max_string_bytes);
        let attributes = resource.map_or(&[][..], |resource| &resource.attributes);
        let service = string_attribute(attributes, "service.name").filter(|name| !name.is_empty());
        let service = cutter.cut(service.unwrap_or(UNKNOWN_SERVICE));
        let scope = ScopeView {
            name: scope.map_or("", |scope| cutter.cut(&scope.name)),
            version: scope.map_or("", |scope| cutter.cut(&scope.version)),
            attributes: Attributes(scope.map_or(&[], |scope| &scope.attributes), &cutter),
        };
        let resource = Attributes(attributes, &cutter);
        Self { service: service.into(), json: to_json(&SourceView { service, resource, scope }) }
    }

    pub(crate) fn weight(&self) -> usize {
        size_of::<Self>() + 5 * ALLOCATION_BYTES + self.service.len() + self.json.get().len()
    }
}

impl PartialEq for Source {
    fn eq(&self, other: &Self) -> bool {
        self.json.get() == other.json.get()
    }
}

/// Nanoseconds go as strings: they pass 2^53, where JavaScript's numbers stop being exact.
pub(crate) struct Nanos(pub(crate) u64);

impl Serialize for Nanos {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

fn in_field(field: &'static str) -> impl Fn(IdError) -> SpanError {
    move |error| SpanError::Id { field, error }
}

/// Empty says root; some senders write zeros instead.
fn parent_id(bytes: &[u8]) -> Result<Option<SpanId>, SpanError> {
    if bytes.is_empty() {
        return Ok(None);
    }
    match SpanId::try_from(bytes) {
        Ok(id) => Ok(Some(id)),
        Err(IdError::Zero) => Ok(None),
        Err(error) => Err(in_field("parent_span_id")(error)),
    }
}

fn kind_name(kind: otlp::span::SpanKind) -> &'static str {
    use otlp::span::SpanKind;
    match kind {
        SpanKind::Unspecified => "unspecified",
        SpanKind::Internal => "internal",
        SpanKind::Server => "server",
        SpanKind::Client => "client",
        SpanKind::Producer => "producer",
        SpanKind::Consumer => "consumer",
    }
}

fn status_name(status: Option<&otlp::Status>) -> &'static str {
    use otlp::status::StatusCode;
    match status.map_or(StatusCode::Unset, otlp::Status::code) {
        StatusCode::Unset => "unset",
        StatusCode::Ok => "ok",
        StatusCode::Error => "error",
    }
}

/// Writes JSON that cannot fail: the views below have string keys and no fallible parts.
fn to_json(view: &impl Serialize) -> Box<RawValue> {
    serde_json::value::to_raw_value(view).expect("views serialise without errors")
}

#[derive(Serialize)]
struct SourceView<'a> {
    service: &'a str,
    resource: Attributes<'a>,
    scope: ScopeView<'a>,
}

#[derive(Serialize)]
struct ScopeView<'a> {
    name: &'a str,
    version: &'a str,
    attributes: Attributes<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct DetailView<'a> {
    status_message: &'a str,
    trace_state: &'a str,
    flags: u32,
    attributes: Attributes<'a>,
    events: Vec<EventView<'a>>,
    links: Vec<LinkView<'a>>,
    dropped_attributes: u32,
    dropped_events: u32,
    dropped_links: u32,
    /// Stands last, so that all other fields have been written and cut when it is read.
    cut_strings: Cuts<'a>,
}

impl<'a> DetailView<'a> {
    fn new(span: &'a otlp::Span, cutter: &'a Cutter) -> Self {
        Self {
            status_message: span.status.as_ref().map_or("", |status| cutter.cut(&status.message)),
            trace_state: cutter.cut(&span.trace_state),
            flags: span.flags,
            attributes: Attributes(&span.attributes, cutter),
            events: span.events.iter().map(|event| EventView::new(event, cutter)).collect(),
            links: span.links.iter().map(|link| LinkView::new(link, cutter)).collect(),
            dropped_attributes: span.dropped_attributes_count,
            dropped_events: span.dropped_events_count,
            dropped_links: span.dropped_links_count,
            cut_strings: Cuts(cutter),
        }
    }
}

#[derive(Serialize)]
struct EventView<'a> {
    time: Nanos,
    name: &'a str,
    attributes: Attributes<'a>,
}

impl<'a> EventView<'a> {
    fn new(event: &'a otlp::span::Event, cutter: &'a Cutter) -> Self {
        let attributes = Attributes(&event.attributes, cutter);
        Self { time: Nanos(event.time_unix_nano), name: cutter.cut(&event.name), attributes }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct LinkView<'a> {
    /// `null` where the id is not a valid one: a bad link is no reason to refuse its span.
    trace_id: Option<TraceId>,
    span_id: Option<SpanId>,
    attributes: Attributes<'a>,
}

impl<'a> LinkView<'a> {
    fn new(link: &'a otlp::span::Link, cutter: &'a Cutter) -> Self {
        Self {
            trace_id: link.trace_id.as_slice().try_into().ok(),
            span_id: link.span_id.as_slice().try_into().ok(),
            attributes: Attributes(&link.attributes, cutter),
        }
    }
}

struct Cuts<'a>(&'a Cutter);

impl Serialize for Cuts<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(self.0.cuts())
    }
}

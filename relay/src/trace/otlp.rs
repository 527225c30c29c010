//! Records become OTLP spans: "Shape of a trace" in ARCHITECTURE.md. Attribute names are those of the
//! OpenTelemetry semantic conventions v1.44; `atomwire.*` are the project's own.

use super::{BrowserSpan, Item, Lost, Record, context};
use crate::losses::Range;
use atomwire_wire::Omitted;
use opentelemetry::trace::TraceFlags;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};
use prost::Message as _;
use std::sync::Arc;

const SCHEMA_URL: &str = "https://opentelemetry.io/schemas/1.44.0";

/// Bits 8 and 9 of a span's flags: whether its parent is known to be remote, and whether it is.
const PARENT_IS_LOCAL: u32 = 0x100;
const PARENT_IS_REMOTE: u32 = 0x300;

/// Makes requests of what has been collected.
#[derive(Debug)]
pub(super) struct Encoder {
    resource: Resource,
}

impl Encoder {
    pub(super) fn new(resource: &[(String, String)]) -> Self {
        Self { resource: resource_of(resource) }
    }

    /// All spans of `items`, grouped by resource, and how many they are.
    pub(super) fn encode(&self, items: Vec<Item>) -> (ExportTraceServiceRequest, u64) {
        let mut relay = Vec::new();
        let mut browsers = Vec::new();
        let mut resource_spans = Vec::new();
        for item in items {
            match item {
                Item::Foreign(request) => {
                    // It was decoded once when it came, so it can be decoded.
                    let request = ExportTraceServiceRequest::decode(request).unwrap_or_default();
                    resource_spans.extend(request.resource_spans);
                }
                Item::Lost(lost) => {
                    let spans = of(&lost.resource, &mut browsers);
                    spans.extend(lost.losses.ranges.iter().map(|range| lost_span(&lost, range)));
                }
                Item::Records(records, _) => {
                    for record in records {
                        if let Some(browser) = &record.browser {
                            of(&browser.resource, &mut browsers).push(browser_span(&record, browser));
                        }
                        relay.push(server_span(&record));
                        relay.push(producer_span(&record));
                    }
                }
            }
        }
        for (resource, spans) in browsers {
            resource_spans.push(spans_of(resource_of(&resource), "atomwire", spans));
        }
        if !relay.is_empty() {
            resource_spans.push(spans_of(self.resource.clone(), "atomwire-relay", relay));
        }
        let count =
            resource_spans.iter().flat_map(|it| &it.scope_spans).map(|it| it.spans.len() as u64).sum();
        (ExportTraceServiceRequest { resource_spans }, count)
    }
}

/// The spans of one browser.
fn of<'a>(
    resource: &super::Resource,
    browsers: &'a mut Vec<(super::Resource, Vec<Span>)>,
) -> &'a mut Vec<Span> {
    let at = browsers.iter().rposition(|(it, _)| Arc::ptr_eq(it, resource)).unwrap_or_else(|| {
        browsers.push((Arc::clone(resource), Vec::new()));
        browsers.len() - 1
    });
    &mut browsers[at].1
}

/// A trace of its own: nobody knows any more which traces the updates were to be part of.
fn lost_span(lost: &Lost, range: &Range) -> Span {
    let at = lost.reported_us * 1000;
    Span {
        name: "Jotai State Updates lost".to_owned(),
        kind: SpanKind::Internal.into(),
        // W3C forbids zero.
        trace_id: fastrand::u128(1..).to_be_bytes().to_vec(),
        span_id: fastrand::u64(1..).to_be_bytes().to_vec(),
        flags: u32::from((TraceFlags::SAMPLED | context::RANDOM).to_u8()) | PARENT_IS_LOCAL,
        start_time_unix_nano: at,
        end_time_unix_nano: at,
        attributes: vec![
            text("atomwire.session.id", &lost.session),
            int("atomwire.lost.first", range.first),
            int("atomwire.lost.last", range.last),
            text("atomwire.lost.reason", range.reason),
            text("atomwire.lost.place", lost.losses.place),
            text("error.type", range.reason),
        ],
        status: Some(Status { code: StatusCode::Error.into(), message: range.reason.to_owned() }),
        ..Span::default()
    }
}

fn browser_span(record: &Record, browser: &BrowserSpan) -> Span {
    let mut attributes = vec![
        text("atomwire.key", &record.key),
        text("atomwire.session.id", &record.session),
        int("atomwire.seq", record.seq),
    ];
    if let Some(value) = &browser.value {
        attributes.push(text("atomwire.value", &String::from_utf8_lossy(value)));
    }
    if let Some(omitted) = browser.omitted {
        let omitted = match omitted {
            Omitted::Value => "not_serializable",
            Omitted::Parts => "parts",
        };
        attributes.push(text("atomwire.value.omitted", omitted));
    }
    attributes.extend(browser.attributes.iter().map(|(key, value)| text(key, value)));
    let mut status = None;
    if let Some((kind, message)) = &browser.error {
        attributes.push(text("error.type", kind));
        status = Some(Status { code: StatusCode::Error.into(), message: message.clone() });
    }
    let start = browser.start_us.saturating_mul(1000);
    Span {
        name: format!("Jotai State Update: {}", record.key),
        kind: SpanKind::Client.into(),
        parent_span_id: browser.parent_span_id.map(|id| id.to_vec()).unwrap_or_default(),
        flags: u32::from(record.flags.to_u8()) | PARENT_IS_LOCAL,
        start_time_unix_nano: start,
        end_time_unix_nano: start.saturating_add(browser.duration_us.saturating_mul(1000)),
        attributes,
        status,
        ..span(record, browser.span_id)
    }
}

fn server_span(record: &Record) -> Span {
    let mut attributes = vec![
        text("network.protocol.name", "websocket"),
        text("atomwire.key", &record.key),
        text("atomwire.session.id", &record.session),
        int("atomwire.seq", record.seq),
    ];
    if let Some(browser) = &record.browser {
        // How long the update waited for its batch and travelled, and how far off that may be.
        let written = browser.start_us.saturating_add(browser.duration_us);
        attributes.push(int("atomwire.transit_us", record.received_us.saturating_sub(written)));
        // Before the first exchange of times the error is not known.
        if browser.clock_error_us != u64::MAX {
            attributes.push(int("atomwire.clock_error_us", browser.clock_error_us));
        }
    }
    Span {
        name: "relay receive".to_owned(),
        kind: SpanKind::Server.into(),
        parent_span_id: record.parent_span_id.map(|id| id.to_vec()).unwrap_or_default(),
        flags: u32::from(record.flags.to_u8()) | PARENT_IS_REMOTE,
        start_time_unix_nano: record.received_us * 1000,
        end_time_unix_nano: record.published_us * 1000,
        attributes,
        ..span(record, record.server_span_id)
    }
}

fn producer_span(record: &Record) -> Span {
    Span {
        name: format!("send {}", record.topic),
        kind: SpanKind::Producer.into(),
        parent_span_id: record.server_span_id.to_vec(),
        flags: u32::from(record.flags.to_u8()) | PARENT_IS_LOCAL,
        start_time_unix_nano: record.sending_us * 1000,
        end_time_unix_nano: record.published_us * 1000,
        attributes: vec![
            text("messaging.system", "zeromq"),
            text("messaging.destination.name", &record.topic),
            text("messaging.operation.name", "send"),
            text("messaging.operation.type", "send"),
            int("atomwire.relay.seq", record.relay_seq),
        ],
        ..span(record, record.producer_span_id)
    }
}

fn span(record: &Record, span_id: [u8; 8]) -> Span {
    Span {
        trace_id: record.trace_id.to_vec(),
        span_id: span_id.to_vec(),
        trace_state: record.tracestate.clone(),
        ..Span::default()
    }
}

fn spans_of(resource: Resource, scope: &str, spans: Vec<Span>) -> ResourceSpans {
    let version = env!("CARGO_PKG_VERSION").to_owned();
    let scope = InstrumentationScope { name: scope.to_owned(), version, ..InstrumentationScope::default() };
    ResourceSpans {
        resource: Some(resource),
        scope_spans: vec![ScopeSpans { scope: Some(scope), spans, schema_url: SCHEMA_URL.to_owned() }],
        schema_url: SCHEMA_URL.to_owned(),
    }
}

fn resource_of(attributes: &[(String, String)]) -> Resource {
    let attributes = attributes.iter().map(|(key, value)| text(key, value)).collect();
    Resource { attributes, ..Resource::default() }
}

fn text(key: &str, value: &str) -> KeyValue {
    attribute(key, Value::StringValue(value.to_owned()))
}

fn int(key: &str, value: u64) -> KeyValue {
    attribute(key, Value::IntValue(i64::try_from(value).unwrap_or(i64::MAX)))
}

fn attribute(key: &str, value: Value) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}

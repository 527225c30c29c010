//! Records become OTLP spans, as bytes: "Shape of a trace" in ARCHITECTURE.md. Attribute names are those of the
//! OpenTelemetry semantic conventions v1.45; `atomwire.*` are the project's own.

use super::protobuf::{field_len, fixed64, len, put, put_fixed64, put_head, put_message, put_varint, varint};
use super::{BrowserSpan, Instance, Record, context};
use crate::config::Endpoint;
use crate::losses::{Losses, Range};
use atomwire_wire::Omitted;
use opentelemetry::trace::TraceFlags;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use prost::encoding::{encode_varint, encoded_len_varint};
use std::io::Write as _;

/// Field `spans` of `ScopeSpans`.
const SPANS: u8 = len(2);

/// Fields of `Span`.
const TRACE_ID: u8 = len(1);
const SPAN_ID: u8 = len(2);
const TRACE_STATE: u8 = len(3);
const PARENT_SPAN_ID: u8 = len(4);
const NAME: u8 = len(5);
const KIND: u8 = varint(6);
const START_TIME_UNIX_NANO: u8 = fixed64(7);
const END_TIME_UNIX_NANO: u8 = fixed64(8);
const ATTRIBUTES: u8 = len(9);
const STATUS: u8 = len(15);
/// Number 16, four bytes.
const FLAGS: [u8; 2] = [0x85, 0x01];

/// Fields of `Status`.
const MESSAGE: u8 = len(2);
const CODE: u8 = varint(3);

/// Fields of `KeyValue`.
const KEY: u8 = len(1);
const VALUE: u8 = len(2);

/// Fields of `AnyValue`.
const STRING_VALUE: u8 = len(1);
const INT_VALUE: u8 = varint(3);

/// Bits 8 and 9 of a span's flags: whether its parent is known to be remote, and whether it is.
const PARENT_IS_LOCAL: u32 = 0x100;
const PARENT_IS_REMOTE: u32 = 0x300;

/// What is the same in all of the relay's spans: name, kind and attributes.
#[derive(Debug)]
pub(super) struct Templates {
    server: Vec<u8>,
    producer: Vec<u8>,
}

/// What every span has.
struct Head<'a> {
    trace_id: [u8; 16],
    span_id: [u8; 8],
    parent_span_id: Option<[u8; 8]>,
    tracestate: &'a str,
    flags: u32,
    start_us: u64,
    end_us: u64,
}

impl Templates {
    pub(super) fn new(instance: &Instance<'_>) -> Self {
        let mut server = Vec::new();
        put_name(&mut server, "relay receive", SpanKind::Server);
        put_server(&mut server, &instance.listen.ip().to_string(), Some(instance.listen.port()));
        // "Span name" in the messaging conventions: with the template, where there is one.
        let template = instance.topic.of("{key}");
        let mut producer = Vec::new();
        put_name(&mut producer, &format!("send {template}"), SpanKind::Producer);
        text(&mut producer, "messaging.system.name", "zeromq");
        text(&mut producer, "messaging.operation.name", "send");
        text(&mut producer, "messaging.operation.type", "send");
        if !instance.topic.is_fixed() {
            text(&mut producer, "messaging.destination.template", &template);
        }
        if let Endpoint::Tcp { host, port } = instance.bus {
            put_server(&mut producer, host.as_deref().unwrap_or("*"), Some(*port));
        }
        Self { server, producer }
    }

    /// Appends the relay's own two spans.
    pub(super) fn put_relay_spans(&self, out: &mut Vec<u8>, record: &Record) {
        self.put_server_span(out, record);
        self.put_producer_span(out, record);
    }

    fn put_server_span(&self, out: &mut Vec<u8>, record: &Record) {
        let head = Head {
            parent_span_id: record.parent_span_id,
            flags: u32::from(record.flags.to_u8()) | PARENT_IS_REMOTE,
            ..Head::of(record, record.server_span_id, record.received_us, record.published_us)
        };
        put_span(out, &head, |out| {
            out.extend_from_slice(&self.server);
            text(out, "network.protocol.name", record.protocol);
            put_update(out, record);
            if let Some(browser) = &record.browser {
                // How long the update waited for its batch and travelled, and how far off that may be.
                int(out, "atomwire.transit_us", record.received_us - browser.end_us(record));
                // Before the first exchange of times the error is not known.
                if browser.clock_error_us != u64::MAX {
                    int(out, "atomwire.clock_error_us", browser.clock_error_us);
                }
            }
        });
    }

    fn put_producer_span(&self, out: &mut Vec<u8>, record: &Record) {
        let head = Head {
            parent_span_id: Some(record.server_span_id),
            ..Head::of(record, record.producer_span_id, record.sending_us, record.published_us)
        };
        put_span(out, &head, |out| {
            out.extend_from_slice(&self.producer);
            text(out, "messaging.destination.name", &record.topic);
            put_message_id(out, record);
            int(out, "atomwire.relay.seq", record.relay_seq);
        });
    }
}

impl<'a> Head<'a> {
    /// Of a span whose parent, if it has one, is of the same process.
    fn of(record: &'a Record, span_id: [u8; 8], start_us: u64, end_us: u64) -> Self {
        Self {
            trace_id: record.trace_id,
            span_id,
            parent_span_id: None,
            tracestate: &record.tracestate,
            flags: u32::from(record.flags.to_u8()) | PARENT_IS_LOCAL,
            start_us,
            end_us,
        }
    }
}

impl BrowserSpan {
    /// A write was over before it arrived, whatever its client says.
    fn end_us(&self, record: &Record) -> u64 {
        self.start_us.saturating_add(self.duration_us).min(record.received_us)
    }

    /// Appends the span.
    pub(super) fn put(&self, out: &mut Vec<u8>, record: &Record) {
        let end_us = self.end_us(record);
        let head = Head {
            parent_span_id: self.parent_span_id,
            ..Head::of(record, self.span_id, self.start_us.min(end_us), end_us)
        };
        put_span(out, &head, |out| {
            put_head(out, NAME, "Jotai State Update: ".len() + record.key.len());
            out.extend_from_slice(b"Jotai State Update: ");
            out.extend_from_slice(record.key.as_bytes());
            put_varint(out, KIND, SpanKind::Client as u64);
            put_update(out, record);
            if let Some(value) = &self.value {
                text(out, "atomwire.value", &String::from_utf8_lossy(value));
            }
            match self.omitted {
                Some(Omitted::Value) => text(out, "atomwire.value.omitted", "not_serializable"),
                Some(Omitted::Parts) => text(out, "atomwire.value.omitted", "parts"),
                None => {}
            }
            for (key, value) in &self.attributes {
                text(out, key, value);
            }
            if let Some((kind, message)) = &self.error {
                put_error(out, kind, message);
            }
        });
    }
}

/// Appends a trace of its own: nobody knows any more which traces the updates were to be part of.
pub(super) fn put_lost(out: &mut Vec<u8>, session: &str, losses: &Losses, range: &Range, reported_us: u64) {
    let head = Head {
        // W3C forbids zero.
        trace_id: fastrand::u128(1..).to_be_bytes(),
        span_id: fastrand::u64(1..).to_be_bytes(),
        parent_span_id: None,
        tracestate: "",
        flags: u32::from((TraceFlags::SAMPLED | context::RANDOM).to_u8()) | PARENT_IS_LOCAL,
        start_us: reported_us,
        end_us: reported_us,
    };
    put_span(out, &head, |out| {
        put_name(out, "Jotai State Updates lost", SpanKind::Internal);
        text(out, "atomwire.session.id", session);
        int(out, "atomwire.lost.first", range.first);
        int(out, "atomwire.lost.last", range.last);
        text(out, "atomwire.lost.reason", range.reason);
        text(out, "atomwire.lost.place", losses.place);
        put_error(out, range.reason, range.reason);
    });
}

/// Appends one attribute, as `tag`.
pub(super) fn put_text(out: &mut Vec<u8>, tag: u8, key: &str, value: &str) {
    put_attribute(out, tag, key, field_len(value.len()));
    put(out, STRING_VALUE, value.as_bytes());
}

fn text(out: &mut Vec<u8>, key: &str, value: &str) {
    put_text(out, ATTRIBUTES, key, value);
}

fn int(out: &mut Vec<u8>, key: &str, value: u64) {
    let value = value.min(i64::MAX as u64);
    put_attribute(out, ATTRIBUTES, key, 1 + encoded_len_varint(value));
    out.push(INT_VALUE);
    encode_varint(value, out);
}

/// Appends what stands before a value of `len` bytes.
fn put_attribute(out: &mut Vec<u8>, tag: u8, key: &str, len: usize) {
    put_head(out, tag, field_len(key.len()) + field_len(len));
    put(out, KEY, key.as_bytes());
    put_head(out, VALUE, len);
}

/// Appends a span, of which `write` writes name, kind, attributes and status.
fn put_span(out: &mut Vec<u8>, head: &Head<'_>, write: impl FnOnce(&mut Vec<u8>)) {
    put_message(out, SPANS, |out| {
        put(out, TRACE_ID, &head.trace_id);
        put(out, SPAN_ID, &head.span_id);
        if !head.tracestate.is_empty() {
            put(out, TRACE_STATE, head.tracestate.as_bytes());
        }
        if let Some(parent) = &head.parent_span_id {
            put(out, PARENT_SPAN_ID, parent);
        }
        out.extend_from_slice(&FLAGS);
        out.extend_from_slice(&head.flags.to_le_bytes());
        put_fixed64(out, START_TIME_UNIX_NANO, head.start_us * 1000);
        put_fixed64(out, END_TIME_UNIX_NANO, head.end_us * 1000);
        write(out);
    });
}

fn put_name(out: &mut Vec<u8>, name: &str, kind: SpanKind) {
    put(out, NAME, name.as_bytes());
    put_varint(out, KIND, kind as u64);
}

/// Where a server listens; all addresses at once are none that anybody could be told.
fn put_server(out: &mut Vec<u8>, address: &str, port: Option<u16>) {
    if !matches!(address, "*" | "0.0.0.0" | "::") {
        text(out, "server.address", address);
        if let Some(port) = port {
            int(out, "server.port", port.into());
        }
    }
}

fn put_update(out: &mut Vec<u8>, record: &Record) {
    text(out, "atomwire.key", &record.key);
    text(out, "atomwire.session.id", &record.session);
    int(out, "atomwire.seq", record.seq);
}

/// `{session}/{seq}`: what tells one update from all others.
fn put_message_id(out: &mut Vec<u8>, record: &Record) {
    let digits = record.seq.checked_ilog10().unwrap_or(0) as usize + 1;
    let len = record.session.len() + 1 + digits;
    put_attribute(out, ATTRIBUTES, "messaging.message.id", field_len(len));
    put_head(out, STRING_VALUE, len);
    // Writing into a Vec cannot fail.
    let _ = write!(out, "{}/{}", record.session, record.seq);
}

/// "Recording errors on spans" in the semantic conventions.
fn put_error(out: &mut Vec<u8>, kind: &str, message: &str) {
    text(out, "error.type", kind);
    put_message(out, STATUS, |out| {
        put(out, MESSAGE, message.as_bytes());
        put_varint(out, CODE, StatusCode::Error as u64);
    });
}

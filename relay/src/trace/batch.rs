//! Spans that leave together.

use super::otlp::{self, Templates};
use super::protobuf::{field_len, len, put, put_head};
use super::{Record, Resource};
use crate::losses::{Losses, Range};
use bytes::Bytes;
use std::collections::HashMap;

const SCHEMA_URL: &str = "https://opentelemetry.io/schemas/1.45.0";

/// Field `resource_spans` of `ExportTraceServiceRequest`.
const RESOURCE_SPANS: u8 = len(1);

/// Fields of `ResourceSpans`, and of `ScopeSpans` likewise.
const RESOURCE_OR_SCOPE: u8 = len(1);
const SCOPE_SPANS: u8 = len(2);
const SCHEMA: u8 = len(3);

/// Fields of `InstrumentationScope`.
const SCOPE_NAME: u8 = len(1);
const SCOPE_VERSION: u8 = len(2);

/// What surrounds the spans of one resource: scope, schemas, lengths.
const AROUND_BYTES: usize = 256;

/// Spans, encoded, by resource.
#[derive(Debug, Default)]
pub(super) struct Batch {
    relay: Vec<u8>,
    pages: Vec<(Resource, Vec<u8>)>,
    page: HashMap<Resource, usize>,
    /// Whole `ResourceSpans`.
    foreign: Vec<u8>,
    spans: u64,
    bytes: usize,
}

/// An `ExportTraceServiceRequest`, and how many spans it has.
#[derive(Debug, Clone)]
pub(super) struct Request {
    pub(super) bytes: Bytes,
    pub(super) spans: u64,
}

impl Batch {
    /// What it takes as a request, or a little more.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn is_empty(&self) -> bool {
        self.spans == 0
    }

    pub(super) fn add_record(&mut self, record: &Record, templates: &Templates) {
        if let Some(browser) = &record.browser {
            self.add_to_page(&browser.resource, |out| browser.put(out, record));
        }
        let before = self.relay.len();
        templates.put_relay_spans(&mut self.relay, record);
        self.bytes += self.relay.len() - before;
        self.spans += 2;
    }

    pub(super) fn add_lost(
        &mut self,
        resource: &Resource,
        session: &str,
        losses: &Losses,
        range: &Range,
        reported_us: u64,
    ) {
        self.add_to_page(resource, |out| otlp::put_lost(out, session, losses, range, reported_us));
    }

    /// Adds `resource_spans`, each encoded with its tag.
    pub(super) fn add_foreign(&mut self, resource_spans: &[u8], spans: u64) {
        self.foreign.extend_from_slice(resource_spans);
        self.bytes += resource_spans.len();
        self.spans += spans;
    }

    fn add_to_page(&mut self, resource: &Resource, put: impl FnOnce(&mut Vec<u8>)) {
        let last = self.pages.len().checked_sub(1).filter(|last| self.pages[*last].0.is(resource));
        let at = last.or_else(|| self.page.get(resource).copied()).unwrap_or_else(|| {
            self.page.insert(resource.clone(), self.pages.len());
            self.pages.push((resource.clone(), Vec::new()));
            self.bytes += resource.bytes().len() + AROUND_BYTES;
            self.pages.len() - 1
        });
        let spans = &mut self.pages[at].1;
        let before = spans.len();
        put(spans);
        self.bytes += spans.len() - before;
        self.spans += 1;
    }

    /// All of it; the relay's own spans are those of `relay`.
    pub(super) fn into_request(self, relay: &Resource) -> Request {
        let mut out = Vec::with_capacity(self.bytes + relay.bytes().len() + AROUND_BYTES);
        out.extend_from_slice(&self.foreign);
        for (resource, spans) in &self.pages {
            put_resource_spans(&mut out, resource, "atomwire", spans);
        }
        if !self.relay.is_empty() {
            put_resource_spans(&mut out, relay, "atomwire-relay", &self.relay);
        }
        Request { bytes: out.into(), spans: self.spans }
    }
}

fn put_resource_spans(out: &mut Vec<u8>, resource: &Resource, scope: &str, spans: &[u8]) {
    let version = env!("CARGO_PKG_VERSION");
    let scope_len = field_len(scope.len()) + field_len(version.len());
    let schema_len = field_len(SCHEMA_URL.len());
    let scope_spans_len = field_len(scope_len) + spans.len() + schema_len;
    put_head(
        out,
        RESOURCE_SPANS,
        field_len(resource.bytes().len()) + field_len(scope_spans_len) + schema_len,
    );
    put(out, RESOURCE_OR_SCOPE, resource.bytes());
    put_head(out, SCOPE_SPANS, scope_spans_len);
    put_head(out, RESOURCE_OR_SCOPE, scope_len);
    put(out, SCOPE_NAME, scope.as_bytes());
    put(out, SCOPE_VERSION, version.as_bytes());
    out.extend_from_slice(spans);
    put(out, SCHEMA, SCHEMA_URL.as_bytes());
    put(out, SCHEMA, SCHEMA_URL.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::{AROUND_BYTES, Batch, Record, Resource, Templates};
    use crate::config::{Flags, Settings};
    use crate::trace::{BrowserSpan, Instance};
    use bytes::Bytes;
    use clap::Parser as _;
    use opentelemetry::trace::TraceFlags;
    use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
    use opentelemetry_proto::tonic::common::v1::any_value::Value;
    use opentelemetry_proto::tonic::trace::v1::Span;
    use proptest::prelude::*;
    use prost::Message as _;

    fn templates() -> Templates {
        let settings = Settings::read(&Flags::parse_from(["atomwire-relay"]), |_| None).expect("defaults");
        let instance =
            Instance { id: "1", listen: settings.listen, bus: &settings.bus, topic: &settings.topic };
        Templates::new(&instance)
    }

    fn record(key: &str, value: Option<Vec<u8>>, times: [u64; 5]) -> Record {
        let [start_us, duration_us, received_us, sending_us, published_us] = times;
        let browser = BrowserSpan {
            resource: Resource::of_page(&[("service.name".to_owned(), key.to_owned())]),
            span_id: [2; 8],
            parent_span_id: None,
            start_us,
            duration_us,
            clock_error_us: u64::MAX,
            error: None,
            attributes: vec![("app".to_owned(), key.to_owned())],
            omitted: None,
            value: value.map(Bytes::from),
        };
        let mut record = Record {
            trace_id: [1; 16],
            flags: TraceFlags::SAMPLED,
            tracestate: key.to_owned(),
            key: key.into(),
            session: "s".into(),
            seq: duration_us,
            protocol: "websocket",
            browser: Some(browser),
            parent_span_id: Some([2; 8]),
            server_span_id: [3; 8],
            producer_span_id: [4; 8],
            received_us,
            topic: "atom-updates".into(),
            relay_seq: 0,
            sending_us: 0,
            published_us: 0,
        };
        record.published("atom-updates".into(), start_us, sending_us);
        record.published_at(published_us);
        record
    }

    /// The spans of a batch, read by prost, in which a wrong length would be an error.
    fn spans(batch: Batch) -> Vec<Span> {
        let (bytes, count) = (batch.bytes(), batch.spans);
        let request = batch.into_request(&Resource::of_relay(&[]));
        assert!(bytes.abs_diff(request.bytes.len()) < AROUND_BYTES, "{bytes} {}", request.bytes.len());
        let request = ExportTraceServiceRequest::decode(request.bytes).expect("OTLP");
        let scopes = request.resource_spans.into_iter().flat_map(|it| it.scope_spans);
        let spans: Vec<_> = scopes.flat_map(|it| it.spans).collect();
        assert_eq!(spans.len() as u64, count);
        spans
    }

    fn attribute<'a>(span: &'a Span, key: &str) -> Option<&'a Value> {
        let found = span.attributes.iter().find(|it| it.key == key)?;
        found.value.as_ref()?.value.as_ref()
    }

    proptest! {
        #[test]
        fn whatever_a_record_says_is_otlp(
            key in "\\PC{0,300}",
            value in proptest::option::of(0..300_000_usize),
            start in any::<u64>(),
            duration in any::<u64>(),
            // Clocks, up to the year 2554.
            clocks in proptest::array::uniform3(0..u64::MAX / 1000),
        ) {
            let value = value.map(|bytes| "x".repeat(bytes));
            let times = [start, duration, clocks[0], clocks[1], clocks[2]];
            let record = record(&key, value.clone().map(String::into_bytes), times);
            let mut batch = Batch::default();
            batch.add_record(&record, &templates());
            let spans = spans(batch);
            let [client, server, producer] = &spans[..] else { panic!("{spans:?}") };
            prop_assert_eq!(&client.name, &format!("Jotai State Update: {key}"));
            let text = |value: &str| Value::StringValue(value.to_owned());
            prop_assert_eq!(attribute(client, "app"), Some(&text(&key)));
            prop_assert_eq!(attribute(client, "atomwire.value").cloned(), value.as_deref().map(text));
            let seq = Value::IntValue(i64::try_from(duration).unwrap_or(i64::MAX));
            prop_assert_eq!(attribute(server, "atomwire.seq"), Some(&seq));
            let id = format!("s/{duration}");
            prop_assert_eq!(attribute(producer, "messaging.message.id"), Some(&text(&id)));
            for span in &spans {
                prop_assert_eq!(&span.trace_state, &key);
                prop_assert!(span.start_time_unix_nano <= span.end_time_unix_nano);
            }
            prop_assert!(client.end_time_unix_nano <= server.start_time_unix_nano);
            prop_assert!(server.start_time_unix_nano <= producer.start_time_unix_nano);
            prop_assert!(producer.end_time_unix_nano <= server.end_time_unix_nano);
        }
    }
}

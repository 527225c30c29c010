//! Whatever comes in: a clear answer, never a panic.

use std::sync::LazyLock;

use atomwire_trace_view::{Limits, TraceStore};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::Link;
use proptest::prelude::*;
use prost::Message;
use serde_json::json;
use tokio::runtime::Runtime;

use crate::support::{SAMPLE, View, attribute, pluck, request, span, trace_id};

fn refusal(span: Span) -> String {
    let store = TraceStore::new(Limits::default());
    let partial = store.ingest(&request("web", vec![span])).partial_success.expect("a refusal");
    assert_eq!((partial.rejected_spans, store.stats().refused, store.stats().spans), (1, 1, 0));
    partial.error_message
}

#[test]
fn bad_ids_and_times_are_named() {
    type Change = fn(&mut Span);
    let cases: [(Change, &str); 7] = [
        (|span| span.trace_id.clear(), "trace_id must be 16 bytes, is 0"),
        (|span| span.trace_id = vec![0; 16], "trace_id must not be all zero"),
        (|span| span.trace_id = vec![1; 17], "trace_id must be 16 bytes, is 17"),
        (|span| span.span_id = vec![1; 7], "span_id must be 8 bytes, is 7"),
        (|span| span.span_id = vec![0; 8], "span_id must not be all zero"),
        (|span| span.parent_span_id = vec![1; 9], "parent_span_id must be 8 bytes, is 9"),
        (|span| span.start_time_unix_nano = 0, "start_time_unix_nano must be set"),
    ];
    for (change, expected) in cases {
        let mut span = span(1, 1);
        change(&mut span);
        let message = refusal(span);
        assert!(message.ends_with(&format!("spans[0]: {expected}")), "{message}");
    }
}

#[tokio::test]
async fn odd_but_valid_spans_are_kept() {
    let view = View::start(Limits::default()).await;
    let mut odd = span(1, 1);
    odd.parent_span_id = vec![0; 8];
    odd.end_time_unix_nano = 1;
    odd.kind = 77;
    odd.start_time_unix_nano = u64::MAX;
    odd.links = vec![Link { trace_id: vec![1], ..Link::default() }];
    odd.attributes = vec![
        attribute("nan", Value::DoubleValue(f64::NAN)),
        attribute("infinite", Value::DoubleValue(f64::NEG_INFINITY)),
        attribute("big", Value::IntValue(i64::MIN)),
        attribute("bytes", Value::BytesValue(vec![0, 255])),
        attribute("markup", Value::StringValue("<img src=x onerror=alert(1)>".into())),
    ];
    assert_eq!(view.store.ingest(&request("", vec![odd])).partial_success, None);
    let trace = view.get(&format!("/traces/api/traces/{}", trace_id(1))).await.json();
    let span = &trace["spans"][0];
    assert_eq!(trace["sources"][0]["service"], "unknown_service");
    assert_eq!(span["parentSpanId"], json!(null));
    assert_eq!((&span["start"], &span["end"]), (&json!("18446744073709551615"), &json!("1")));
    assert_eq!(span["kind"], "unspecified");
    assert_eq!(span["detail"]["links"][0]["traceId"], json!(null));
    let expected =
        json!(["NaN", "-Infinity", "-9223372036854775808", "00ff", "<img src=x onerror=alert(1)>"]);
    assert_eq!(json!(pluck(&span["detail"]["attributes"], "value")), expected);
    assert_eq!(view.list("").await["traces"][0]["duration"], "0");
}

/// A request whose one attribute is an array in an array in an array …
fn nested_protobuf(depth: usize) -> Vec<u8> {
    let wrap = |inner: Vec<u8>, field: u8| {
        let mut outer = vec![field << 3 | 2];
        prost::encode_length_delimiter(inner.len(), &mut outer).unwrap();
        outer.extend(inner);
        outer
    };
    let [array_value, values] = [5, 1];
    let value = (0..depth).fold(Vec::new(), |value, _| wrap(wrap(value, values), array_value));
    let [key_value_value, span_attributes, spans, scope_spans, resource_spans] = [2, 9, 2, 2, 1];
    let mut packed = span(1, 1).encode_to_vec();
    packed.extend(wrap(wrap(value, key_value_value), span_attributes));
    wrap(wrap(wrap(packed, spans), scope_spans), resource_spans)
}

fn nested_json(depth: usize) -> String {
    let value =
        (0..depth).fold("{}".to_owned(), |value, _| format!(r#"{{"arrayValue":{{"values":[{value}]}}}}"#));
    let span = format!(
        r#"{{"traceId":"{}","spanId":"{}","name":"deep","startTimeUnixNano":"1","endTimeUnixNano":"2",
        "attributes":[{{"key":"deep","value":{value}}}]}}"#,
        "01".repeat(16),
        "01".repeat(8)
    );
    format!(r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{span}]}}]}}]}}"#)
}

#[tokio::test]
async fn nesting_is_kept_as_deep_as_the_decoders_allow_and_refused_beyond() {
    let view = View::start(Limits::default()).await;
    for (content_type, body, status) in [
        ("application/x-protobuf", nested_protobuf(40), 200),
        ("application/x-protobuf", nested_protobuf(5_000), 400),
        ("application/json", nested_json(30).into(), 200),
        ("application/json", nested_json(5_000).into(), 400),
    ] {
        let answer = view.post("/v1/traces", content_type, body).await;
        assert_eq!(answer.status, status, "{content_type}: {}", answer.text());
        assert_eq!(view.get("/traces/api/traces").await.status, 200);
    }
    assert_eq!(view.store.stats().received, 2);
}

/// One view for all cases: a panic in a handler would close its connection without an answer.
static VIEW: LazyLock<(Runtime, View)> = LazyLock::new(|| {
    let runtime = Runtime::new().unwrap();
    let view = runtime.block_on(View::start(Limits::default()));
    (runtime, view)
});

fn post(content_type: &str, body: &[u8]) -> u16 {
    let (runtime, view) = &*VIEW;
    let status = runtime.block_on(view.post("/v1/traces", content_type, body)).status;
    // Whatever was stored can be shown, too.
    assert_eq!(runtime.block_on(view.get("/traces/api/traces")).status, 200);
    status
}

fn sample_protobuf() -> Vec<u8> {
    serde_json::from_str::<ExportTraceServiceRequest>(SAMPLE).unwrap().encode_to_vec()
}

proptest! {
    #[test]
    fn arbitrary_bytes_get_an_answer(body in prop::collection::vec(any::<u8>(), 0..200)) {
        for content_type in ["application/x-protobuf", "application/json"] {
            prop_assert!([200, 400].contains(&post(content_type, &body)));
        }
    }

    #[test]
    fn a_damaged_sample_gets_an_answer(cut in 0.0..1.0_f64, flip in 0.0..1.0_f64, bit in 0..8_u8) {
        for (content_type, mut body) in
            [("application/x-protobuf", sample_protobuf()), ("application/json", SAMPLE.into())]
        {
            body.truncate((body.len() as f64 * cut) as usize + 1);
            let at = ((body.len() - 1) as f64 * flip) as usize;
            body[at] ^= 1 << bit;
            prop_assert!([200, 400].contains(&post(content_type, &body)));
        }
    }
}

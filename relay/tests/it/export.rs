//! How spans get to a collector, and what becomes of them when it is slow, strict, or gone.

use crate::sessions::batch;
use crate::support::{Collector, Message, Plain, Raw, Relay, RetryAfter, Session, Setup, Subscriber, hello};
use atomwire_wire::proto::client_frame::Frame;
use atomwire_wire::proto::{Attribute, Hello, OtlpSpans};
use bytes::Bytes;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::span::{Event, Link};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message as _;
use std::collections::HashSet;
use std::time::{Duration, SystemTime};
use tokio::net::TcpListener;

const PROTOCOLS: [&str; 2] = ["grpc", "http/protobuf"];

/// A relay that exports to `collector` by `protocol`.
async fn exporting(collector: &Collector, protocol: &str) -> Relay {
    let url = match protocol {
        "grpc" => format!("http://{}", collector.grpc),
        _ => format!("http://{}/v1/traces", collector.http),
    };
    Setup::new()
        .env("OTEL_TRACES_EXPORTER", "otlp")
        .env("OTEL_EXPORTER_OTLP_PROTOCOL", protocol)
        .env("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", &url)
        .start()
        .await
}

/// An update whose trace is sampled, and a root.
const PLAIN: &str = r#"{"key":"n","value":1}"#;

/// A span of another instrumentation.
pub(crate) fn span(id: u8) -> Span {
    Span { trace_id: vec![id; 16], span_id: vec![id; 8], name: "GET /menu".into(), ..Span::default() }
}

/// A request with such spans.
pub(crate) fn foreign(spans: Vec<Span>) -> Bytes {
    let scope_spans = vec![ScopeSpans { spans, ..ScopeSpans::default() }];
    let resource_spans = vec![ResourceSpans { scope_spans, ..ResourceSpans::default() }];
    ExportTraceServiceRequest { resource_spans }.encode_to_vec().into()
}

#[tokio::test]
async fn by_http_with_everything_that_variables_say() {
    let collector = Collector::start().await;
    let relay = Setup::new()
        .env("OTEL_TRACES_EXPORTER", "otlp")
        .env("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", &format!("http://{}/", collector.http))
        .env("OTEL_EXPORTER_OTLP_HEADERS", "x-tenant=sushi, authorization=Basic%20abc")
        .env("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip")
        .env("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=a%20test,service.name=ignored")
        .env("OTEL_SERVICE_NAME", "my-relay")
        .start()
        .await;
    Plain::connect(&relay).await.send(PLAIN).await;
    for received in collector.spans(2).await {
        assert_eq!(received.resource["service.name"], "my-relay");
        assert_eq!(received.resource["deployment.environment.name"], "a test");
        assert_eq!(received.headers["x-tenant"], "sushi");
        assert_eq!(received.headers["authorization"], "Basic abc");
        assert_eq!(received.headers["content-encoding"], "gzip");
    }
}

#[tokio::test]
async fn by_grpc_with_headers_and_gzip() {
    let collector = Collector::start().await;
    let relay = Setup::new()
        .exporting_to(&collector)
        .env("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "x-tenant=sushi")
        .env("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip")
        .start()
        .await;
    Plain::connect(&relay).await.send(PLAIN).await;
    for received in collector.spans(2).await {
        assert_eq!(received.headers["x-tenant"], "sushi");
        assert_eq!(received.headers["grpc-encoding"], "gzip");
    }
    // The answer is compressed as well.
    relay.settles("spans_exported_total", |spans| spans == 2).await;
    assert_eq!(relay.metric(r#"spans_dropped_total{reason="refused"}"#).await, 0);
}

#[tokio::test]
async fn a_collector_that_stumbles_gets_everything_once() {
    let collector = Collector::start().await;
    for protocol in PROTOCOLS {
        let before = collector.spans(0).await.len();
        collector.fail(2);
        let relay = exporting(&collector, protocol).await;
        Plain::connect(&relay).await.send(PLAIN).await;
        relay.reaches("spans_exported_total", 2).await;
        assert_eq!(collector.spans(0).await.len() - before, 2);
    }
}

#[tokio::test]
async fn what_piled_up_is_sent_in_requests_that_a_collector_takes() {
    let collector = Collector::start().await;
    // Until then everything waits, and what waits is sent in requests as large as they get.
    collector.fail(3);
    let relay = Setup::new().exporting_to(&collector).start().await;
    let mut session = Session::connected(&relay, 1).await;
    for _ in 0..12_000 {
        session.write("a-key-of-some-length", "1");
    }
    session.settled().await;
    relay.settles("spans_exported_total", |spans| spans == 36_000).await;
    assert_eq!(collector.spans(36_000).await.len(), 36_000);
    let largest = collector.requests(1).await.iter().map(|(_, bytes)| *bytes).max();
    assert!(largest.is_some_and(|bytes| bytes < 3 * 1024 * 1024), "{largest:?}");
}

#[tokio::test]
async fn without_a_collector_updates_flow_and_spans_are_counted() {
    // A port where nobody listens.
    let nowhere = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let relay = Setup::new()
        .env("OTEL_TRACES_EXPORTER", "otlp")
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", &format!("http://{nowhere}"))
        .start()
        .await;
    let mut bus = Subscriber::connect(&relay, &["atom-updates"]).await;
    let mut session = Session::connected(&relay, 1).await;
    // More than the exporter keeps for later: 64 MiB.
    for round in 0..100 {
        for _ in 0..1000 {
            session.write("n", "1");
        }
        session.settled().await;
        assert!(bus.take(1000).await.iter().map(Message::seq).eq(round * 1000..(round + 1) * 1000));
    }
    relay.reaches(r#"spans_dropped_total{reason="queue_full"}"#, 1).await;
    assert_eq!(relay.log().matches("spans cannot be exported").count(), 1, "{}", relay.log());
    relay.balances().await;
}

#[tokio::test]
async fn a_collector_that_refuses_is_not_asked_again() {
    let collector = Collector::start().await;
    let relay = Setup::new()
        .env("OTEL_TRACES_EXPORTER", "otlp")
        .env("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/protobuf")
        .env("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", &format!("http://{}/nowhere", collector.http))
        .start()
        .await;
    Plain::connect(&relay).await.send(PLAIN).await;
    relay.reaches(r#"spans_dropped_total{reason="refused"}"#, 2).await;
    relay.says("404").await;
    assert!(collector.is_empty());
}

#[tokio::test]
async fn spans_of_other_instrumentations_are_passed_on() {
    let collector = Collector::start().await;
    let relay = Setup::new().exporting_to(&collector).start().await;
    let (mut raw, _) = Raw::welcomed(&relay, 1).await;
    for request in [Bytes::new(), foreign(vec![span(1)])] {
        raw.send(Frame::OtlpSpans(OtlpSpans { export_trace_service_request: request })).await;
    }
    assert_eq!(collector.spans(1).await[0].span, span(1));
    relay.settles("spans_exported_total", |spans| spans == 1).await;
}

#[tokio::test]
async fn a_wrong_span_of_a_page_takes_no_other_with_it() {
    let collector = Collector::start().await;
    let relay = Setup::new().exporting_to(&collector).start().await;
    let (mut raw, _) = Raw::welcomed(&relay, 1).await;
    let link = |trace: usize, span: usize| Link {
        trace_id: vec![1; trace],
        span_id: vec![1; span],
        ..Link::default()
    };
    let late = Event { time_unix_nano: u64::MAX, ..Event::default() };
    let wrong = vec![
        Span { trace_id: vec![1; 3], ..span(1) },
        Span { trace_id: vec![0; 16], ..span(1) },
        Span { trace_id: vec![], ..span(1) },
        Span { span_id: vec![1; 9], ..span(1) },
        Span { span_id: vec![0; 8], ..span(1) },
        Span { parent_span_id: vec![1], ..span(1) },
        Span { links: vec![link(16, 8), link(15, 8)], ..span(1) },
        Span { links: vec![link(16, 7)], ..span(1) },
        Span { start_time_unix_nano: u64::MAX, ..span(1) },
        Span { end_time_unix_nano: u64::MAX, ..span(1) },
        Span { events: vec![late], ..span(1) },
    ];
    let count = wrong.len();
    let right = Span { parent_span_id: vec![3; 8], links: vec![link(16, 8)], ..span(2) };
    let spans = [wrong, vec![right.clone()]].concat();
    raw.send(batch(0, 20)).await;
    raw.send(Frame::OtlpSpans(OtlpSpans { export_trace_service_request: foreign(spans) })).await;
    let spans = collector.spans(61).await;
    assert!(spans.iter().any(|it| it.span == right));
    relay.settles("spans_exported_total", |spans| spans == 61).await;
    relay.settles(r#"spans_dropped_total{reason="invalid"}"#, |spans| spans == count as i64).await;
    assert_eq!(collector.requests(1).await.len(), collector.accepted(), "nothing was refused");
}

#[tokio::test]
async fn what_a_collector_refuses_is_alone_in_the_end() {
    for protocol in PROTOCOLS {
        let collector = Collector::start().await;
        collector.take_never("Jotai State Update: wrong");
        let relay = exporting(&collector, protocol).await;
        let mut session = Session::connected(&relay, 1).await;
        for number in 0..200 {
            session.write(if number == 77 { "wrong" } else { "right" }, "1");
        }
        session.settled().await;
        relay.settles("spans_exported_total", |spans| spans == 599).await;
        relay.settles(r#"spans_dropped_total{reason="refused"}"#, |spans| spans == 1).await;
        assert_eq!(collector.spans(599).await.len(), 599, "each once, by {protocol}");
    }
}

#[tokio::test]
async fn what_is_too_large_is_split() {
    for protocol in PROTOCOLS {
        let collector = Collector::start().await;
        collector.limit(20_000);
        let relay = exporting(&collector, protocol).await;
        let mut session = Session::connected(&relay, 1).await;
        for _ in 0..100 {
            session.write("n", "1");
        }
        session.settled().await;
        relay.settles("spans_exported_total", |spans| spans == 300).await;
        assert_eq!(collector.spans(300).await.len(), 300, "each once, by {protocol}");
        let sizes: Vec<_> = collector.requests(1).await.iter().map(|(_, bytes)| *bytes).collect();
        let too_large: Vec<_> = sizes.iter().filter(|bytes| **bytes > 20_000).collect();
        assert!(!too_large.is_empty(), "{sizes:?}");
        assert_eq!(too_large.iter().collect::<HashSet<_>>().len(), too_large.len(), "none comes twice");
    }
}

#[tokio::test]
async fn a_request_that_waits_for_its_retry_stops_no_other() {
    let collector = Collector::start().await;
    collector.take_later("Jotai State Update: later");
    let relay = Setup::new().exporting_to(&collector).start().await;
    let mut session = Session::connected(&relay, 1).await;
    session.write("later", "1");
    session.settled().await;
    collector.requests(1).await;
    session.write("now", "1");
    session.settled().await;
    let spans = collector.spans(3).await;
    let of_now = session.emitter.ids(1).trace_id;
    assert!(spans.iter().all(|it| it.span.trace_id == of_now));
    assert_eq!(relay.metric(r#"spans_dropped_total{reason="export_failed"}"#).await, 0);
}

#[tokio::test]
async fn a_collector_is_left_alone_for_as_long_as_it_asks_for() {
    const LONG: Duration = Duration::from_mins(5);
    let seconds = |delay: Duration| delay.as_secs().to_string();
    // Dates have whole seconds, and some time passes before the answer.
    let date = |delay| httpdate::fmt_http_date(SystemTime::now() + delay + Duration::from_secs(2));
    let none = |_| String::new();
    let cases: [(_, &dyn Fn(Duration) -> String); 3] =
        [("http/protobuf", &seconds), ("http/protobuf", &date), ("grpc", &none)];
    for ((protocol, header), delay) in
        cases.into_iter().flat_map(|it| [(it, Duration::from_secs(2)), (it, LONG)])
    {
        let collector = Collector::start().await;
        let mut relay = exporting(&collector, protocol).await;
        let header = header(delay);
        collector.fail_until(RetryAfter { header: header.clone(), delay });
        let mut client = Plain::connect(&relay).await;
        client.send(PLAIN).await;
        let first = collector.requests(1).await[0].0;
        client.send(PLAIN).await;
        if delay == LONG {
            relay.reaches("updates_published_total", 2).await;
            relay.says("spans cannot be exported").await;
            assert_eq!(collector.requests(1).await.len(), 1, "{protocol} {header}");
            // The end is the last occasion.
            relay.terminate().await;
            client.goodbye().await;
            drop(client);
            assert!(relay.ended().await.success(), "{}", relay.log());
        }
        assert_eq!(collector.spans(4).await.len(), 4, "nothing is given up: {protocol} {header}");
        let second = collector.requests(2).await[1].0;
        assert!(delay == LONG || second - first >= delay, "{protocol} {header}");
    }
}

#[tokio::test]
async fn spans_that_do_not_get_out_are_no_clean_end() {
    let collector = Collector::start().await;
    collector.fail(usize::MAX);
    let mut relay = Setup::new().exporting_to(&collector).start().await;
    let mut client = Plain::connect(&relay).await;
    client.send(PLAIN).await;
    collector.requests(1).await;
    relay.terminate().await;
    client.goodbye().await;
    drop(client);
    assert_eq!(relay.ended().await.code(), Some(1), "{}", relay.log());
    let log = relay.log();
    let ended: serde_json::Value = serde_json::from_str(log.lines().last().unwrap()).unwrap();
    assert_eq!((&ended["spans_drained"], &ended["spans_exported"]), (&false.into(), &0.into()));
}

#[tokio::test]
async fn pages_that_say_the_same_of_themselves_share_a_resource() {
    let collector = Collector::start().await;
    let relay = Setup::new().exporting_to(&collector).start().await;
    for id in 1..=30 {
        let mut session = Session::connected(&relay, id).await;
        session.write("n", "1");
        session.settled().await;
    }
    let mut resources: Vec<_> = collector
        .spans(90)
        .await
        .into_iter()
        .map(|it| (it.place, it.resource["service.name"].clone()))
        .collect::<HashSet<_>>()
        .into_iter()
        .map(|((request, _), service)| (request, service))
        .collect();
    let all = resources.len();
    resources.sort_unstable();
    resources.dedup();
    assert_eq!(resources.len(), all, "each once in a request");
    assert!(resources.len() < 30 * 2, "{} resources for 30 sessions", resources.len());
}

#[tokio::test]
async fn a_page_that_says_much_of_itself_takes_nobodys_place() {
    let collector = Collector::start().await;
    let relay = Setup::new().exporting_to(&collector).start().await;
    let mut fat = Vec::new();
    for id in 1..=45 {
        let text = |number| Attribute { key: format!("{id}.{number}"), value: "x".repeat(1000) };
        let named = Attribute { key: "service.name".into(), value: "fat".into() };
        let resource = (0..63).map(text).chain([named]).collect();
        let (mut raw, _) = Raw::welcomed_with(&relay, Hello { resource, ..hello(id) }).await;
        raw.send(batch(0, 1)).await;
        fat.push(raw);
    }
    let mut honest = Session::connected(&relay, 100).await;
    honest.write("n", "1");
    honest.settled().await;
    let spans = collector.spans(46 * 3).await;
    for page in spans.iter().filter(|it| it.resource["service.name"] == "fat") {
        assert_eq!((page.resource.len(), page.resource_dropped), (5, 59));
    }
    assert!(spans.iter().any(|it| it.resource["service.name"] == "shop" && it.resource_dropped == 0));
    let bytes: usize = collector.requests(1).await.iter().map(|(_, bytes)| bytes).sum();
    assert!(bytes < 1024 * 1024, "{bytes} bytes");
}

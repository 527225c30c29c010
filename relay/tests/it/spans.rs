//! The trace flow: "Shape of a trace" in ARCHITECTURE.md, by OTLP.

use crate::export::{foreign, span};
use crate::sessions::batch;
use crate::support::{
    Collector, Plain, Raw, Received, Relay, Session, Setup, Subscriber, body, get, hello, hex, now_us, post,
    session,
};
use atomwire_wire::emitter::{Key, NewUpdate};
use atomwire_wire::proto::client_frame::Frame;
use atomwire_wire::proto::{Attribute, Batch, Hello, LostRange, Omitted, OtlpSpans};
use atomwire_wire::{LostReason, ParentContext};
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use serde_json::json;

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "b7ad6b7169203331";
/// Of a span's flags: W3C's own, and that its parent is local, or remote.
const SAMPLED_AND_RANDOM: u32 = 0x03;
const LOCAL: u32 = 0x100;
const REMOTE: u32 = 0x300;

fn of_kind(spans: &[Received], kind: SpanKind) -> &Received {
    let mut found = spans.iter().filter(|it| it.span.kind() == kind);
    let only = found.next().expect("a span of that kind");
    assert!(found.next().is_none(), "one span of each kind");
    only
}

fn attributes<const N: usize>(received: &Received, expected: [(&str, &str); N]) {
    for (key, value) in expected {
        assert_eq!(received.attributes.get(key).map(String::as_str), Some(value), "{key} of {received:?}");
    }
}

fn plain(flags: &str) -> String {
    json!({ "key": "n", "value": 1, "traceparent": format!("00-{TRACE}-{PARENT}-{flags}") }).to_string()
}

/// A batch that reports `count` losses, for reasons that differ, so that each stays a range.
fn losing(first: u64, count: u64) -> Frame {
    let reason = |seq: u64| [LostReason::QueueFull, LostReason::PageClosed][seq as usize % 2];
    let range = |seq: u64| LostRange { first: seq, last: seq, reason: reason(seq) as i32 };
    Frame::Batch(Batch { lost: (first..first + count).map(range).collect(), ..Batch::default() })
}

#[tokio::test]
async fn an_update_of_an_emitter_is_three_spans() {
    let collector = Collector::start().await;
    let relay = Setup::new().exporting_to(&collector).start().await;
    let mut bus = Subscriber::connect(&relay, &["atom-updates"]).await;
    let mut session = Session::connected(&relay, 1).await;
    let before = now_us();
    session.write("cart", r#"["maguro"]"#);
    session.settled().await;
    let message = bus.next().await;
    let spans = collector.spans(3).await;
    let (client, server, producer) = (
        of_kind(&spans, SpanKind::Client),
        of_kind(&spans, SpanKind::Server),
        of_kind(&spans, SpanKind::Producer),
    );

    let ids = session.emitter.ids(0);
    assert!(spans.iter().all(|it| it.span.trace_id == ids.trace_id), "one trace");
    assert_eq!(client.span.span_id, ids.span_id);
    assert!(client.span.parent_span_id.is_empty(), "one root");
    assert_eq!(server.span.parent_span_id, client.span.span_id);
    assert_eq!(producer.span.parent_span_id, server.span.span_id);
    assert_eq!(message.trace()[2], hex(&producer.span.span_id), "the consumer's parent");

    assert_eq!(client.span.name, "Jotai State Update: cart");
    assert_eq!(server.span.name, "relay receive");
    assert_eq!(producer.span.name, "send atom-updates");
    assert_eq!(client.span.flags, SAMPLED_AND_RANDOM | LOCAL);
    assert_eq!(server.span.flags, SAMPLED_AND_RANDOM | REMOTE);
    assert_eq!(producer.span.flags, SAMPLED_AND_RANDOM | LOCAL);

    assert_eq!(client.resource["service.name"], "shop");
    let version = env!("CARGO_PKG_VERSION");
    for own in [server, producer] {
        for (key, value) in [
            ("service.name", "atomwire-relay"),
            ("service.version", version),
            ("service.instance.id", &relay.id),
            ("telemetry.sdk.name", "atomwire"),
            ("telemetry.sdk.language", "rust"),
            ("telemetry.sdk.version", version),
        ] {
            assert_eq!(own.resource[key], value);
        }
    }
    let common = [
        ("atomwire.key", "cart"),
        ("atomwire.session.id", &crate::support::session(1)),
        ("atomwire.seq", "0"),
    ];
    attributes(client, common);
    attributes(server, common);
    let topic = ("messaging.destination.name", "atom-updates");
    let operation = [("messaging.operation.name", "send"), ("messaging.operation.type", "send")];
    attributes(producer, [("messaging.system.name", "zeromq"), topic, ("atomwire.relay.seq", "0")]);
    attributes(producer, operation);
    attributes(producer, [("messaging.message.id", &format!("{}/0", crate::support::session(1)))]);
    assert!(!producer.attributes.contains_key("messaging.destination.template"));
    let port = relay.listen.port().to_string();
    let listens = [("network.protocol.name", "websocket"), ("server.address", "127.0.0.1")];
    attributes(server, listens);
    attributes(server, [("server.port", port.as_str())]);
    attributes(producer, [("server.address", "127.0.0.1")]);
    assert!(server.attributes["atomwire.transit_us"].parse::<u64>().is_ok());
    assert!(!client.attributes.contains_key("atomwire.value"), "values are data");

    let times =
        [client, server, producer].map(|it| (it.span.start_time_unix_nano, it.span.end_time_unix_nano));
    assert!(times[0].0 / 1000 >= before - 1_000_000);
    assert!(times.is_sorted_by_key(|(start, _)| *start), "no child starts before its parent: {times:?}");
    assert!(times.iter().all(|(start, end)| start <= end), "{times:?}");
}

#[tokio::test]
async fn a_write_that_fails_inside_of_a_span_says_so() {
    let collector = Collector::start().await;
    let relay = Setup::new().exporting_to(&collector).start().await;
    let mut bus = Subscriber::connect(&relay, &["atom-updates"]).await;
    let mut session = Session::connected(&relay, 1).await;
    let parent = ParentContext {
        trace_id: [0xab; 16],
        span_id: [0xcd; 8],
        flags: 0x01,
        local: false,
        tracestate: "rojo=1".into(),
    };
    let update = NewUpdate {
        key: Key::Inline("cart"),
        start: now_us() - 5,
        duration: 5,
        value: None,
        altered: false,
        error: Some(("TypeError", "not iterable")),
        parent: Some(&parent),
        position: 7,
    };
    session.push(&update);
    session.settled().await;
    let message = bus.next().await;
    assert_eq!(message.trace()[1], "ab".repeat(16));
    assert_eq!(message.trace()[3], "01", "the parent's trace id was not said to be random");
    assert_eq!(message.json["tracestate"], "rojo=1");
    let spans = collector.spans(3).await;
    let client = of_kind(&spans, SpanKind::Client);
    assert_eq!(client.span.parent_span_id, parent.span_id);
    assert_eq!(client.span.span_id, session.emitter.ids(7).span_id);
    assert!(spans.iter().all(|it| it.span.trace_id == parent.trace_id && it.span.trace_state == "rojo=1"));
    attributes(client, [("error.type", "TypeError"), ("atomwire.value.omitted", "not_serializable")]);
    let status = client.span.status.as_ref().unwrap();
    assert_eq!((status.code(), status.message.as_str()), (StatusCode::Error, "not iterable"));
}

#[tokio::test]
async fn a_value_that_lacks_parts_says_so_on_the_browsers_span() {
    let collector = Collector::start().await;
    let relay = Setup::new().exporting_to(&collector).start().await;
    let (mut raw, _) = Raw::welcomed(&relay, 1).await;
    let Frame::Batch(mut it) = batch(0, 1) else { unreachable!() };
    it.updates[0].omitted = Omitted::Parts.into();
    raw.send(Frame::Batch(it)).await;
    let spans = collector.spans(3).await;
    attributes(of_kind(&spans, SpanKind::Client), [("atomwire.value.omitted", "parts")]);
}

#[tokio::test]
async fn a_plain_update_continues_its_parent() {
    let collector = Collector::start().await;
    let relay = Setup::new().exporting_to(&collector).start().await;
    let mut client = Plain::connect(&relay).await;
    client.send(plain("00")).await;
    client.send(plain("02")).await;
    client.send(plain("01")).await;
    let spans = collector.spans(2).await;
    let (server, producer) = (of_kind(&spans, SpanKind::Server), of_kind(&spans, SpanKind::Producer));
    assert_eq!(hex(&server.span.trace_id), TRACE);
    assert_eq!(hex(&server.span.parent_span_id), PARENT);
    assert_eq!((server.span.flags, producer.span.flags), (0x01 | REMOTE, 0x01 | LOCAL));
    attributes(server, [("atomwire.seq", "2")]);
    relay.reaches("spans_exported_total", 2).await;
    assert_eq!(collector.spans(2).await.len(), 2, "those that are not sampled make no span");
}

#[tokio::test]
async fn the_sampler_decides_where_no_parent_does() {
    let collector = Collector::start().await;
    let relay = Setup::new()
        .exporting_to(&collector)
        .env("OTEL_TRACES_SAMPLER", "parentbased_traceidratio")
        .env("OTEL_TRACES_SAMPLER_ARG", "0")
        .start()
        .await;
    let mut bus = Subscriber::connect(&relay, &["atom-updates"]).await;
    let mut session = Session::connected(&relay, 1).await;
    session.write("n", "1");
    session.settled().await;
    let mut client = Plain::connect(&relay).await;
    client.send(r#"{"key":"n","value":1}"#).await;
    for message in bus.take(2).await {
        assert_eq!(message.trace()[3], "02", "unsampled, and still random");
    }
    client.send(plain("01")).await;
    assert_eq!(bus.next().await.trace()[3], "01");
    let spans = collector.spans(2).await;
    assert!(spans.iter().all(|it| hex(&it.span.trace_id) == TRACE), "only the one that its parent wants");
}

#[tokio::test]
async fn the_trace_view_shows_what_the_relay_exports() {
    let relay = Setup::new().dev().start().await;
    let mut session = Session::connected(&relay, 1).await;
    session.write("cart", r#"["maguro"]"#);
    session.settled().await;
    relay.reaches("spans_exported_total", 3).await;
    let trace = hex(&session.emitter.ids(0).trace_id);
    let (status, trace) = get(relay.listen, &format!("/traces/api/traces/{trace}")).await;
    assert_eq!(status, 200);
    for part in ["Jotai State Update: cart", "relay receive", "send atom-updates", "atomwire.value", "maguro"]
    {
        assert!(trace.contains(part), "{part} in {trace}");
    }
    assert_eq!(get(relay.listen, "/traces").await.0, 200);
    assert_eq!(get(Relay::start().await.listen, "/traces").await.0, 404, "not without --dev");
}

#[tokio::test]
async fn a_key_in_the_topic_stays_out_of_the_spans_name() {
    let collector = Collector::start().await;
    let relay = Setup::new().exporting_to(&collector).flags(&["--topic=atoms.{key}"]).start().await;
    Plain::connect(&relay).await.send(plain("01")).await;
    let spans = collector.spans(2).await;
    let producer = of_kind(&spans, SpanKind::Producer);
    assert_eq!(producer.span.name, "send atoms.{key}");
    let topics =
        [("messaging.destination.template", "atoms.{key}"), ("messaging.destination.name", "atoms.n")];
    attributes(producer, topics);
}

#[tokio::test]
async fn what_came_by_a_request_came_by_http() {
    let collector = Collector::start().await;
    let relay = Setup::new().exporting_to(&collector).start().await;
    let request = body(vec![Frame::Hello(hello(1)), batch(0, 1)]);
    post(relay.listen, "/v1/batch", &request).await;
    let spans = collector.spans(3).await;
    attributes(of_kind(&spans, SpanKind::Server), [("network.protocol.name", "http")]);
}

#[tokio::test]
async fn a_page_without_a_name_is_an_unknown_service() {
    let collector = Collector::start().await;
    let relay = Setup::new().exporting_to(&collector).start().await;
    let nameless = Attribute { key: "service.name".into(), value: String::new() };
    for (id, resource) in [(1, vec![]), (2, vec![nameless])] {
        let (mut raw, _) = Raw::welcomed_with(&relay, Hello { resource, ..hello(id) }).await;
        raw.send(batch(0, 1)).await;
    }
    let spans = collector.spans(6).await;
    let pages: Vec<_> = spans.iter().filter(|it| it.span.kind() == SpanKind::Client).collect();
    assert_eq!(pages.len(), 2);
    for page in pages {
        assert_eq!(page.resource["service.name"], "unknown_service:browser");
    }
}

#[tokio::test]
async fn every_loss_is_a_span_whatever_the_ratio_says() {
    let collector = Collector::start().await;
    let relay = Setup::new()
        .exporting_to(&collector)
        .env("OTEL_TRACES_SAMPLER", "traceidratio")
        .env("OTEL_TRACES_SAMPLER_ARG", "0.000001")
        .start()
        .await;
    let resource = vec![Attribute { key: "service.name".into(), value: "shop".into() }];
    let (mut raw, _) = Raw::welcomed_with(&relay, Hello { resource, ..hello(1) }).await;
    let Frame::Batch(mut it) = batch(0, 3) else { unreachable!() };
    it.updates[1].value = Some("{".into());
    it.lost = vec![
        LostRange { first: 3, last: 6, reason: LostReason::QueueFull as i32 },
        LostRange { first: 7, last: 7, reason: LostReason::PageClosed as i32 },
    ];
    let before = now_us();
    raw.send(Frame::Batch(it)).await;
    raw.acknowledgement().await;
    let spans = collector.spans(3).await;
    let losses = [
        ("queue_full", "browser", "3", "6"),
        ("page_closed", "browser", "7", "7"),
        ("invalid_json", "relay", "1", "1"),
    ];
    for (received, (reason, place, first, last)) in spans.iter().zip(losses) {
        let span = &received.span;
        assert_eq!((span.name.as_str(), span.kind()), ("Jotai State Updates lost", SpanKind::Internal));
        let status = span.status.as_ref().unwrap();
        assert_eq!((status.code(), status.message.as_str()), (StatusCode::Error, reason));
        assert_eq!(received.resource["service.name"], "shop");
        attributes(
            received,
            [("atomwire.session.id", crate::support::session(1).as_str()), ("error.type", reason)],
        );
        attributes(received, [("atomwire.lost.first", first), ("atomwire.lost.last", last)]);
        attributes(received, [("atomwire.lost.reason", reason), ("atomwire.lost.place", place)]);
        assert!(span.parent_span_id.is_empty());
        assert_eq!((span.trace_id.len(), span.span_id.len()), (16, 8));
        assert_eq!(span.flags, SAMPLED_AND_RANDOM | LOCAL);
        assert_eq!(span.start_time_unix_nano, span.end_time_unix_nano);
        assert!((before..=now_us()).contains(&(span.start_time_unix_nano / 1000)));
    }
    assert_ne!(spans[0].span.trace_id, spans[1].span.trace_id, "each is a trace of its own");
    relay.settles("spans_exported_total", |spans| spans == 3).await;
}

#[tokio::test]
async fn always_off_is_off_for_losses_too() {
    let collector = Collector::start().await;
    let relay = Setup::new().exporting_to(&collector).env("OTEL_TRACES_SAMPLER", "always_off").start().await;
    let (mut raw, _) = Raw::welcomed(&relay, 1).await;
    raw.send(losing(0, 1)).await;
    raw.acknowledgement().await;
    // It goes the same way, later.
    raw.send(Frame::OtlpSpans(OtlpSpans { export_trace_service_request: foreign(vec![span(1)]) })).await;
    assert_eq!(collector.spans(1).await[0].span.name, "GET /menu");
    relay.settles("spans_exported_total", |spans| spans == 1).await;
}

#[tokio::test]
async fn a_session_that_loses_much_does_not_flood_the_collector() {
    let collector = Collector::start().await;
    let relay = Setup::new().exporting_to(&collector).start().await;
    let (mut raw, _) = Raw::welcomed(&relay, 1).await;
    raw.send(losing(0, 200)).await;
    raw.acknowledgement().await;
    let (mut other, _) = Raw::welcomed(&relay, 2).await;
    other.send(losing(0, 2)).await;
    other.acknowledgement().await;
    let limited = r#"spans_dropped_total{reason="limited"}"#;
    relay.reaches(limited, 184).await;
    let spans = collector.spans(18).await;
    let of = |id| spans.iter().filter(|it| it.attributes["atomwire.session.id"] == session(id)).count();
    assert_eq!((of(1), of(2)), (16, 2));
    assert_eq!(relay.metric(limited).await, 184);
}

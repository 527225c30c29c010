//! Clients that break the rules, on purpose.

use crate::sessions::batch;
use crate::support::{
    Collector, Message as Published, Plain, Raw, Relay, Session, Setup, Subscriber, get, hello, now_us,
    request,
};
use atomwire_wire::proto::client_frame::Frame;
use atomwire_wire::proto::{Attribute, Batch, Bye, GoAwayReason, Hello, LostRange, OtlpSpans, Ping};
use bytes::Bytes;
use tokio_tungstenite::tungstenite::Message;

/// What the relay says to a client that sends `messages` after its hello.
async fn answer_to(relay: &Relay, messages: Vec<Message>) -> String {
    let (mut raw, _) = Raw::welcomed(relay, 1).await;
    for message in messages {
        raw.send_message(message).await;
    }
    raw.sent_away(GoAwayReason::ProtocolError).await.message
}

fn binary(frame: Frame) -> Message {
    Message::Binary(crate::support::frame(frame))
}

#[tokio::test]
async fn a_broken_rule_is_named() {
    let relay = Relay::start().await;
    let range = |first, last| LostRange { first, last, reason: 1 };
    let lost = |lost| binary(Frame::Batch(Batch { lost, ..Batch::default() }));
    let both = |first, lost| {
        let Frame::Batch(it) = batch(first, 2) else { unreachable!() };
        binary(Frame::Batch(Batch { lost, ..it }))
    };
    let mut bus = Subscriber::connect(&relay, &["atom"]).await;
    let mut bystander = Session::connected(&relay, 2).await;
    let keys = Batch { new_keys: vec!["k".into(); 1025], ..Batch::default() };
    let spans = |bytes: Vec<u8>| {
        let export_trace_service_request = bytes.into();
        binary(Frame::OtlpSpans(OtlpSpans { export_trace_service_request }))
    };
    let cases = [
        (Message::text("hello"), "frames are binary messages"),
        (Message::Binary(Bytes::new()), "malformed frame"),
        (Message::Binary(vec![0xff; 100].into()), "malformed frame"),
        (binary(Frame::Hello(hello(1))), "a second hello"),
        (binary(batch(1, 1)), "0 is next"),
        (binary(batch(0, 1025)), "batch.updates is 1025, the limit is 1024"),
        (binary(Frame::Batch(keys)), "batch.new_keys is 1025, the limit is 1024"),
        (lost(vec![range(5, 3)]), "lost must be ascending and disjoint from itself and the updates, at 5"),
        (lost(vec![range(0, 9), range(5, 12)]), "lost must be ascending"),
        (lost(vec![range(0, 9), range(0, 4)]), "lost must be ascending"),
        (lost(vec![range(0, 4), range(9, 12), range(5, 8)]), "5 is next"),
        (lost(vec![range(0, 0); 257]), "batch.lost is 257, the limit is 256"),
        (lost(vec![range(0, u64::MAX)]), "seq is 18446744073709551615, the limit is 9007199254740991"),
        (lost(vec![range(0, 1 << 53)]), "seq is 9007199254740992, the limit is 9007199254740991"),
        (both(3, vec![range(0, 3)]), "lost must be ascending"),
        (both(3, vec![range(0, 2), range(4, 4)]), "lost must be ascending"),
        (both(3, vec![range(0, 1)]), "the batch begins at 3, but 2 is next"),
        (both(4999, vec![range(0, 4998)]), "update 4999 is beyond the credit, which ends at 4096"),
        (binary(Frame::Bye(Bye { next_seq: 7 })), "bye.next_seq is 7, but 0 is next"),
        (spans(vec![0xff; 10]), "otlp_spans"),
        (spans(vec![0; 70_000]), "otlp_spans is 70000, the limit is 65536"),
        // More than the system's buffers hold: the relay reads on, or nobody would hear why.
        (Message::Binary(vec![0; 16 << 20].into()), "524288"),
    ];
    let count = cases.len() as i64;
    for (message, named) in cases {
        let said = answer_to(&relay, vec![message]).await;
        assert!(said.contains(named), "{said:?} names {named:?}");
        // Another session does not notice, and there is nothing to say on the bus.
        bystander.write("n", "1");
        bystander.settled().await;
        assert_eq!(bus.next().await.json["session"], crate::support::session(2));
    }
    assert_eq!(relay.metric(r#"bad_input_total{kind="frame"}"#).await, count);
    assert_eq!(relay.metric("updates_received_total").await, count, "a violation leaves no trace");
}

#[tokio::test]
async fn a_session_survives_a_violation() {
    let relay = Relay::start().await;
    let mut bus = Subscriber::connect(&relay, &["atom"]).await;
    let (mut raw, _) = Raw::welcomed(&relay, 1).await;
    raw.send(batch(0, 3)).await;
    raw.send(Frame::Bye(Bye { next_seq: 4 })).await;
    let away = raw.sent_away(GoAwayReason::ProtocolError).await;
    assert!(away.message.contains("bye.next_seq is 4, but 3 is next"), "{}", away.message);
    let (mut raw, next_seq) = Raw::welcomed(&relay, 1).await;
    assert_eq!(next_seq, 3);
    raw.send(Frame::Bye(Bye { next_seq: 3 })).await;
    assert!(bus.take(3).await.iter().map(Published::seq).eq(0..3));
    let end = bus.next().await.json;
    assert_eq!((&end["reason"], &end["next_seq"]), (&"closed".into(), &3.into()));
}

#[tokio::test]
async fn who_does_not_read_delays_nobody() {
    let relay = Relay::start().await;
    let mut bus = Subscriber::connect(&relay, &["atom-updates"]).await;
    let (mut raw, _) = Raw::welcomed(&relay, 1).await;
    let (mut stalled, _) = Raw::welcomed(&relay, 2).await;
    stalled.stall().await;
    let mut round = 0;
    // The relay waits for seconds before it cuts that one off, and does everything else meanwhile.
    while relay.metric("connections").await > 1 {
        raw.send(batch(round, 1)).await;
        assert_eq!(raw.acknowledgement().await.next_seq, round + 1);
        assert_eq!(bus.next().await.seq(), round);
        round += 1;
    }
    assert!(round >= 20, "{round}");
    relay.balances().await;
}

#[tokio::test]
async fn the_first_frame_is_a_hello_of_the_right_shape() {
    let relay = Relay::start().await;
    let attribute = |bytes: usize| Attribute { key: "k".repeat(bytes), value: String::new() };
    let cases = [
        (Frame::Ping(Ping::default()), "the first frame must be hello"),
        (Frame::Hello(Hello { id_seed: vec![1; 33].into(), ..hello(1) }), "hello.id_seed must be 32 bytes"),
        (
            Frame::Hello(Hello { token: "t".repeat(4097), ..hello(1) }),
            "hello.token is 4097, the limit is 4096",
        ),
        (Frame::Hello(Hello { resource: vec![attribute(1); 65], ..hello(1) }), "hello.resource is 65"),
        (Frame::Hello(Hello { resource: vec![attribute(1025)], ..hello(1) }), "hello.resource.key is 1025"),
        (Frame::Hello(Hello { first_unacked_seq: u64::MAX, ..hello(1) }), "hello.first_unacked_seq"),
    ];
    for (frame, named) in cases {
        let mut raw = Raw::connect(&relay).await;
        raw.send(frame).await;
        let said = raw.sent_away(GoAwayReason::ProtocolError).await.message;
        assert!(said.contains(named), "{said:?} names {named:?}");
    }
    assert_eq!(relay.metric("sessions").await, 0);
}

#[tokio::test]
async fn times_from_another_world_break_nothing() {
    let collector = Collector::start().await;
    let relay = Setup::new().exporting_to(&collector).start().await;
    let mut bus = Subscriber::connect(&relay, &["atom-updates"]).await;
    let extremes = [(0, 0), (i64::MIN, u64::MAX), (i64::MAX, u64::MAX), (i64::MAX, 0), (-1, 1)];
    let mut raw = Raw::connect(&relay).await;
    raw.send(Frame::Hello(Hello { client_time_us: u64::MAX, ..hello(1) })).await;
    raw.answer().await;
    for (seq, (offset, duration)) in (0..).zip(extremes) {
        for base in [0, u64::MAX] {
            let first_seq = seq * 2 + u64::from(base != 0);
            let Frame::Batch(mut it) = batch(first_seq, 1) else { unreachable!() };
            (it.base_time_us, it.clock_offset_us, it.clock_error_us) = (base, offset, u64::MAX - 1);
            it.updates[0].start_offset_us = offset;
            it.updates[0].duration_us = duration;
            it.updates[0].id_offset = offset;
            raw.send(Frame::Batch(it)).await;
        }
    }
    for message in bus.take(10).await {
        humantime::parse_rfc3339(message.json["time"].as_str().unwrap()).unwrap();
    }
    for received in collector.spans(30).await {
        let span = received.span;
        assert!(span.start_time_unix_nano <= span.end_time_unix_nano, "{span:?}");
        assert!(span.end_time_unix_nano / 1000 <= now_us(), "{span:?}");
    }
}

#[tokio::test]
async fn what_clients_say_stays_out_of_labels_and_logs() {
    let relay = Setup::new().env("RUST_LOG", "debug").start().await;
    let mut bus = Subscriber::connect(&relay, &["atom-updates"]).await;
    let evil = "evil\"} 1\natomwire_evil_total{a=\"\u{1b}[31m\r\n";
    let mut session = Session::connected(&relay, 1).await;
    session.write(evil, "1");
    session.settled().await;
    assert_eq!(bus.next().await.json["key"], evil);
    let mut plain = Plain::connect(&relay).await;
    plain.send(serde_json::json!({ "key": evil, "value": evil }).to_string()).await;
    assert_eq!(bus.next().await.json["value"], evil);
    plain.send(evil).await;
    plain.answer().await;
    let mut raw = Raw::connect(&relay).await;
    raw.send_message(evil).await;
    raw.sent_away(GoAwayReason::ProtocolError).await;
    let (_, metrics) = get(relay.listen, "/metrics").await;
    assert!(!metrics.contains("evil"), "{metrics}");
    assert!(!relay.log().contains("evil"), "{}", relay.log());
    for line in relay.log().lines() {
        serde_json::from_str::<serde_json::Value>(line).expect(line);
    }
}

#[tokio::test]
async fn a_head_without_end_is_refused() {
    let relay = Relay::start().await;
    let head = format!("GET /health HTTP/1.1\r\nX-Long: {}", "x".repeat(20 * 1024));
    assert_eq!(request(relay.listen, &head, b"").await.0, 431);
}

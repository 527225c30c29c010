//! What operators see, and what the relay leaves behind.

use crate::sessions::batch;
use crate::support::{Plain, Raw, Relay, Session, Setup, Subscriber, body, get, hello, post, request};
use atomwire_wire::proto::client_frame::Frame;
use atomwire_wire::proto::{Bye, GoAwayReason, LostRange, ParentContext};
use std::fs;
use std::path::Path;

#[tokio::test]
async fn health_and_readiness() {
    let relay = Relay::start().await;
    assert_eq!(get(relay.listen, "/health").await, (200, "ok\n".into()));
    assert_eq!(get(relay.listen, "/ready").await, (200, "ready\n".into()));
    assert_eq!(request(relay.listen, "HEAD /health HTTP/1.1", b"").await.0, 200);
}

#[tokio::test]
async fn the_account_balances() {
    let relay = Relay::start().await;
    let mut session = Session::connected(&relay, 1).await;
    let mut plain = Plain::connect(&relay).await;
    for number in 0..100 {
        session.write("n", "1");
        plain.send(if number % 3 == 0 { "wrong" } else { r#"{"key":"n","value":1}"# }).await;
    }
    session.settled().await;
    relay.reaches("updates_received_total", 200).await;
    relay.reaches("updates_published_total", 166).await;
    relay.balances().await;
    let (_, text) = get(relay.listen, "/metrics").await;
    assert!(text.ends_with("# EOF\n"), "OpenMetrics ends so");
    assert_eq!(relay.metric("connections").await, 2);
    assert_eq!(relay.metric("sessions").await, 1);
    assert_eq!(relay.metric("bus_queue_bytes").await, 0);
}

#[tokio::test]
async fn the_account_balances_whatever_comes_by_whatever_way() {
    let relay = Relay::start().await;
    let mut bus = Subscriber::connect(&relay, &["atom"]).await;
    let faulty = |first| {
        let Frame::Batch(mut it) = batch(first, 10) else { unreachable!() };
        it.updates[3].value = Some("{".into());
        it.updates[4].key.clear();
        it.updates[5].parent = Some(ParentContext::default());
        Frame::Batch(it)
    };
    // New, refused and again, on a stream; the last of it breaks a rule in its middle.
    let (mut raw, _) = Raw::welcomed(&relay, 1).await;
    raw.send(faulty(0)).await;
    raw.ping().await;
    drop(raw);
    let (mut raw, _) = Raw::welcomed(&relay, 1).await;
    raw.send(faulty(5)).await;
    let Frame::Batch(mut hole) = batch(15, 10) else { unreachable!() };
    hole.lost = vec![LostRange { first: 15, last: 18, reason: 1 }];
    raw.send(Frame::Batch(hole)).await;
    raw.sent_away(GoAwayReason::ProtocolError).await;
    // In a last request, which borrows the session and sends again what nobody acknowledged.
    let request =
        body(vec![Frame::Hello(hello(1)), faulty(10), faulty(20), Frame::Bye(Bye { next_seq: 30 })]);
    post(relay.listen, "/v1/batch", &request).await;
    // As JSON messages.
    let mut plain = Plain::connect(&relay).await;
    for text in [r#"{"key":"n","value":1}"#, "wrong", r#"{"key":"","value":1}"#, r#"{"key":"n","value":2}"#] {
        plain.send(text).await;
    }
    plain.close().await;

    // In the browsers' order: 0..10, 5..15 of which 5 are new, 10..20 of which 5 are new, 20..30; and 4.
    relay.settles("updates_received_total", |received| received == 44).await;
    relay.balances().await;
    let expected = [
        ("updates_duplicate_total", 10),
        (r#"updates_dropped_total{reason="invalid_json"}"#, 2),
        (r#"updates_dropped_total{reason="invalid_key"}"#, 2),
        (r#"updates_dropped_total{reason="invalid_context"}"#, 4),
        (r#"updates_dropped_total{reason="invalid_message"}"#, 2),
        ("updates_published_total", 24),
    ];
    for (series, count) in expected {
        assert_eq!(relay.metric(series).await, count, "{series}");
    }
    // And the bus says the same: messages, losses, and the ends of two sessions.
    let (mut messages, mut lost, mut ends) = (0, 0, 0);
    while ends < 2 {
        let json = bus.next().await.json;
        for range in json["lost"].as_array().into_iter().flatten() {
            lost += range["last"].as_u64().unwrap() - range["first"].as_u64().unwrap() + 1;
        }
        messages += u64::from(json["value"].is_number());
        ends += u64::from(json["end"] == true);
    }
    assert_eq!((messages, lost), (24, 8));
}

#[tokio::test]
async fn nothing_is_written_to_disk() {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("nothing-{}", std::process::id()));
    fs::create_dir_all(&dir).unwrap();
    let setup = Setup::new().env("TMPDIR", dir.to_str().unwrap()).env("HOME", dir.to_str().unwrap());
    let mut relay = setup.dir(dir.clone()).dev().start().await;
    let mut session = Session::connected(&relay, 1).await;
    for _ in 0..1000 {
        session.write("n", "1");
    }
    session.settled().await;
    relay.reaches("spans_exported_total", 3000).await;
    for link in relay.open_files() {
        let known =
            ["socket:", "pipe:", "anon_inode:", "/dev/null"].iter().any(|kind| link.starts_with(kind));
        assert!(known, "{link}");
    }
    session.disconnect();
    relay.terminate().await;
    assert!(relay.ended().await.success());
    assert_eq!(fs::read_dir(&dir).unwrap().count(), 0);
    fs::remove_dir(&dir).unwrap();
}

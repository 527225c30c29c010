//! The end: nothing that was taken is lost, and nobody can put it off.

use crate::sessions::batch;
use crate::support::{Collector, Message, Plain, Raw, Relay, Session, Setup, Subscriber, get, within};
use atomwire_wire::proto::{GoAwayReason, server_frame};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

#[tokio::test]
async fn everything_taken_is_out_and_clients_are_sent_away() {
    let collector = Collector::start().await;
    let mut relay = Setup::new().exporting_to(&collector).start().await;
    let mut bus = Subscriber::connect(&relay, &["atom-updates"]).await;
    let mut plain = Plain::connect(&relay).await;
    let mut session = Session::connected(&relay, 1).await;
    for _ in 0..5000 {
        session.write("n", "1");
    }
    session.until(|stats| stats.acknowledged > 0).await;
    relay.terminate().await;
    session.run().await;
    assert!(session.sent_away.as_ref().is_some_and(|why| why.contains("shutting down")));
    let goodbye = plain.goodbye().await;
    assert_eq!((goodbye.code, goodbye.reason.as_str()), (CloseCode::Away, "the relay is shutting down"));
    drop(plain);
    let acknowledged = session.emitter.stats().acknowledged;
    let messages = bus.take(acknowledged as usize).await;
    assert!(messages.iter().map(Message::seq).eq(0..acknowledged));
    assert!(relay.ended().await.success(), "{}", relay.log());
    assert_eq!(collector.spans(0).await.len() as u64, acknowledged * 3);
    let log = relay.log();
    let ended: serde_json::Value = serde_json::from_str(log.lines().last().unwrap()).unwrap();
    assert_eq!(ended["message"], "ended");
    let count = |name: &str| ended[name].as_u64().unwrap();
    assert_eq!(count("received"), count("published") + count("dropped") + count("duplicate"), "{ended}");
    assert_eq!((count("published"), count("spans_exported")), (acknowledged, acknowledged * 3));
}

#[tokio::test]
async fn what_a_subscriber_has_not_read_yet_still_goes_out() {
    let mut relay = Relay::start().await;
    let mut bus = Subscriber::connect(&relay, &["atom-updates"]).await;
    let mut session = Session::connected(&relay, 1).await;
    // More than the system's buffers hold, and it begins to read only when the relay ends.
    let value = format!("\"{}\"", "x".repeat(200_000));
    for _ in 0..100 {
        session.write("n", &value);
    }
    session.settled().await;
    relay.terminate().await;
    session.run().await;
    assert!(bus.take(100).await.iter().map(Message::seq).eq(0..100));
    assert!(relay.ended().await.success(), "{}", relay.log());
}

#[tokio::test]
async fn who_says_nothing_does_not_put_it_off() {
    let mut relay = Setup::new().dev().start().await;
    let mut silent = TcpStream::connect(relay.listen).await.unwrap();
    let mut half = TcpStream::connect(relay.listen).await.unwrap();
    half.write_all(b"GET /health HTTP/1.1\r\nHost").await.unwrap();
    let mut half_a_body = TcpStream::connect(relay.listen).await.unwrap();
    half_a_body.write_all(b"POST /v1/batch HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n").await.unwrap();
    let mut events = TcpStream::connect(relay.listen).await.unwrap();
    events.write_all(b"GET /traces/api/events HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    assert!(events.read(&mut [0; 1024]).await.unwrap() > 0, "a live stream of the trace view");
    let mut no_hello = Raw::connect(&relay).await;
    let mut idle = Plain::connect(&relay).await;
    get(relay.listen, "/health").await;

    relay.terminate().await;
    no_hello.sent_away(GoAwayReason::Shutdown).await;
    idle.goodbye().await;
    assert!(relay.ended().await.success(), "{}", relay.log());
    assert_eq!(within("the end", silent.read(&mut [0; 16])).await.unwrap_or(0), 0);
}

#[tokio::test]
async fn who_does_not_read_does_not_put_it_off() {
    let mut relay = Relay::start().await;
    let (mut raw, _) = Raw::welcomed(&relay, 1).await;
    raw.stall().await;
    relay.terminate().await;
    assert!(relay.ended().await.success(), "{}", relay.log());
}

/// A client that asks and asks, and reads no answer, until every buffer on the way is full.
async fn asks_and_does_not_read(relay: &Relay) -> TcpStream {
    let mut stream = TcpStream::connect(relay.listen).await.unwrap();
    let requests = "GET /metrics HTTP/1.1\r\nHost: relay\r\n\r\n".repeat(100);
    while timeout(Duration::from_millis(500), stream.write_all(requests.as_bytes())).await.is_ok() {}
    stream
}

#[tokio::test]
async fn who_asks_and_does_not_read_is_cut_off() {
    let relay = Relay::start().await;
    let mut stream = asks_and_does_not_read(&relay).await;
    within("the end of patience", async { while stream.write_all(b"GET").await.is_ok() {} }).await;
}

#[tokio::test]
async fn who_asks_and_does_not_read_does_not_put_it_off() {
    let mut relay = Relay::start().await;
    let mut ledger = Subscriber::connect(&relay, &["atomwire.ledger"]).await;
    let _stream = asks_and_does_not_read(&relay).await;
    relay.terminate().await;
    assert_eq!(ledger.next().await.json["topics"], serde_json::json!({}));
    assert!(relay.ended().await.success(), "{}", relay.log());
}

#[tokio::test]
async fn what_arrived_before_is_acknowledged() {
    let mut relay = Relay::start().await;
    let (mut raw, _) = Raw::welcomed(&relay, 1).await;
    raw.send(batch(0, 1000)).await;
    relay.reaches("updates_published_total", 1000).await;
    relay.terminate().await;
    let mut acknowledged = 0;
    loop {
        match raw.answer().await {
            server_frame::Frame::Ack(ack) => acknowledged = ack.next_seq,
            server_frame::Frame::GoAway(away) => break assert_eq!(away.reason(), GoAwayReason::Shutdown),
            _ => {}
        }
    }
    assert_eq!(acknowledged, 1000);
    assert!(relay.ended().await.success());
}

#[tokio::test]
async fn a_second_signal_ends_it_at_once() {
    for (first, second) in [("-TERM", "-TERM"), ("-INT", "-TERM"), ("-TERM", "-INT")] {
        let mut relay = Relay::start().await;
        // Half a request, which the relay waits for.
        let mut half = TcpStream::connect(relay.listen).await.unwrap();
        half.write_all(b"GET /health HTTP/1.1\r\nHost").await.unwrap();
        get(relay.listen, "/health").await;
        relay.signal(first).await;
        relay.says("draining").await;
        relay.signal(second).await;
        assert_eq!(relay.ended().await.code(), Some(1));
        assert!(relay.log().contains("ending at once"), "{}", relay.log());
        assert!(!relay.log().contains(r#""message":"ended""#), "{}", relay.log());
    }
}

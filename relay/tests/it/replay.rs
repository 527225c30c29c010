//! The replay window, asked by libzmq's own REQ and DEALER.

use crate::support::{Message, Plain, Relay, Session, Setup, Subscriber};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::task::block_in_place;

struct Client {
    socket: zmq::Socket,
    dealer: bool,
}

impl Client {
    fn connect(relay: &Relay, kind: zmq::SocketType) -> Self {
        let socket = zmq::Context::new().socket(kind).unwrap();
        socket.set_rcvtimeo(15_000).unwrap();
        socket.set_linger(0).unwrap();
        if kind == zmq::DEALER {
            // What it has not read stays the relay's matter.
            socket.set_rcvhwm(1).unwrap();
            socket.set_rcvbuf(4096).unwrap();
        }
        socket.connect(&relay.replay).unwrap();
        Self { socket, dealer: kind == zmq::DEALER }
    }

    fn answer(&self) -> Vec<Vec<u8>> {
        loop {
            match self.socket.recv_multipart(0) {
                // Another test's process has ended.
                Err(zmq::Error::EINTR) => {}
                answer => return answer.expect("an answer"),
            }
        }
    }

    /// The topic, the head, and the payloads.
    fn ask(&self, request: &[&str]) -> (String, Value, Vec<String>) {
        if self.dealer {
            self.socket.send("", zmq::SNDMORE).unwrap();
        }
        self.socket.send_multipart(request, 0).unwrap();
        let mut parts = self.answer().into_iter();
        if self.dealer {
            assert_eq!(parts.next().unwrap(), b"");
        }
        let mut parts = parts.map(|part| String::from_utf8(part).unwrap());
        let (topic, head) = (parts.next().unwrap(), parts.next().unwrap());
        (topic, serde_json::from_str(&head).expect(&head), parts.collect())
    }
}

/// A relay that has published `count` updates, and the messages.
async fn published(count: usize) -> (Relay, Vec<String>) {
    let relay = Setup::new().start().await;
    let mut bus = Subscriber::connect(&relay, &["atom-updates"]).await;
    let mut session = Session::connected(&relay, 1).await;
    for _ in 0..count {
        session.write("n", "1");
    }
    session.settled().await;
    let messages = bus.take(count).await.into_iter().map(|it| it.text).collect();
    (relay, messages)
}

#[tokio::test]
async fn what_was_missed_can_be_asked_for() {
    let (relay, messages) = published(100).await;
    for kind in [zmq::REQ, zmq::DEALER] {
        let client = Client::connect(&relay, kind);
        for (from, expected) in [("0", 0), ("40", 40), ("99", 99)] {
            let (topic, head, payloads) = client.ask(&["atom-updates", from]);
            assert_eq!(topic, "atom-updates");
            assert_eq!(head, json!({ "relay": relay.id, "first": expected, "oldest": 0, "next": 100 }));
            assert_eq!(payloads, messages[expected..], "the bytes of the bus, every one");
        }
    }
}

#[tokio::test]
async fn nothing_is_there_beyond_the_end_or_on_other_topics() {
    let (relay, _) = published(3).await;
    let client = Client::connect(&relay, zmq::REQ);
    for from in ["3", "4", "18446744073709551615"] {
        let (_, head, payloads) = client.ask(&["atom-updates", from]);
        assert_eq!(head, json!({ "relay": relay.id, "first": 3, "oldest": 0, "next": 3 }));
        assert_eq!(payloads, [""; 0]);
    }
    let (topic, head, payloads) = client.ask(&["nobody", "0"]);
    assert_eq!((topic.as_str(), payloads.len()), ("nobody", 0));
    assert_eq!(head, json!({ "relay": relay.id, "first": 0, "oldest": 0, "next": 0 }));
}

#[tokio::test]
async fn what_is_malformed_is_answered() {
    let (relay, _) = published(1).await;
    let client = Client::connect(&relay, zmq::REQ);
    for request in [
        &["atom-updates"][..],
        &["atom-updates", "-1"],
        &["atom-updates", ""],
        &["atom-updates", "+0"],
        &["atom-updates", "0x0"],
        &["atom-updates", "18446744073709551616"],
        &["atom-updates", "0", "1"],
        &["", ""],
        &["0"; 1000],
    ] {
        let (topic, head, payloads) = client.ask(request);
        assert_eq!((topic.as_str(), payloads.len()), ("", 0));
        assert!(head["error"].as_str().unwrap().contains("from_seq"), "{head}");
    }
}

#[tokio::test]
async fn a_large_answer_comes_in_parts() {
    let relay = Relay::start().await;
    let mut session = Session::connected(&relay, 1).await;
    let value = format!("\"{}\"", "x".repeat(100_000));
    for _ in 0..30 {
        session.write("n", &value);
    }
    session.settled().await;
    let client = Client::connect(&relay, zmq::REQ);
    let (mut from, mut answers) = (0, 0);
    while from < 30 {
        let (_, head, payloads) = client.ask(&["atom-updates", &from.to_string()]);
        assert_eq!(head["first"], from);
        for payload in payloads {
            assert!(payload.len() > 100_000);
            from += 1;
        }
        answers += 1;
    }
    assert_eq!(answers, 3);
}

#[tokio::test]
async fn who_asks_and_does_not_read_costs_little() {
    let relay = Relay::start().await;
    let mut session = Session::connected(&relay, 1).await;
    let value = format!("\"{}\"", "x".repeat(100_000));
    for _ in 0..10 {
        session.write("n", &value);
    }
    session.settled().await;
    let greedy = Client::connect(&relay, zmq::DEALER);
    for _ in 0..500 {
        greedy.socket.send_multipart(["", "atom-updates", "0"], 0).unwrap();
    }
    // Another client's questions have their turn among these, and are answered.
    let other = Client::connect(&relay, zmq::REQ);
    for _ in 0..50 {
        let (_, head, _) = other.ask(&["atom-updates", "9"]);
        assert_eq!(head["next"], 10);
    }
    assert!(relay.peak_memory() < 200 << 20, "{}", relay.peak_memory());
}

#[tokio::test]
async fn what_is_too_large_is_not_even_read() {
    let (relay, _) = published(1).await;
    let client = Client::connect(&relay, zmq::DEALER);
    let huge = vec![b'0'; 64 << 20];
    client.socket.send_multipart([&b""[..], b"atom-updates", &huge], 0).unwrap();
    // libzmq breaks off, and connects again: the next question is the first that is answered.
    let (_, head, _) = client.ask(&["atom-updates", "1"]);
    assert_eq!(head["first"], 1);
    assert!(relay.peak_memory() < 60 << 20, "{}", relay.peak_memory());
}

#[tokio::test]
async fn the_window_is_as_large_as_it_was_set() {
    let value = format!("\"{}\"", "x".repeat(20_000));
    let setups = [
        // An eighth is for the ledger, and up to a quarter of a mebibyte leaves at once.
        (Setup::new().flags(&["--replay-bytes", "1048576"]), 54..69),
        (Setup::new().env("ATOMWIRE_REPLAY_BYTES", "3145728"), 0..1),
    ];
    for (setup, expected) in setups {
        let relay = setup.start().await;
        let mut session = Session::connected(&relay, 1).await;
        for _ in 0..100 {
            session.write("n", &value);
        }
        session.settled().await;
        let client = Client::connect(&relay, zmq::REQ);
        let (_, head, payloads) = client.ask(&["atom-updates", "0"]);
        let oldest = head["oldest"].as_u64().unwrap();
        assert!(expected.contains(&oldest), "{head}");
        assert_eq!(head, json!({ "relay": relay.id, "first": oldest, "oldest": oldest, "next": 100 }));
        assert_eq!(payloads.len() as u64, (100 - oldest).min(51), "a mebibyte at once");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn questions_are_answered_while_updates_stream() {
    let relay = Setup::new().flags(&["--replay-bytes", "1048576"]).start().await;
    let mut writer = Plain::connect(&relay).await;
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = Arc::clone(&stop);
    let stream = tokio::spawn(async move {
        while !stopped.load(Ordering::Relaxed) {
            writer.send(r#"{"key":"n","value":1}"#).await;
        }
    });
    let client = Client::connect(&relay, zmq::REQ);
    let (mut oldest, mut answers) = (0, 0);
    while answers < 20 || oldest < 2_000 {
        let (_, head, payloads) = block_in_place(|| client.ask(&["atom-updates", "0"]));
        let number = |name: &str| head[name].as_u64().unwrap();
        assert_eq!(number("first"), number("oldest"), "what is gone is to be seen: {head}");
        assert!(number("oldest") >= oldest);
        let seqs =
            payloads.iter().map(|it| serde_json::from_str::<Value>(it).unwrap()["seq"].as_u64().unwrap());
        assert!(seqs.eq(number("first")..number("next")));
        (oldest, answers) = (number("oldest"), answers + 1);
    }
    stop.store(true, Ordering::Relaxed);
    stream.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_questions_does_not_hold_up_the_bus() {
    let relay = Relay::start().await;
    let mut bus = Subscriber::connect(&relay, &["atom-updates"]).await;
    let mut session = Session::connected(&relay, 1).await;
    let flooder = Client::connect(&relay, zmq::DEALER);
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = Arc::clone(&stop);
    let flood = std::thread::spawn(move || {
        let mut answers = 0_u64;
        while !stopped.load(Ordering::Relaxed) {
            let _ = flooder.socket.send_multipart(["", "atom-updates", "0"], zmq::DONTWAIT);
            answers += u64::from(flooder.socket.recv_multipart(zmq::DONTWAIT).is_ok());
        }
        answers
    });
    let other = Client::connect(&relay, zmq::REQ);
    for round in 0..40 {
        for _ in 0..500 {
            session.write("n", "1");
        }
        session.settled().await;
        let messages = bus.take(500).await;
        assert!(messages.iter().map(Message::relay_seq).eq(round * 500..(round + 1) * 500));
        let from = (round * 500).to_string();
        let (_, head, _) = block_in_place(|| other.ask(&["atom-updates", &from]));
        assert_eq!(head["next"], (round + 1) * 500);
    }
    stop.store(true, Ordering::Relaxed);
    assert!(flood.join().unwrap() > 0);
    assert!(relay.peak_memory() < 200 << 20, "{}", relay.peak_memory());
}

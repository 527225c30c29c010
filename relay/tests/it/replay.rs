//! The replay window, asked by libzmq's own REQ and DEALER.

use crate::support::{Relay, Session, Setup, Subscriber};
use serde_json::{Value, json};

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
        &["atom-updates", "18446744073709551616"],
        &["atom-updates", "0", "1"],
        &["", ""],
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

//! Consumers that read with a cursor, on libzmq's own DEALER.

use crate::support::{Consumer, Message, Plain, Relay, Session, Setup, Subscriber};
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::task::block_in_place;

const ALL: [&str; 1] = [""];

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

/// Values of 100,000 bytes, as many as are wanted.
async fn large(relay: &Relay, count: usize) {
    let mut session = Session::connected(relay, 9).await;
    let value = format!("\"{}\"", "x".repeat(100_000));
    for _ in 0..count {
        session.write("n", &value);
    }
    session.settled().await;
}

#[tokio::test]
async fn it_goes_on_where_it_was() {
    let (relay, messages) = published(100).await;
    let consumer = Consumer::connect(&relay, "rows");
    for from in [0, 40, 99] {
        let (head, read) = consumer.read(&relay.id, from, &["atom-updates"]);
        let expected = json!({
            "relay": relay.id, "from": from, "next": 100, "end": 100, "missed": 0, "messages": 100 - from,
        });
        assert_eq!(head, expected);
        assert!(read.iter().all(|it| it.topic == "atom-updates"));
        let read: Vec<_> = read.into_iter().map(|it| it.text).collect();
        assert_eq!(read, messages[from as usize..], "the bytes of the bus, every one");
    }
}

#[tokio::test]
async fn another_relays_position_means_nothing() {
    let (relay, _) = published(10).await;
    let consumer = Consumer::connect(&relay, "rows");
    let (head, read) = consumer.read("0123456789abcdef", 7, &ALL);
    assert_eq!((head["from"].as_u64(), read.len()), (Some(0), 10));
    consumer.send(&json!({ "consumer": "rows", "topics": ALL }).to_string());
    assert_eq!(consumer.answer().1.len(), 10);
    // What it says of another relay confirms nothing of this one.
    assert_eq!(relay.metric(r#"consumer_lag_messages{consumer="rows"}"#).await, 10);
}

#[tokio::test]
async fn what_is_not_there_yet_is_waited_for() {
    let (relay, _) = published(3).await;
    let consumer = Consumer::connect(&relay, "rows");
    // A sign of life, after a second.
    for from in [3, 4, u64::MAX] {
        let (head, read) = consumer.read(&relay.id, from, &ALL);
        assert_eq!((head["from"].as_u64(), head["next"].as_u64(), read.len()), (Some(3), Some(3), 0));
    }
    consumer.ask(&relay.id, 3, &ALL);
    let mut session = Session::connected(&relay, 2).await;
    session.write("n", "1");
    session.settled().await;
    let (head, read) = consumer.answer();
    assert_eq!((head["next"].as_u64(), read.len()), (Some(4), 1));
}

#[tokio::test]
async fn topics_that_it_does_not_want_are_passed_over() {
    let relay = Setup::new().flags(&["--topic", "atom-updates.{key}"]).start().await;
    let mut session = Session::connected(&relay, 1).await;
    for key in ["cart", "user", "cart", "user", "user"] {
        session.write(key, "1");
    }
    session.settled().await;
    session.write("cart", "not JSON");
    session.settled().await;
    let consumer = Consumer::connect(&relay, "rows");
    let (head, read) = consumer.read(&relay.id, 0, &["atom-updates.cart", "atomwire.ledger"]);
    let topics: Vec<_> = read.iter().map(|it| it.topic.as_str()).collect();
    assert_eq!(topics, ["atom-updates.cart", "atom-updates.cart", "atomwire.ledger"]);
    assert_eq!((head["next"].as_u64(), head["missed"].as_u64()), (Some(6), Some(0)));
    let (head, read) = consumer.read(&relay.id, 1, &["nobody"]);
    assert_eq!((head["from"].as_u64(), head["next"].as_u64(), read.len()), (Some(1), Some(6), 0));
}

#[tokio::test]
async fn what_is_malformed_is_answered() {
    let (relay, _) = published(1).await;
    let consumer = Consumer::connect(&relay, "rows");
    for (request, named) in [
        ("", "EOF"),
        ("[]", "consumer"),
        (r#"{"consumer":"rows"}"#, "topics"),
        (r#"{"consumer":"","topics":["a"]}"#, "a consumer's name is 1 to 64"),
        (r#"{"consumer":"a b","topics":["a"]}"#, "a consumer's name is 1 to 64"),
        (r#"{"consumer":"rows","topics":[]}"#, "1 to 64 prefixes"),
        (r#"{"consumer":"rows","topics":["a"],"from":-1}"#, "-1"),
        (r#"{"consumer":"rows","topics":["a"],"from":"0"}"#, "expected u64"),
        (r#"{"consumer":"rows","topics":["a"],"from":18446744073709551616}"#, "expected u64"),
    ] {
        consumer.send(request);
        let error = consumer.error();
        assert!(error.contains(named), "{request}: {error}");
    }
    let long = json!({ "consumer": "c".repeat(65), "topics": ALL }).to_string();
    consumer.send(&long);
    assert!(consumer.error().contains("1 to 64"));
    let many = json!({ "consumer": "rows", "topics": vec!["a"; 65] }).to_string();
    consumer.send(&many);
    assert!(consumer.error().contains("1 to 64 prefixes"));
    consumer.send(&json!({ "consumer": "rows", "topics": ["t".repeat(257)] }).to_string());
    assert!(consumer.error().contains("256 bytes"));
    // A REQ, whose message has an empty part before.
    consumer.socket.send_multipart(["", "{}"], 0).unwrap();
    assert!(consumer.error().contains("DEALER"));
    // None of it did any harm.
    assert_eq!(consumer.read(&relay.id, 0, &ALL).1.len(), 1);
}

#[tokio::test]
async fn much_comes_in_parts() {
    let relay = Relay::start().await;
    large(&relay, 30).await;
    let consumer = Consumer::connect(&relay, "rows");
    let (mut from, mut answers) = (0, 0);
    while from < 30 {
        let (head, read) = consumer.read(&relay.id, from, &ALL);
        assert!(read.iter().map(Message::seq).eq(from..from + read.len() as u64));
        from = head["next"].as_u64().unwrap();
        answers += 1;
    }
    assert_eq!(answers, 15, "two each");
}

#[tokio::test]
async fn a_name_has_one_reader() {
    let (relay, _) = published(3).await;
    let first = Consumer::connect(&relay, "rows");
    first.read(&relay.id, 0, &ALL);
    let other = Consumer::connect(&relay, "audit");
    other.read(&relay.id, 0, &ALL);
    // Whether it says nothing at the moment, or waits for messages.
    let second = Consumer::connect(&relay, "rows");
    assert_eq!(second.read(&relay.id, 1, &ALL).1.len(), 2);
    assert!(first.error().contains("newer connection"));
    second.ask(&relay.id, 3, &ALL);
    let third = Consumer::connect(&relay, "rows");
    assert_eq!(third.read(&relay.id, 2, &ALL).1.len(), 1);
    assert!(second.head_but_empty()["error"].as_str().is_some_and(|it| it.contains("newer connection")));
    other.read(&relay.id, 0, &ALL);
}

#[tokio::test]
async fn names_are_bounded() {
    let (relay, _) = published(1).await;
    let consumers: Vec<_> = (0..64).map(|it| Consumer::connect(&relay, &format!("c{it}"))).collect();
    for consumer in &consumers {
        consumer.read(&relay.id, 0, &ALL);
    }
    let one_more = Consumer::connect(&relay, "one-more");
    one_more.ask(&relay.id, 0, &ALL);
    assert!(one_more.error().contains("too many"));
    drop(consumers);
    loop {
        one_more.ask(&relay.id, 0, &ALL);
        if one_more.head()["messages"] == 1 {
            break;
        }
    }
}

#[tokio::test]
async fn who_asks_and_does_not_read_costs_little() {
    let relay = Relay::start().await;
    large(&relay, 10).await;
    let greedy = Consumer::connect(&relay, "greedy");
    for _ in 0..500 {
        greedy.ask("", 0, &ALL);
    }
    // Another consumer's questions are answered.
    let other = Consumer::connect(&relay, "rows");
    for _ in 0..50 {
        assert_eq!(other.read(&relay.id, 9, &ALL).0["next"], 10);
    }
    assert!(relay.peak_memory() < 200 << 20, "{}", relay.peak_memory());
}

#[tokio::test]
async fn what_is_too_large_is_not_even_read() {
    let (relay, _) = published(1).await;
    let consumer = Consumer::connect(&relay, "rows");
    consumer.socket.send(vec![b'0'; 64 << 20], 0).unwrap();
    // libzmq breaks off, and connects again: the next question is the first that is answered.
    assert_eq!(consumer.read(&relay.id, 0, &ALL).1.len(), 1);
    assert!(relay.peak_memory() < 60 << 20, "{}", relay.peak_memory());
}

#[tokio::test]
async fn who_was_overtaken_is_told_and_gets_the_ledger() {
    let value = format!("\"{}\"", "x".repeat(20_000));
    let setups = [
        (Setup::new().flags(&["--replay-bytes", "1048576"]), 40..75),
        (Setup::new().env("ATOMWIRE_REPLAY_BYTES", "3145728"), 0..1),
    ];
    for (setup, expected) in setups {
        let relay = setup.start().await;
        let mut session = Session::connected(&relay, 1).await;
        session.write("n", "not JSON");
        for _ in 0..100 {
            session.write("n", &value);
        }
        session.settled().await;
        let consumer = Consumer::connect(&relay, "rows");
        let (mut from, mut missed, mut read) = (0, 0, Vec::new());
        while from < 101 {
            let (head, messages) = consumer.read(&relay.id, from, &ALL);
            assert_eq!(head["end"], 101);
            missed += head["missed"].as_u64().unwrap();
            from = head["next"].as_u64().unwrap();
            read.extend(messages);
        }
        assert!(expected.contains(&missed), "{missed}");
        assert_eq!(missed + read.len() as u64, 101);
        assert_eq!(read[0].json["lost"][0]["reason"], "invalid_json");
        assert!(read[1..].iter().map(Message::relay_seq).eq(missed..100));
        assert_eq!(relay.metric("bus_messages_missed_total").await as u64, missed);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_reads_while_updates_stream() {
    let relay = Setup::new().flags(&["--replay-bytes", "1048576"]).start().await;
    let mut writer = Plain::connect(&relay).await;
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = Arc::clone(&stop);
    let stream = tokio::spawn(async move {
        while !stopped.load(Ordering::Relaxed) {
            writer.send(r#"{"key":"n","value":1}"#).await;
        }
    });
    let consumer = Consumer::connect(&relay, "rows");
    let (mut from, mut seq) = (0, 0);
    while seq < 20_000 {
        let (head, read) = block_in_place(|| consumer.read(&relay.id, from, &["atom-updates"]));
        assert_eq!(head["from"], from);
        seq += head["missed"].as_u64().unwrap();
        assert!(read.iter().map(Message::seq).eq(seq..seq + read.len() as u64));
        (from, seq) = (head["next"].as_u64().unwrap(), seq + read.len() as u64);
    }
    stop.store(true, Ordering::Relaxed);
    stream.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_questions_does_not_hold_up_the_bus() {
    let relay = Relay::start().await;
    let mut bus = Subscriber::connect(&relay, &["atom-updates"]).await;
    let mut session = Session::connected(&relay, 1).await;
    let flooder = Consumer::connect(&relay, "flood");
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = Arc::clone(&stop);
    let flood = std::thread::spawn(move || {
        let mut parts = 0_u64;
        let request = json!({ "consumer": "flood", "topics": ALL }).to_string();
        while !stopped.load(Ordering::Relaxed) {
            let _ = flooder.socket.send(&request, zmq::DONTWAIT);
            parts += u64::from(flooder.socket.recv_multipart(zmq::DONTWAIT).is_ok());
        }
        parts
    });
    let consumer = Consumer::connect(&relay, "rows");
    for round in 0..40 {
        for _ in 0..500 {
            session.write("n", "1");
        }
        session.settled().await;
        let messages = bus.take(500).await;
        assert!(messages.iter().map(Message::relay_seq).eq(round * 500..(round + 1) * 500));
        let (head, _) = block_in_place(|| consumer.read(&relay.id, round * 500, &ALL));
        assert_eq!(head["from"], round * 500);
    }
    stop.store(true, Ordering::Relaxed);
    assert!(flood.join().unwrap() > 0);
    assert!(relay.peak_memory() < 200 << 20, "{}", relay.peak_memory());
}

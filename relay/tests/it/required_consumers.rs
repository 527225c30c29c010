//! Consumers that clients wait for.

use crate::sessions::batch;
use crate::support::{Consumer, Message, Plain, Raw, Relay, Session, Setup, body, get, hello, post, within};
use atomwire_wire::proto::client_frame::Frame;
use std::thread::JoinHandle;

const ALL: [&str; 1] = [""];

/// A relay with a small window, which clients may not overrun.
fn small() -> Setup {
    Setup::new().flags(&["--replay-bytes", "1048576", "--required-consumers", "rows"])
}

fn delivered() -> Setup {
    Setup::new().flags(&["--required-consumers", "rows", "--acknowledge", "delivered"])
}

fn large() -> String {
    format!("\"{}\"", "x".repeat(50_000))
}

/// Reads so many updates from the first on, and is done with each answer as the next is asked for.
fn read(relay: &Relay, count: usize) -> JoinHandle<Vec<Message>> {
    let (consumer, id) = (Consumer::connect(relay, "rows"), relay.id.clone());
    std::thread::spawn(move || {
        let (mut from, mut all) = (0, Vec::new());
        while all.len() < count {
            let (head, messages) = consumer.read(&id, from, &["atom-updates"]);
            assert_eq!(head["missed"], 0);
            from = head["next"].as_u64().unwrap();
            all.extend(messages);
        }
        // It is done with the last of them, too.
        consumer.ask(&id, from, &["atom-updates"]);
        consumer.answer();
        all
    })
}

#[tokio::test]
async fn nothing_of_theirs_is_overwritten() {
    let relay = small().start().await;
    let mut session = Session::connected(&relay, 1).await;
    for _ in 0..200 {
        session.write("n", &large());
    }
    // The window holds some twenty of them, and waits.
    let reader = async {
        relay.says(r#""room":"no""#).await;
        read(&relay, 200)
    };
    let ((), reader) = tokio::join!(session.settled(), reader);
    let messages = reader.join().unwrap();
    assert!(messages.iter().map(Message::seq).eq(0..200));
    assert!(relay.peak_memory() < 40 << 20, "{}", relay.peak_memory());
    assert_eq!(relay.metric("bus_messages_missed_total").await, 0);
    relay.balances().await;
}

#[tokio::test]
async fn credit_is_withheld_before_the_window_is_full() {
    let relay = small().start().await;
    let (mut raw, _) = Raw::welcomed(&relay, 1).await;
    let mut granted = 0;
    let mut seq = 0;
    // The bound stays where it was as soon as half of the window is theirs.
    loop {
        raw.send(with_value(seq)).await;
        seq += 1;
        let ack = raw.acknowledgement().await;
        assert_eq!(ack.next_seq, seq);
        let bound = ack.next_seq + u64::from(ack.credit);
        assert!(bound >= granted, "it never moves back");
        if bound == granted {
            break;
        }
        granted = bound;
    }
    assert!((5..20).contains(&seq), "{seq}");
    // Others have their share of what is left, and no more.
    let (mut other, _) = Raw::welcomed(&relay, 2).await;
    other.ping().await;
    let consumer = Consumer::connect(&relay, "rows");
    let (head, _) = consumer.read(&relay.id, 0, &ALL);
    consumer.ask(&relay.id, head["next"].as_u64().unwrap(), &ALL);
    // With the window's room their credit comes back, though nothing was settled meanwhile.
    let (ack, others) = (raw.acknowledgement().await, other.acknowledgement().await);
    assert_eq!((ack.next_seq, ack.credit), (seq, 4096));
    assert_eq!((others.next_seq, others.credit), (0, 4096));
}

fn with_value(seq: u64) -> Frame {
    let Frame::Batch(mut batch) = batch(seq, 1) else { panic!("a batch") };
    batch.updates[0].value = Some(large().into());
    Frame::Batch(batch)
}

#[tokio::test]
async fn clients_are_not_read_while_there_is_no_room() {
    let relay = small().start().await;
    let (mut raw, _) = Raw::welcomed(&relay, 1).await;
    // What the system has no room for either waits.
    let all = async {
        for seq in 0..1_000 {
            raw.send(with_value(seq)).await;
        }
    };
    tokio::select! {
        () = all => panic!("they were read"),
        () = relay.says(r#""room":"no""#) => {}
    }
    let published = relay.metric("updates_published_total").await;
    assert!((15..22).contains(&published), "{published}");
    let mut plain = Plain::connect(&relay).await;
    plain.send(r#"{"key":"n","value":1}"#).await;
    // The relay itself goes on.
    assert_eq!(get(relay.listen, "/health").await.0, 200);
    // A page's last words are not waited for for ever.
    let request = body(vec![Frame::Hello(hello(3)), batch(0, 1)]);
    let (status, _) = within("an answer", post(relay.listen, "/v1/batch", &request)).await;
    assert_eq!(status, 503);
    assert_eq!(relay.metric("updates_published_total").await, published);

    let reader = read(&relay, published as usize + 1);
    relay.reaches("updates_published_total", published + 2).await;
    let messages = reader.join().unwrap();
    assert!(messages.iter().any(|it| it.json["value"] == 1), "the plain one, too");
}

#[tokio::test]
async fn however_many_there_are() {
    let relay = small().start().await;
    let mut others = Vec::new();
    for id in 2..42 {
        // Read, and waited for, while there is room.
        let (mut other, _) = Raw::welcomed(&relay, id).await;
        other.ping().await;
        others.push(other);
    }
    let (mut raw, _) = Raw::welcomed(&relay, 1).await;
    let all = async {
        for seq in 0..1_000 {
            raw.send(with_value(seq)).await;
        }
    };
    tokio::select! {
        () = all => panic!("they were read"),
        () = relay.says(r#""room":"no""#) => {}
    }
    let published = relay.metric("updates_published_total").await;
    for other in &mut others {
        other.send(with_value(0)).await;
    }
    // Each hears that the relay is there, and does not read.
    for other in &mut others {
        assert_eq!(other.acknowledgement().await.next_seq, 0);
    }
    assert_eq!(relay.metric("updates_published_total").await, published);
    let reader = read(&relay, published as usize + others.len());
    for other in &mut others {
        while other.acknowledgement().await.next_seq == 0 {}
    }
    drop(raw);
    reader.join().unwrap();
}

#[tokio::test]
async fn who_waits_for_room_hears_a_sign_of_life() {
    let relay = small().start().await;
    let (mut raw, _) = Raw::welcomed(&relay, 1).await;
    let mut acknowledged = 0;
    for seq in 0..30 {
        raw.send(with_value(seq)).await;
    }
    // The last acknowledgement is said again, long before a client gives its relay up.
    loop {
        let ack = raw.acknowledgement().await;
        if ack.next_seq == acknowledged {
            break;
        }
        acknowledged = ack.next_seq;
    }
    assert!(acknowledged < 30);
}

#[tokio::test]
async fn who_is_away_is_named() {
    let relay = small().start().await;
    let look = async {
        while !get(relay.listen, "/ready").await.1.contains("required consumer rows has been away for") {}
    };
    within("a name", look).await;
    assert_eq!(get(relay.listen, "/ready").await.0, 200);
    let mut session = Session::connected(&relay, 1).await;
    session.write("n", "1");
    session.settled().await;
    let lag = r#"consumer_lag_messages{consumer="rows"}"#;
    assert_eq!(relay.metric(lag).await, 1);
    let consumer = Consumer::connect(&relay, "rows");
    consumer.read(&relay.id, 0, &ALL);
    assert_eq!(get(relay.listen, "/ready").await.1, "ready\n");
    consumer.read(&relay.id, 1, &ALL);
    assert_eq!(relay.metric(lag).await, 0);
}

#[tokio::test]
async fn what_is_delivered_is_acknowledged() {
    let relay = delivered().start().await;
    let (mut raw, _) = Raw::welcomed(&relay, 1).await;
    for seq in 0..10 {
        raw.send(batch(seq, 1)).await;
        raw.ping_without_acknowledgement().await;
    }
    let consumer = Consumer::connect(&relay, "rows");
    let (head, messages) = consumer.read(&relay.id, 0, &ALL);
    assert_eq!((head["next"].as_u64(), messages.len()), (Some(10), 10));
    raw.ping_without_acknowledgement().await;
    consumer.ask(&relay.id, 4, &ALL);
    assert_eq!(raw.acknowledgement().await.next_seq, 4);
    assert_eq!(consumer.answer().1.len(), 6);
    consumer.ask(&relay.id, 10, &ALL);
    assert_eq!(raw.acknowledgement().await.next_seq, 10);
    consumer.answer();
    // It may read something once more, and is done with it all the same.
    assert_eq!(consumer.read(&relay.id, 8, &ALL).1.len(), 2);
    assert_eq!(relay.metric(r#"consumer_lag_messages{consumer="rows"}"#).await, 0);
}

#[tokio::test]
async fn a_session_that_comes_back_waits_on() {
    let relay = delivered().start().await;
    let (mut raw, _) = Raw::welcomed(&relay, 1).await;
    raw.send(batch(0, 5)).await;
    raw.ping_without_acknowledgement().await;
    drop(raw);
    let consumer = Consumer::connect(&relay, "rows");
    consumer.read(&relay.id, 0, &ALL);
    // Nothing is settled; what it sends again is known.
    let (mut raw, next_seq) = Raw::welcomed(&relay, 1).await;
    assert_eq!(next_seq, 0);
    raw.send(batch(0, 7)).await;
    raw.ping_without_acknowledgement().await;
    assert_eq!(relay.metric("updates_duplicate_total").await, 5);
    consumer.ask(&relay.id, 5, &ALL);
    assert_eq!(raw.acknowledgement().await.next_seq, 5);
    let (head, messages) = consumer.answer();
    assert_eq!((head["next"].as_u64(), messages.len()), (Some(7), 2));
    drop(raw);
    // What is delivered while it is away is settled when it is back.
    consumer.ask(&relay.id, 7, &ALL);
    relay.settles(r#"consumer_lag_messages{consumer="rows"}"#, |lag| lag == 0).await;
    assert_eq!(Raw::welcomed(&relay, 1).await.1, 7);
}

#[tokio::test]
async fn a_killed_relay_takes_nothing_along() {
    let mut first = delivered().start().await;
    let mut session = Session::connected(&first, 1).await;
    for number in 0..50 {
        session.write("n", &number.to_string());
    }
    let killed = async {
        first.reaches("updates_published_total", 50).await;
        first.signal("-KILL").await;
        first.ended().await;
    };
    tokio::join!(session.run(), killed);
    assert_eq!(session.emitter.stats().acknowledged, 0);
    let second = delivered().start().await;
    session.connect(&second).await;
    let reader = read(&second, 50);
    session.settled().await;
    assert!(reader.join().unwrap().iter().map(Message::seq).eq(0..50));
}

#[tokio::test]
async fn a_last_request_is_answered_with_what_is_settled() {
    let relay = delivered().start().await;
    let request = body(vec![Frame::Hello(hello(1)), batch(0, 3)]);
    let (status, _) = within("an answer", post(relay.listen, "/v1/batch", &request)).await;
    assert_eq!(status, 200);
    let consumer = Consumer::connect(&relay, "rows");
    assert_eq!(consumer.read(&relay.id, 0, &ALL).1.len(), 3);
    consumer.read(&relay.id, 3, &ALL);
    assert_eq!(Raw::welcomed(&relay, 1).await.1, 3);
}

#[tokio::test]
async fn the_end_waits_for_them() {
    let mut relay = small().start().await;
    let mut session = Session::connected(&relay, 1).await;
    session.write("n", "1");
    session.settled().await;
    relay.terminate().await;
    session.run().await;
    // It comes when the relay is about to end, and is still served.
    relay.says("draining").await;
    let consumer = Consumer::connect(&relay, "rows");
    let (mut from, mut last) = (0, Vec::new());
    while !last.iter().any(|it: &Message| it.json["end"] == true && it.json.get("session").is_none()) {
        let (head, messages) = consumer.read(&relay.id, from, &ALL);
        (from, last) = (head["next"].as_u64().unwrap(), messages);
    }
    consumer.ask(&relay.id, from, &ALL);
    assert!(relay.ended().await.success(), "{}", relay.log());
    assert!(relay.log().contains(r#""messages_drained":true"#));
}

#[tokio::test]
async fn who_is_not_done_at_the_end_is_named() {
    let mut relay = small().start().await;
    let mut session = Session::connected(&relay, 1).await;
    for _ in 0..3 {
        session.write("n", "1");
    }
    session.settled().await;
    let (rows, audit) = (Consumer::connect(&relay, "rows"), Consumer::connect(&relay, "audit"));
    rows.read(&relay.id, 2, &ALL);
    audit.read(&relay.id, 1, &ALL);
    relay.terminate().await;
    session.run().await;
    assert_eq!(relay.ended().await.code(), Some(1));
    let log = relay.log();
    for (consumer, messages) in [("rows", 2), ("audit", 3)] {
        let line = log.lines().find(|line| {
            line.contains("not done with the last messages")
                && line.contains(&format!(r#""consumer":"{consumer}""#))
        });
        let line: serde_json::Value = serde_json::from_str(line.expect(&log)).unwrap();
        assert_eq!(line["messages"], messages, "the relay's end among them");
    }
}

#[tokio::test]
async fn wrong_settings_are_named() {
    let said = |flags: &'static [&'static str]| async move {
        let output = Setup::bare().flags(flags).run().await;
        assert_eq!(output.status.code(), Some(64));
        String::from_utf8(output.stderr).unwrap()
    };
    let both = said(&["--required-consumers=a b,c", "--acknowledge=later"]).await;
    assert!(both.contains("--required-consumers: a consumer's name is 1 to 64"), "{both}");
    assert!(both.contains("--acknowledge: \"later\" is neither \"taken\" nor \"delivered\""), "{both}");
    let alone = said(&["--acknowledge=delivered"]).await;
    assert!(alone.contains("--acknowledge delivered needs --required-consumers"), "{alone}");
}

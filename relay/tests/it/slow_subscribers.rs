//! A subscriber that stops reading: it is overtaken and sees so, nobody else is slowed down, and memory stays bounded.

use crate::support::{Message, Relay, Session, Subscriber};

/// A subscriber that does not read.
async fn stalled(relay: &Relay) -> zmq::Socket {
    let stalled = zmq::Context::new().socket(zmq::SUB).unwrap();
    stalled.set_rcvhwm(1).unwrap();
    stalled.set_rcvbuf(4096).unwrap();
    stalled.connect(&relay.bus).unwrap();
    stalled.set_subscribe(b"atom-updates").unwrap();
    relay.reaches("bus_subscriptions", 1).await;
    stalled
}

/// Writes `count` values of so many bytes, while another subscriber reads.
async fn overtake(relay: &Relay, session: &mut Session, bytes: usize, count: usize) {
    let mut fast = Subscriber::connect(relay, &["atom-updates"]).await;
    let value = format!("\"{}\"", "x".repeat(bytes));
    let mut expected = 0;
    while expected < count {
        let together = (2_000_000 / bytes).min(500);
        for _ in 0..together {
            session.write("n", &value);
        }
        session.settled().await;
        // One that reads is never far behind.
        let read = fast.take(together).await;
        assert!(read.iter().map(Message::relay_seq).eq(expected as u64..(expected + together) as u64));
        expected += together;
    }
}

async fn is_overtaken_alone(bytes: usize, count: usize) {
    let relay = Relay::start().await;
    let stalled = stalled(&relay).await;
    let mut session = Session::connected(&relay, 1).await;
    overtake(&relay, &mut session, bytes, count).await;
    // The window's 32 MiB, and little beside.
    assert!(relay.peak_memory() < 80 << 20, "{}", relay.peak_memory());
    assert!(relay.metric("bus_lag_bytes").await > 30 << 20, "more than the window holds");
    relay.balances().await;

    // It wakes up, reads what was on its way, and goes on with the oldest that is still there.
    stalled.set_rcvtimeo(15_000).unwrap();
    let mut expected = 0;
    let seq = loop {
        let seq = next(&stalled);
        if seq != expected {
            break seq;
        }
        expected += 1;
    };
    let missed = seq - expected;
    relay.settles("bus_messages_missed_total", |counted| counted == missed as i64).await;
    // Who is gone is behind no more.
    drop(stalled);
    relay.settles("bus_lag_bytes", |lag| lag == 0).await;
}

/// The `relay.seq` of the next message.
fn next(subscriber: &zmq::Socket) -> u64 {
    let message = loop {
        match tokio::task::block_in_place(|| subscriber.recv_multipart(0)) {
            // Another test's process has ended.
            Err(zmq::Error::EINTR) => {}
            message => break message.expect("a message"),
        }
    };
    let json: serde_json::Value = serde_json::from_slice(&message[1]).unwrap();
    json["relay"]["seq"].as_u64().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn who_stands_still_is_overtaken_alone() {
    is_overtaken_alone(4096, 16_000).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn however_large_the_values_are() {
    is_overtaken_alone(250 * 1024, 280).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_not_taken_everything_at_the_end_is_named() {
    let mut relay = Relay::start().await;
    let stalled = stalled(&relay).await;
    let mut session = Session::connected(&relay, 1).await;
    overtake(&relay, &mut session, 100_000, 200).await;
    relay.terminate().await;
    session.run().await;
    assert_eq!(relay.ended().await.code(), Some(1));
    let log = relay.log();
    let line = |message: &str| -> serde_json::Value {
        let line = log.lines().find(|line| line.contains(message)).expect(&log);
        serde_json::from_str(line).unwrap()
    };
    let behind = line("it has not taken the last messages");
    let lacking = behind["messages"].as_u64().unwrap();
    assert!(behind["bytes"].as_u64().unwrap() >= 100_000 * (lacking - 1));
    let ended = line(r#""message":"ended""#);
    assert_eq!((&ended["messages_drained"], &ended["subscribers_behind"]), (&false.into(), &1.into()));
    // What the system had taken for it still comes. Nothing is missing that was not named, and what was named is that,
    // the relay's end, and what was on its way when it was cut off.
    stalled.set_rcvtimeo(2_000).unwrap();
    let mut read = 0;
    while tokio::task::block_in_place(|| stalled.recv_multipart(0)).is_ok() {
        read += 1;
    }
    let all = read + lacking;
    assert!((201..=205).contains(&all), "{read} read, {lacking} named");
}

//! A subscriber that stops reading: it loses messages and sees so, nobody else does, and memory stays
//! bounded.

use crate::support::{Message, Relay, Session, Setup, Subscriber};

/// Of 4 KiB each: more than libzmq's mark and the system's buffers hold for one subscriber.
const MESSAGES: u64 = 16_000;

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

async fn a_stalled_subscriber(policy: &str) {
    let relay = Setup::new().flags(&["--slow-subscribers", policy]).start().await;
    let stalled = stalled(&relay).await;
    let mut fast = Subscriber::connect(&relay, &["atom-updates"]).await;

    let mut session = Session::connected(&relay, 1).await;
    let value = format!("\"{}\"", "x".repeat(4096));
    for round in 0..MESSAGES / 500 {
        for _ in 0..500 {
            session.write("n", &value);
        }
        session.settled().await;
        // One that reads is never far behind.
        assert!(fast.take(500).await.iter().map(Message::relay_seq).eq(round * 500..(round + 1) * 500));
    }
    assert_eq!(relay.metric("updates_published_total").await, MESSAGES as i64);
    assert_eq!(relay.metric("bus_congestion_total").await, 1);
    relay.balances().await;
    assert!(relay.peak_memory() < 160 << 20, "{}", relay.peak_memory());

    // It wakes up, reads what was kept for it, and goes on with what is new.
    stalled.set_rcvtimeo(100).unwrap();
    let mut expected = 0;
    let seq = loop {
        let seq = next(&stalled, &mut session).await;
        if seq != expected {
            break seq;
        }
        expected += 1;
    };
    assert!(expected < seq, "it sees how many it missed");
}

/// The `relay.seq` of the next message; what is new is written once everything kept has been read.
async fn next(subscriber: &zmq::Socket, session: &mut Session) -> u64 {
    let message = loop {
        match tokio::task::block_in_place(|| subscriber.recv_multipart(0)) {
            Err(zmq::Error::EAGAIN) => {
                session.write("n", "1");
                session.settled().await;
            }
            // Another test's process has ended.
            Err(zmq::Error::EINTR) => {}
            message => break message.expect("a message"),
        }
    };
    let json: serde_json::Value = serde_json::from_slice(&message[1]).unwrap();
    json["relay"]["seq"].as_u64().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn policy_wait() {
    a_stalled_subscriber("wait").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn policy_drop() {
    a_stalled_subscriber("drop").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_slows_the_browsers_down_and_not_the_memory_up() {
    let relay = Setup::new().flags(&["--slow-subscribers", "wait"]).start().await;
    let _stalled = stalled(&relay).await;
    let mut fast = Subscriber::connect(&relay, &["atom-updates"]).await;
    let mut browsers = Vec::new();
    for id in 0..4 {
        let mut session = Session::connected(&relay, id).await;
        let value = format!("\"{}\"", "x".repeat(8192));
        browsers.push(tokio::spawn(async move {
            for _ in 0..4_500 {
                session.write("n", &value);
            }
            session.settled().await;
            session
        }));
    }
    let reader = tokio::spawn(async move { fast.take(18_000).await });
    // 150 MB are on their way: what is too much for now waits in the browsers.
    let mut most = 0;
    while relay.metric("updates_published_total").await < 18_000 {
        most = most.max(relay.metric("bus_queue_bytes").await);
    }
    assert!((1..=32 << 20).contains(&most), "{most}");
    assert!(reader.await.unwrap().iter().map(Message::relay_seq).eq(0..18_000));
    for browser in browsers {
        assert_eq!(browser.await.unwrap().emitter.stats().acknowledged, 4_500);
    }
    assert_eq!(relay.metric("bus_congestion_total").await, 1);
    relay.balances().await;
    // 32 MB each for the queue and the window, 80 for the subscriber that does not read.
    assert!(relay.peak_memory() < 250 << 20, "{}", relay.peak_memory());
}

//! What a consumer may rely on, whatever brought the updates.

use crate::support::{Message, Plain, Relay, Session, Setup, Subscriber};
use serde_json::json;

#[tokio::test]
async fn everything_comes_in_order_and_is_counted() {
    let relay = Relay::start().await;
    let mut bus = Subscriber::connect(&relay, &["atom-updates"]).await;
    let (mut one, mut two) = (Session::connected(&relay, 1).await, Plain::connect(&relay).await);
    for number in 0..500 {
        one.write("n", &number.to_string());
        two.send(json!({ "key": "n", "value": number }).to_string()).await;
    }
    one.settled().await;
    let messages = bus.take(1000).await;
    assert!(messages.iter().map(Message::relay_seq).eq(0..1000));
    assert!(messages.iter().all(|it| it.json["relay"]["id"] == relay.id.as_str()));
    let session = json!(crate::support::session(1));
    let (one, two): (Vec<_>, Vec<_>) = messages.into_iter().partition(|it| it.json["session"] == session);
    for messages in [one, two] {
        assert!(messages.iter().map(Message::seq).eq(0..500));
        assert!(messages.iter().map(|it| it.json["value"].as_u64().unwrap()).eq(0..500));
    }
}

#[tokio::test]
async fn a_topic_may_name_the_key() {
    let relay = Setup::new().flags(&["--topic", "atom-updates.{key}"]).start().await;
    let mut carts = Subscriber::connect(&relay, &["atom-updates.cart"]).await;
    let mut all = Subscriber::connect(&relay, &["atom-updates"]).await;
    let mut session = Session::connected(&relay, 1).await;
    for key in ["cart", "user", "cart"] {
        session.write(key, "1");
    }
    session.settled().await;
    let seen: Vec<_> = all.take(3).await.iter().map(|it| (it.topic.clone(), it.relay_seq())).collect();
    let topic = |key| format!("atom-updates.{key}");
    assert_eq!(seen, [(topic("cart"), 0), (topic("user"), 0), (topic("cart"), 1)]);
    let seqs: Vec<_> = carts.take(2).await.iter().map(|it| (it.seq(), it.relay_seq())).collect();
    assert_eq!(seqs, [(0, 0), (2, 1)]);
}

#[tokio::test]
async fn subscriptions_are_counted_as_they_come_and_go() {
    let relay = Relay::start().await;
    let bus = Subscriber::connect(&relay, &["atom-updates", "atomwire.ledger"]).await;
    let other = Subscriber::connect(&relay, &["atom-updates"]).await;
    drop(bus);
    relay.settles("bus_subscriptions", |open| open == 1).await;
    drop(other);
    relay.settles("bus_subscriptions", |open| open == 0).await;
}

/// A relay with that bus.
fn on(bus: &str) -> Setup {
    let flags = ["--listen=127.0.0.1:0", "--replay=tcp://127.0.0.1:0", "--bus", bus];
    Setup::bare().flags(&flags).env("OTEL_TRACES_EXPORTER", "none")
}

#[tokio::test]
async fn the_bus_may_be_a_unix_socket() {
    let path = std::env::temp_dir().join(format!("atomwire-bus-{}", std::process::id()));
    let bus = format!("ipc://{}", path.display());
    // What an earlier relay has left is in nobody's way.
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let relay = on(&bus).start().await;
    assert_eq!(relay.bus, bus);
    let socket = zmq::Context::new().socket(zmq::SUB).unwrap();
    socket.set_rcvtimeo(15_000).unwrap();
    socket.connect(&bus).unwrap();
    socket.set_subscribe(b"atom-updates").unwrap();
    relay.reaches("bus_subscriptions", 1).await;
    let mut session = Session::connected(&relay, 1).await;
    session.write("n", "1");
    session.settled().await;
    assert_eq!(socket.recv_multipart(0).unwrap()[0], b"atom-updates");
    std::fs::remove_file(&path).unwrap();
}

#[tokio::test]
async fn a_file_that_is_no_socket_is_left_alone() {
    let path = std::env::temp_dir().join(format!("atomwire-file-{}", std::process::id()));
    std::fs::write(&path, "mine").unwrap();
    let output = on(&format!("ipc://{}", path.display())).run().await;
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(said.contains("cannot bind --bus") && said.contains("Address already in use"), "{said}");
    assert_eq!(std::fs::read(&path).unwrap(), b"mine");
    std::fs::remove_file(&path).unwrap();
}

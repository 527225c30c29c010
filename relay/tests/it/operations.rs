//! What operators see, and what the relay leaves behind.

use crate::support::{Plain, Relay, Session, Setup, get, request};
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

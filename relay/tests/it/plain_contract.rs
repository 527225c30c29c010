//! The plain contract: JSON text messages in, the bus contract out.

use crate::support::{Plain, Relay, Setup, Subscriber, now_us, request};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "b7ad6b7169203331";

/// A handshake of this contract.
const UPGRADE: &str = "GET /v1/stream HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                       Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==";

/// What W3C Trace Context level 2 does not have in a `tracestate`.
pub(crate) fn malformed_states() -> impl Iterator<Item = String> {
    let members = |count: usize| (0..count).map(|it| format!("k{it}=v")).collect::<Vec<_>>().join(",");
    let too_long = format!("a={},b={}", "x".repeat(255), "x".repeat(254));
    let malformed = ["no pairs", "a=1\r\nevil: 2", "a=ü", "a=1,b=2,a=3", "a=1\u{0}", "A=1"];
    malformed.into_iter().map(str::to_owned).chain([members(33), too_long])
}

fn update(key: &str, value: &str) -> String {
    format!(r#"{{"key":{},"value":{value}}}"#, json!(key))
}

#[tokio::test]
async fn an_update_becomes_one_message() {
    let relay = Relay::start().await;
    let mut bus = Subscriber::connect(&relay, &["atom-updates"]).await;
    let mut client = Plain::connect(&relay).await;
    let before = now_us();
    let traceparent = format!("00-{TRACE}-{PARENT}-03");
    let value = r#"{ "b": 1.0, "a": "ü" }"#;
    let context = format!(r#""traceparent":"{traceparent}","tracestate":"rojo=1""#);
    client.send(format!(r#"{{"key":"cart","value":{value},{context}}}"#)).await;
    let message = bus.next().await;
    let after = now_us();

    assert_eq!(message.topic, "atom-updates");
    let [version, trace_id, span_id, flags] = message.trace();
    assert_eq!((version, trace_id, flags), ("00", TRACE, "03"));
    assert_ne!(span_id, PARENT, "the relay's own span is the next one's parent");
    let (session, time) = (message.json["session"].as_str().unwrap(), message.json["time"].as_str().unwrap());
    assert_eq!(session.len(), 32);
    assert!(session.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f')), "{session}");
    let at = humantime::parse_rfc3339(time).unwrap().duration_since(std::time::UNIX_EPOCH).unwrap();
    assert!((before..=after).contains(&(at.as_micros() as u64)), "{time}");
    assert_eq!(time.len(), "2026-11-21T02:30:44.123456Z".len());
    let context = format!(r#""traceparent":"00-{TRACE}-{span_id}-03","tracestate":"rojo=1""#);
    let source = format!(r#""session":"{session}","seq":0,"time":"{time}""#);
    let relay = format!(r#""relay":{{"id":"{}","seq":0}}"#, relay.id);
    let expected = format!(r#"{{"key":"cart","value":{value},{context},{source},{relay}}}"#);
    assert_eq!(message.text, expected);
}

#[tokio::test]
async fn the_flags_of_a_parent_survive() {
    let relay = Relay::start().await;
    let mut bus = Subscriber::connect(&relay, &["atom-updates"]).await;
    let mut client = Plain::connect_to(&relay, "/v1/stream").await;
    for flags in ["00", "01", "02", "03"] {
        let parent = format!("00-{TRACE}-{PARENT}-{flags}");
        client.send(json!({ "key": "n", "value": 1, "traceparent": parent }).to_string()).await;
        let message = bus.next().await;
        assert_eq!(message.trace()[1], TRACE);
        assert_eq!(message.trace()[3], flags);
    }
}

#[tokio::test]
async fn without_a_valid_parent_the_trace_starts_here() {
    let relay = Relay::start().await;
    let mut bus = Subscriber::connect(&relay, &["atom-updates"]).await;
    let mut client = Plain::connect(&relay).await;
    let mut seen = Vec::new();
    for parent in [
        json!(null),
        json!(""),
        json!("01"),
        json!(format!("00-{TRACE}-{PARENT}-0")),
        json!(format!("00-{}-{PARENT}-01", "0".repeat(32))),
        json!(format!("00-{TRACE}-{}-01", "0".repeat(16))),
        json!(format!("ff-{TRACE}-{PARENT}-01")),
        json!(format!("00-{}-{PARENT}-01", TRACE.to_uppercase())),
    ] {
        let text = json!({ "key": "n", "value": 1, "traceparent": parent, "tracestate": "rojo=1" });
        client.send(text.to_string()).await;
        let message = bus.next().await;
        let [version, trace_id, _, flags] = message.trace();
        assert_eq!((version, flags), ("00", "03"), "sampled, and random by our own doing");
        assert_ne!(trace_id, TRACE);
        assert_eq!(message.json.get("tracestate"), None, "it belongs to the parent");
        seen.push(trace_id.to_owned());
    }
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen.len(), 8, "each is a trace of its own");
}

#[tokio::test]
async fn a_malformed_tracestate_is_dropped() {
    let relay = Relay::start().await;
    let mut bus = Subscriber::connect(&relay, &["atom-updates"]).await;
    let mut client = Plain::connect(&relay).await;
    for state in malformed_states() {
        let parent = format!("00-{TRACE}-{PARENT}-01");
        let text = json!({ "key": "n", "value": 1, "traceparent": parent, "tracestate": state });
        client.send(text.to_string()).await;
        let message = bus.next().await;
        assert_eq!(message.trace()[1], TRACE);
        assert_eq!(message.json.get("tracestate"), None, "{state}");
    }
}

#[tokio::test]
async fn what_is_wrong_is_named_and_costs_nothing_else() {
    let relay = Relay::start().await;
    let mut bus = Subscriber::connect(&relay, &["atom-updates"]).await;
    let mut client = Plain::connect(&relay).await;
    let (deep, deepest) = ("[".repeat(65) + &"]".repeat(65), "[".repeat(64) + &"]".repeat(64));
    let (large, largest) =
        (format!("\"{}\"", "x".repeat(256 * 1024 - 1)), format!("\"{}\"", "x".repeat(256 * 1024 - 2)));
    let wrong = [
        (String::new(), "message", None),
        ("hello".to_owned(), "message", None),
        ("[]".to_owned(), "message", None),
        (r#"["n",1]"#.to_owned(), "message", None),
        (r#" ["n",1,null,null]"#.to_owned(), "message", None),
        (r#"{"key":"n"}"#.to_owned(), "message", None),
        (r#"{"key":1,"value":1}"#.to_owned(), "message", None),
        (r#"{"key":"n","value":1} {}"#.to_owned(), "message", None),
        (update("", "1"), "key", Some(256)),
        (update(&"k".repeat(257), "1"), "key", Some(256)),
        (update("k\0", "1"), "key", None),
        (update("n", &large), "value", Some(256 * 1024)),
        (update("n", &deep), "value", Some(64)),
    ];
    let mut count = 0;
    for (text, field, limit) in wrong {
        client.send(text).await;
        let error = &client.answer().await["error"];
        assert_eq!((error["field"].as_str(), error["limit"].as_u64()), (Some(field), limit), "{error}");
        assert!(error["message"].is_string());
        count += 1;
    }
    assert_eq!(relay.metric(r#"updates_dropped_total{reason="invalid_message"}"#).await, count);

    let right = [update(&"k".repeat(256), "null"), update("n", &largest), update("n", &deepest)];
    for (seq, text) in right.into_iter().enumerate() {
        client.send(text).await;
        assert_eq!(bus.next().await.seq(), seq as u64, "what was refused took no number");
    }
    relay.balances().await;
}

#[tokio::test]
async fn binary_messages_are_for_the_other_contract() {
    let relay = Relay::start().await;
    let mut bus = Subscriber::connect(&relay, &["atom-updates"]).await;
    let mut client = Plain::connect(&relay).await;
    client.send(Message::Binary(update("n", "1").into())).await;
    let error = client.answer().await;
    assert!(error["error"]["message"].as_str().unwrap().contains("atomwire.v1"), "{error}");
    client.send(update("n", "2")).await;
    assert_eq!(bus.next().await.json["value"], 2);
}

#[tokio::test]
async fn a_message_beyond_the_limit_ends_the_connection_by_name() {
    let relay = Relay::start().await;
    let mut client = Plain::connect(&relay).await;
    client.send("x".repeat(16 << 20)).await;
    let goodbye = client.goodbye().await;
    assert_eq!(goodbye.code, CloseCode::Size);
    assert!(goodbye.reason.contains("524288"), "{}", goodbye.reason);
}

#[tokio::test]
async fn what_came_before_a_client_vanished_is_published() {
    let relay = Relay::start().await;
    for _ in 0..20 {
        let mut client = Plain::connect(&relay).await;
        // Of each two, one wants an answer that nobody will read.
        for _ in 0..20 {
            client.feed(update("n", "1")).await;
            client.feed("wrong").await;
        }
        client.send(update("n", "1")).await;
    }
    relay.settles("connections", |open| open == 0).await;
    relay.balances().await;
}

#[tokio::test]
async fn the_end_of_a_connection_is_on_the_ledger() {
    let relay = Relay::start().await;
    let mut bus = Subscriber::connect(&relay, &["atom"]).await;
    let mut client = Plain::connect(&relay).await;
    client.send(update("n", "1")).await;
    let session = bus.next().await.json["session"].clone();
    client.close().await;
    let end = bus.next().await;
    assert_eq!(end.topic, "atomwire.ledger");
    let relay = json!({ "id": relay.id, "seq": 0 });
    assert_eq!(
        end.json,
        json!({ "session": session, "end": true, "next_seq": 1, "reason": "closed", "relay": relay })
    );
}

#[tokio::test]
async fn a_token_is_asked_for_where_there_is_one() {
    let relay = Setup::new().env("ATOMWIRE_TOKEN", "sesame").start().await;
    for authorization in ["", "\r\nAuthorization: Bearer", "\r\nAuthorization: Bearer sesam"] {
        let (status, body) = request(relay.listen, &format!("{UPGRADE}{authorization}"), b"").await;
        assert_eq!(status, 401, "{authorization:?}");
        assert!(String::from_utf8(body).unwrap().contains("bearer token"));
    }
    let (mut stream, right) = (TcpStream::connect(relay.listen).await.unwrap(), "Bearer sesame");
    let head = format!("{UPGRADE}\r\nHost: relay\r\nAuthorization: {right}\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 101");
    assert!(!relay.log().contains("sesame"));
}

//! `POST /v1/batch`: a page's last words.

use crate::ledger::ranges;
use crate::sessions::batch;
use crate::support::{Message, Raw, Relay, Subscriber, body, hello, post};
use atomwire_wire::proto::client_frame::Frame;
use atomwire_wire::proto::server_frame::Frame::{Ack, GoAway, Welcome};
use atomwire_wire::proto::{Batch, Bye, GoAwayReason, ServerFrame, server_frame};
use prost::Message as _;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

fn frames(mut answer: &[u8]) -> Vec<server_frame::Frame> {
    let mut frames = Vec::new();
    while !answer.is_empty() {
        frames.push(ServerFrame::decode_length_delimited(&mut answer).unwrap().frame.unwrap());
    }
    frames
}

#[tokio::test]
async fn a_session_fits_into_a_request() {
    let relay = Relay::start().await;
    let mut bus = Subscriber::connect(&relay, &["atom"]).await;
    let bye = Frame::Bye(Bye { next_seq: 8 });
    let request = body(vec![Frame::Hello(hello(1)), batch(0, 5), batch(5, 3), bye]);
    let (status, answer) = post(relay.listen, "/v1/batch", &request).await;
    assert_eq!(status, 200);
    let answer = frames(&answer);
    let [Welcome(welcome), Ack(ack)] = &answer[..] else { panic!("{answer:?}") };
    assert_eq!((welcome.next_seq, ack.next_seq), (0, 8));
    assert!(bus.take(8).await.iter().map(Message::seq).eq(0..8));
    assert_eq!(bus.next().await.json["end"], true);
}

#[tokio::test]
async fn all_that_it_brings_is_settled_in_its_answer() {
    let relay = Relay::start().await;
    let lost = |first| Frame::Batch(Batch { lost: ranges(first, 256), ..Batch::default() });
    // More losses than a session may tell at once.
    let request = body(vec![Frame::Hello(hello(1)), lost(0), lost(256), lost(512), batch(768, 1)]);
    let (_, answer) = post(relay.listen, "/v1/batch", &request).await;
    let answer = frames(&answer);
    let [Welcome(_), Ack(ack)] = &answer[..] else { panic!("{answer:?}") };
    assert_eq!(ack.next_seq, 769);
}

#[tokio::test]
async fn it_ends_what_a_socket_began() {
    let relay = Relay::start().await;
    let mut bus = Subscriber::connect(&relay, &["atom-updates"]).await;
    let (mut raw, _) = Raw::welcomed(&relay, 1).await;
    raw.send(batch(0, 5)).await;
    relay.reaches("updates_published_total", 5).await;
    let request = body(vec![Frame::Hello(hello(1)), batch(3, 5)]);
    let (_, answer) = post(relay.listen, "/v1/batch", &request).await;
    assert_eq!(frames(&answer).len(), 2);
    // If its page is still there after all, it comes back.
    raw.sent_away(GoAwayReason::Unspecified).await;
    assert_eq!(Raw::welcomed(&relay, 1).await.1, 8);
    assert!(bus.take(8).await.iter().map(Message::seq).eq(0..8));
    relay.balances().await;
}

#[tokio::test]
async fn what_is_wrong_is_named() {
    let relay = Relay::start().await;
    let greeted = |frame| body(vec![Frame::Hello(hello(1)), frame]);
    let cases = [
        (vec![], "the first frame must be hello"),
        (body(vec![batch(0, 1)]), "the first frame must be hello"),
        (greeted(batch(1, 1)), "0 is next"),
        (greeted(Frame::Hello(hello(1))), "a second hello"),
        (greeted(Frame::Bye(Bye { next_seq: 1 })), "bye.next_seq is 1, but 0 is next"),
        // Garbage.
        (vec![0xff], "length is none, or beyond the body"),
        (vec![0xff; 100], "length is none, or beyond the body"),
        (vec![200, 1, 2], "length is none, or beyond the body"),
        (vec![3, 0xff, 0xff, 0xff], "malformed frame"),
    ];
    let count = cases.len() as i64;
    for (request, named) in cases {
        let away = refused(&relay, &request, GoAwayReason::ProtocolError).await;
        assert!(away.contains(named), "{away:?} names {named:?}");
    }
    assert_eq!(relay.metric(r#"bad_input_total{kind="frame"}"#).await, count);
    assert_eq!(post(relay.listen, "/v1/batch", &vec![0; 600 * 1024]).await.0, 413);
}

/// What the relay says last to a request that it refuses.
async fn refused(relay: &Relay, request: &[u8], reason: GoAwayReason) -> String {
    let (status, answer) = post(relay.listen, "/v1/batch", request).await;
    assert_eq!(status, 200);
    match frames(&answer).pop() {
        Some(GoAway(away)) => {
            assert_eq!(away.reason(), reason, "{}", away.message);
            away.message
        }
        other => panic!("not refused: {other:?}"),
    }
}

#[tokio::test]
async fn what_came_before_a_fault_is_taken_and_acknowledged() {
    let relay = Relay::start().await;
    let mut bus = Subscriber::connect(&relay, &["atom-updates"]).await;
    let whole = body(vec![Frame::Hello(hello(1)), batch(0, 3), batch(3, 3)]);
    let (_, answer) = post(relay.listen, "/v1/batch", &whole[..whole.len() - 1]).await;
    let [Welcome(_), Ack(ack), GoAway(away)] = &frames(&answer)[..] else { panic!("{:?}", frames(&answer)) };
    assert_eq!((ack.next_seq, away.reason()), (3, GoAwayReason::ProtocolError));
    assert!(bus.take(3).await.iter().map(Message::seq).eq(0..3));
    assert_eq!(Raw::welcomed(&relay, 1).await.1, 3, "the rest may come again");
    relay.balances().await;
}

#[tokio::test]
async fn nothing_follows_a_goodbye() {
    let relay = Relay::start().await;
    let mut bus = Subscriber::connect(&relay, &["atom"]).await;
    let bye = Frame::Bye(Bye { next_seq: 3 });
    let request = body(vec![Frame::Hello(hello(1)), batch(0, 3), bye, batch(3, 1)]);
    let said = refused(&relay, &request, GoAwayReason::ProtocolError).await;
    assert!(said.contains("a frame after bye"), "{said}");
    assert!(bus.take(3).await.iter().map(Message::seq).eq(0..3));
    assert_eq!(bus.next().await.json["next_seq"], 3);
}

#[tokio::test]
async fn a_page_that_does_not_wait_gives_its_session_back() {
    let relay = Relay::start().await;
    for id in 0..20 {
        let request = body(vec![Frame::Hello(hello(id)), batch(0, 1000)]);
        let mut stream = TcpStream::connect(relay.listen).await.unwrap();
        let head =
            format!("POST /v1/batch HTTP/1.1\r\nHost: relay\r\nContent-Length: {}\r\n\r\n", request.len());
        stream.write_all(&[head.as_bytes(), &request].concat()).await.unwrap();
        drop(stream);
        // All of it, or nothing if the relay saw the page go first.
        let (_, next_seq) = Raw::welcomed(&relay, id).await;
        assert!([0, 1000].contains(&next_seq), "{next_seq}");
    }
    relay.balances().await;
}

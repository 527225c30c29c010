//! `POST /v1/batch`: a page's last words.

use crate::sessions::batch;
use crate::support::{Message, Raw, Relay, Subscriber, frame, hello, post};
use atomwire_wire::proto::client_frame::Frame;
use atomwire_wire::proto::{Bye, GoAwayReason, ServerFrame, server_frame};
use prost::Message as _;
use prost::encoding::encode_varint;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

fn body(frames: Vec<Frame>) -> Vec<u8> {
    let mut body = Vec::new();
    for it in frames {
        let bytes = frame(it);
        encode_varint(bytes.len() as u64, &mut body);
        body.extend_from_slice(&bytes);
    }
    body
}

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
    let [server_frame::Frame::Welcome(welcome), server_frame::Frame::Ack(ack)] = &answer[..] else {
        panic!("{answer:?}")
    };
    assert_eq!((welcome.next_seq, ack.next_seq), (0, 8));
    assert!(bus.take(8).await.iter().map(Message::seq).eq(0..8));
    assert_eq!(bus.next().await.json["end"], true);
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
    let cases = [
        (body(vec![batch(0, 1)]), "the first frame must be hello"),
        (body(vec![Frame::Hello(hello(1)), batch(1, 1)]), "0 is next"),
    ];
    for (request, named) in cases {
        let (status, answer) = post(relay.listen, "/v1/batch", &request).await;
        assert_eq!(status, 200);
        let answer = frames(&answer);
        let Some(server_frame::Frame::GoAway(away)) = answer.last() else { panic!("{answer:?}") };
        assert!(away.message.contains(named), "{}", away.message);
    }
    for cut_off in [vec![], vec![0xff], vec![200, 1, 2]] {
        assert_eq!(post(relay.listen, "/v1/batch", &cut_off).await, (200, vec![]));
    }
    assert_eq!(post(relay.listen, "/v1/batch", &vec![0; 600 * 1024]).await.0, 413);
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

//! RFC 6455 as any client may speak it: how a connection begins, and how it ends.

use crate::support::{Raw, Relay, Subscriber, frame, head, hello, session, within};
use atomwire_wire::proto::client_frame::Frame as ClientFrame;
use atomwire_wire::proto::{Batch, Update};
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

/// A handshake, up to its last empty line.
const UPGRADE: &str = "GET /v1/stream HTTP/1.1\r\nHost: relay\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                       Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

#[tokio::test]
async fn a_handshake_that_is_wrong_is_refused() {
    let relay = Relay::start().await;
    let version = ["upgrade: websocket", "connection: upgrade", "sec-websocket-version: 13"];
    for (request, status, says) in [
        (UPGRADE.to_owned(), 101, &["sec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo="][..]),
        (format!("{UPGRADE}Sec-WebSocket-Protocol: graphql-ws\r\n"), 400, &[]),
        (UPGRADE.replace("Version: 13", "Version: 8"), 426, &version),
        (UPGRADE.replace("Sec-WebSocket-Version: 13\r\n", ""), 426, &version),
        (UPGRADE.replace("Sec-WebSocket-Key", "X-Key"), 400, &[]),
        (UPGRADE.replace("NhbXBs", ""), 400, &[]),
        (UPGRADE.replace("HTTP/1.1", "HTTP/1.0"), 426, &version),
        (UPGRADE.replace("GET", "HEAD"), 426, &version),
        (UPGRADE.replace("Host: relay\r\n", ""), 400, &[]),
        (UPGRADE.replace("Host: relay\r\n", "Host: relay\r\nHost: relay\r\n"), 400, &[]),
        ("GET /health HTTP/1.1\r\n".to_owned(), 400, &[]),
        ("GET /health HTTP/1.0\r\n".to_owned(), 200, &[]),
        ("GET / HTTP/1.1\r\nHost: relay\r\n".to_owned(), 426, &version),
        ("POST / HTTP/1.1\r\nHost: relay\r\nContent-Length: 0\r\n".to_owned(), 405, &[]),
        ("GET /v2/stream HTTP/1.1\r\nHost: relay\r\n".to_owned(), 404, &[]),
    ] {
        let answer = head(relay.listen, &format!("{request}\r\n")).await;
        assert_eq!(answer[9..12], status.to_string(), "{request}: {answer}");
        for line in says {
            assert!(answer.contains(&format!("\r\n{line}\r\n")), "{request}: {answer}");
        }
    }
}

/// A client's frame in one message, masked with zeros.
fn message(it: ClientFrame) -> Vec<u8> {
    let payload = frame(it);
    let len = u16::try_from(payload.len()).unwrap();
    let header = match len {
        0..126 => vec![0x82, 0x80 | u8::try_from(len).unwrap()],
        _ => [&[0x82, 0xfe][..], &len.to_be_bytes()].concat(),
    };
    [&header, &[0; 4][..], &payload].concat()
}

#[tokio::test]
async fn however_the_bytes_arrive_they_are_the_same_frames() {
    let relay = Relay::start().await;
    let batch = |first_seq, len| {
        let value = Some(format!("{:?}", "x".repeat(len)).into());
        let updates = vec![Update { key: "cart".into(), value, ..Update::default() }];
        message(ClientFrame::Batch(Batch { first_seq, updates, ..Batch::default() }))
    };
    let mut bus = Subscriber::connect(&relay, &["atom-updates"]).await;
    for (id, piece) in (1..).zip([1, 7, 4_096, 8_191, 8_192, 8_193, usize::MAX]) {
        let upgrade = format!("{UPGRADE}Sec-WebSocket-Protocol: atomwire.v1\r\n\r\n").into_bytes();
        // Small ones, one that is larger than what is read at once, and one that ends just where that does.
        let batches =
            [0, 1, 20_000, 8_000, 2].into_iter().enumerate().map(|(seq, len)| batch(seq as u64, len));
        let bytes: Vec<u8> =
            [upgrade, message(ClientFrame::Hello(hello(id)))].into_iter().chain(batches).flatten().collect();
        let mut stream = TcpStream::connect(relay.listen).await.unwrap();
        stream.set_nodelay(true).unwrap();
        for piece in bytes.chunks(piece) {
            within("a send", stream.write_all(piece)).await.unwrap();
        }
        for seq in 0..5 {
            let message = bus.next().await;
            assert_eq!(message.json["session"], session(id), "in pieces of {piece}");
            assert_eq!(message.seq(), seq, "in pieces of {piece}");
        }
    }
}

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// A connection in each state that a client may close it in.
async fn connections(relay: &Relay) -> [(&'static str, Socket); 3] {
    let url = format!("ws://{}/", relay.listen);
    let (plain, _) = within("a handshake", tokio_tungstenite::connect_async(url)).await.unwrap();
    let (welcomed, _) = Raw::welcomed(relay, 1).await;
    let before_hello = Raw::connect(relay).await;
    [("plain", plain), ("welcomed", welcomed.into_inner()), ("before hello", before_hello.into_inner())]
}

/// The relay's close frame, after which it ends the connection without a reset; none where it does without.
async fn closed(socket: &mut Socket) -> Option<CloseFrame> {
    let mut close = None;
    while let Some(received) = within("the end", socket.next()).await {
        if let Message::Close(frame) = received.expect("no reset, and a close frame first") {
            close = frame;
        }
    }
    close
}

#[tokio::test]
async fn a_close_is_answered_with_its_own_code() {
    let relay = Relay::start().await;
    for (code, answer) in [
        (1000, 1000),
        (1001, 1001),
        (3000, 3000),
        (4999, 4999),
        // Those that must not be sent (RFC 6455, section 7.4).
        (0, 1002),
        (999, 1002),
        (1004, 1002),
        (1005, 1002),
        (1006, 1002),
        (1015, 1002),
        (2999, 1002),
        (5000, 1002),
    ] {
        for (state, mut socket) in connections(&relay).await {
            let frame = CloseFrame { code: CloseCode::from(code), reason: "done".into() };
            socket.send(Message::Close(Some(frame))).await.unwrap();
            let close = closed(&mut socket).await;
            assert_eq!(close.map(|close| u16::from(close.code)), Some(answer), "{state}, {code}");
        }
    }
    for (state, mut socket) in connections(&relay).await {
        socket.send(Message::Close(None)).await.unwrap();
        assert_eq!(closed(&mut socket).await, None, "{state}: nothing, to nothing");
    }
}

#[tokio::test]
async fn a_close_that_is_malformed_is_an_error() {
    let relay = Relay::start().await;
    for (payload, answer) in [(vec![3], 1002), (vec![3, 232, 0xff], 1007), (vec![b'x'; 126], 1002)] {
        for (state, mut socket) in connections(&relay).await {
            let frame = Frame::from_payload(Frame::close(None).header().clone(), payload.clone().into());
            socket.send(Message::Frame(frame)).await.unwrap();
            let close = closed(&mut socket).await;
            assert_eq!(close.map(|close| u16::from(close.code)), Some(answer), "{state}, {payload:?}");
        }
    }
}

#[tokio::test]
async fn a_length_that_could_be_shorter_is_an_error() {
    let relay = Relay::start().await;
    let length = |bytes: &[u8]| [bytes, &[0; 4]].concat();
    for (head, is_minimal) in [
        (length(&[0x89, 0x80]), true),
        (length(&[0x89, 0xfd]), true),
        (length(&[0x89, 0xfe, 0, 0]), false),
        (length(&[0x89, 0xfe, 0, 125]), false),
        (length(&[0x82, 0xfe, 0, 125]), false),
        (length(&[0x82, 0xff, 0, 0, 0, 0, 0, 0, 0xff, 0xff]), false),
    ] {
        for (state, mut socket) in connections(&relay).await {
            // Behind a frame that is in order.
            socket.send(Message::Ping("?".into())).await.unwrap();
            let MaybeTlsStream::Plain(stream) = socket.get_mut() else { unreachable!() };
            for byte in head.iter().copied().chain(vec![0; 125]) {
                within("a send", stream.write_all(&[byte])).await.unwrap();
            }
            if is_minimal {
                // What is left of 125 zeros is a frame of its own: a continuation of nothing.
                assert!(within("an answer", socket.next()).await.unwrap().unwrap().is_pong(), "{state}");
                continue;
            }
            let close = closed(&mut socket).await;
            assert_eq!(close.map(|close| u16::from(close.code)), Some(1002), "{state}, {head:?}");
        }
    }
}

#[tokio::test]
async fn an_answer_to_a_close_is_heard_whatever_surrounds_it() {
    let relay = Relay::start().await;
    for (state, mut socket) in connections(&relay).await {
        // The plain contract has something to say of the first, which must not come after its close.
        let around = if state == "plain" { Message::text("wrong") } else { Message::Ping("?".into()) };
        socket.feed(around).await.unwrap();
        let frame = CloseFrame { code: CloseCode::Library(4000), reason: "done".into() };
        socket.send(Message::Close(Some(frame))).await.unwrap();
        // What comes after a close is not looked at, but it is read: a reset would overtake the answer.
        let MaybeTlsStream::Plain(stream) = socket.get_mut() else { unreachable!() };
        let (mut read, mut write) = stream.split();
        within("a send", write.write_all(&vec![0x82; 1 << 20])).await.unwrap();
        let mut answer = Vec::new();
        within("the end", read.read_to_end(&mut answer)).await.expect("no reset");
        let close = [&[0x88, 6, 0x0f, 0xa0][..], b"done"].concat();
        assert!(answer.ends_with(&close), "{state}: {answer:?}");
    }
}

#[tokio::test]
async fn an_error_is_heard_whatever_follows_it() {
    let relay = Relay::start().await;
    for (state, mut socket) in connections(&relay).await {
        let MaybeTlsStream::Plain(stream) = socket.get_mut() else { unreachable!() };
        let (mut read, mut write) = stream.split();
        // A reserved opcode, and a megabyte that belongs to nothing.
        within("a send", write.write_all(&vec![0x83; 1 << 20])).await.unwrap();
        let mut answer = Vec::new();
        within("the end", read.read_to_end(&mut answer)).await.expect("no reset");
        assert_eq!(answer[0], 0x88, "{state}");
        assert_eq!(answer[2..4], 1002_u16.to_be_bytes(), "{state}");
    }
}

#[tokio::test]
async fn a_session_that_was_closed_goes_on_by_another_socket() {
    let relay = Relay::start().await;
    let (raw, _) = Raw::welcomed(&relay, 1).await;
    let mut socket = raw.into_inner();
    socket.close(None).await.unwrap();
    closed(&mut socket).await;
    let mut raw = Raw::connect(&relay).await;
    raw.send(ClientFrame::Hello(hello(1))).await;
    raw.answer().await;
}

//! A client of the binary contract that sends whatever it is told to.

use super::{Relay, hex, now_us, within};
use atomwire_wire::ids::session_id;
use atomwire_wire::proto::client_frame::Frame;
use atomwire_wire::proto::{Ack, ClientFrame, GoAway, GoAwayReason, Hello, Ping, ServerFrame, server_frame};
use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use prost::Message as _;
use prost::encoding::{WireType, encode_key, encode_varint};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

pub(crate) struct Raw(WebSocketStream<MaybeTlsStream<TcpStream>>);

pub(crate) fn frame(frame: Frame) -> Bytes {
    ClientFrame { frame: Some(frame) }.encode_to_vec().into()
}

/// The body of a last request.
pub(crate) fn body(frames: Vec<Frame>) -> Vec<u8> {
    let mut body = Vec::new();
    for it in frames {
        let bytes = frame(it);
        encode_varint(bytes.len() as u64, &mut body);
        body.extend_from_slice(&bytes);
    }
    body
}

/// The id of session number `id`, as the bus has it.
pub(crate) fn session(id: u8) -> String {
    hex(&session_id([id; 32]))
}

/// The `Hello` of session number `id`.
pub(crate) fn hello(id: u8) -> Hello {
    Hello { id_seed: vec![id; 32].into(), client_time_us: now_us(), ..Hello::default() }
}

impl Raw {
    pub(crate) async fn connect(relay: &Relay) -> Self {
        let mut request = format!("ws://{}/v1/stream", relay.listen).into_client_request().unwrap();
        request.headers_mut().insert("sec-websocket-protocol", "atomwire.v1".parse().unwrap());
        let (socket, response) =
            within("a handshake", tokio_tungstenite::connect_async(request)).await.unwrap();
        assert_eq!(response.headers()["sec-websocket-protocol"], "atomwire.v1");
        Self(socket)
    }

    /// A connection of session number `id`, and where it goes on.
    pub(crate) async fn welcomed(relay: &Relay, id: u8) -> (Self, u64) {
        Self::welcomed_with(relay, hello(id)).await
    }

    pub(crate) async fn welcomed_with(relay: &Relay, hello: Hello) -> (Self, u64) {
        let mut raw = Self::connect(relay).await;
        raw.send(Frame::Hello(hello)).await;
        match raw.answer().await {
            server_frame::Frame::Welcome(welcome) => (raw, welcome.next_seq),
            other => panic!("not welcome: {other:?}"),
        }
    }

    /// The socket itself, for what the protocol knows nothing of.
    pub(crate) fn into_inner(self) -> WebSocketStream<MaybeTlsStream<TcpStream>> {
        self.0
    }

    pub(crate) async fn send(&mut self, it: Frame) {
        self.send_message(frame(it)).await;
    }

    pub(crate) async fn send_message(&mut self, message: impl Into<Message>) {
        within("a send", self.0.send(message.into())).await.unwrap();
    }

    /// Waits until the relay has read everything that was sent.
    pub(crate) async fn ping(&mut self) {
        self.send(Frame::Ping(Ping { client_time_us: now_us() })).await;
        while !matches!(self.answer().await, server_frame::Frame::Pong(_)) {}
    }

    /// The same, when nothing is to be acknowledged.
    pub(crate) async fn ping_without_acknowledgement(&mut self) {
        self.send(Frame::Ping(Ping { client_time_us: now_us() })).await;
        let answer = self.answer().await;
        assert!(matches!(answer, server_frame::Frame::Pong(_)), "{answer:?}");
    }

    /// Asks and does not read the answers, until every buffer is full of them and the relay takes no more.
    pub(crate) async fn stall(&mut self) {
        // With a field of a later version, so that the buffers on the way to the relay are full soon after those on
        // the way back.
        let mut ping = Ping { client_time_us: u64::MAX }.encode_to_vec();
        encode_key(15, WireType::LengthDelimited, &mut ping);
        encode_varint(512, &mut ping);
        ping.resize(ping.len() + 512, 0);
        let mut frame = frame(Frame::Ping(Ping::default()))[..1].to_vec();
        encode_varint(ping.len() as u64, &mut frame);
        let message = Message::Binary([frame, ping].concat().into());
        while let Ok(sent) = timeout(Duration::from_millis(500), self.0.send(message.clone())).await {
            sent.expect("the relay has patience");
        }
    }

    /// The next message; none when the connection has ended.
    pub(crate) async fn message(&mut self) -> Option<Bytes> {
        loop {
            match within("a frame", self.0.next()).await {
                Some(Ok(Message::Binary(frame))) => return Some(frame),
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                _ => return None,
            }
        }
    }

    pub(crate) async fn answer(&mut self) -> server_frame::Frame {
        ServerFrame::decode(self.message().await.expect("a frame")).unwrap().frame.expect("a frame")
    }

    pub(crate) async fn acknowledgement(&mut self) -> Ack {
        match self.answer().await {
            server_frame::Frame::Ack(ack) => ack,
            other => panic!("no acknowledgement: {other:?}"),
        }
    }

    /// The relay sends the client away, and closes.
    pub(crate) async fn sent_away(&mut self, reason: GoAwayReason) -> GoAway {
        loop {
            if let server_frame::Frame::GoAway(away) = self.answer().await {
                assert_eq!(away.reason(), reason, "{}", away.message);
                assert_eq!(self.message().await, None);
                return away;
            }
        }
    }
}

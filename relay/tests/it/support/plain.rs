//! A client of the plain contract.

use super::{Relay, within};
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

pub(crate) struct Plain(WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Plain {
    pub(crate) async fn connect(relay: &Relay) -> Self {
        Self::connect_to(relay, "/").await
    }

    pub(crate) async fn connect_to(relay: &Relay, path: &str) -> Self {
        let url = format!("ws://{}{path}", relay.listen);
        Self(within("a handshake", tokio_tungstenite::connect_async(url)).await.unwrap().0)
    }

    pub(crate) async fn send(&mut self, message: impl Into<Message>) {
        within("a send", self.0.send(message.into())).await.unwrap();
    }

    /// Sends without pushing it out: what follows goes into the same packets.
    pub(crate) async fn feed(&mut self, message: impl Into<Message>) {
        within("a send", self.0.feed(message.into())).await.unwrap();
    }

    /// The next message, as JSON.
    pub(crate) async fn answer(&mut self) -> Value {
        match within("an answer", self.0.next()).await {
            Some(Ok(Message::Text(text))) => serde_json::from_str(&text).unwrap(),
            other => panic!("not an answer: {other:?}"),
        }
    }

    /// The relay's goodbye, after whatever else it says.
    pub(crate) async fn goodbye(&mut self) -> CloseFrame {
        loop {
            match within("a goodbye", self.0.next()).await {
                Some(Ok(Message::Close(Some(close)))) => return close,
                Some(Ok(_)) => {}
                other => panic!("no goodbye: {other:?}"),
            }
        }
    }

    pub(crate) async fn close(mut self) {
        within("a close", self.0.close(None)).await.unwrap();
        while within("a goodbye", self.0.next()).await.is_some() {}
    }
}

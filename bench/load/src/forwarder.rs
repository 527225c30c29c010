//! The peer that bounds what a relay on these parts can cost: WebSocket in, libzmq out. No protocol, no
//! ledger, no acknowledgement, no ids, no spans, no checks; each line of a text message is one message on
//! the bus.

use crate::Result;
use futures_util::StreamExt as _;
use std::io::Write as _;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_tungstenite::accept_async;
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};

/// Text messages between the sockets and the bus.
const QUEUE: usize = 1024;

/// As the relay's own.
const HIGH_WATER_MARK: i32 = 50_000;

pub(crate) async fn run() -> Result<()> {
    let publisher = zmq::Context::new().socket(zmq::PUB)?;
    publisher.set_sndhwm(HIGH_WATER_MARK)?;
    publisher.bind("tcp://127.0.0.1:*")?;
    let bus = publisher.get_last_endpoint()?.unwrap_or_default();
    let (queue, mut texts) = mpsc::channel::<Utf8Bytes>(QUEUE);
    std::thread::spawn(move || {
        while let Some(text) = texts.blocking_recv() {
            for line in text.lines() {
                let sent = publisher.send("atom-updates", zmq::SNDMORE);
                sent.and_then(|()| publisher.send(line, 0)).unwrap_or_else(|error| unreachable!("{error}"));
            }
        }
    });
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let listen = listener.local_addr()?.to_string();
    // In the words of the relay, so that both are started in one way.
    let line = serde_json::json!({ "message": "listening", "listen": listen, "bus": bus });
    writeln!(std::io::stderr(), "{line}")?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let queue = queue.clone();
        tokio::spawn(async move {
            let Ok(mut socket) = accept_async(stream).await else { return };
            while let Some(Ok(message)) = socket.next().await {
                if let Message::Text(text) = message
                    && queue.send(text).await.is_err()
                {
                    return;
                }
            }
        });
    }
}

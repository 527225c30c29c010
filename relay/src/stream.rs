//! One client: a socket of either contract, or one request.

mod binary;
mod intake;
mod plain;
mod request;

pub(crate) use binary::serve as serve_binary;
pub(crate) use plain::serve as serve_plain;
pub(crate) use request::batch;

use atomwire_wire::limits;
use futures_util::{SinkExt, StreamExt};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use opentelemetry::trace::TraceFlags;
use std::time::Duration;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message};

/// tungstenite's own defaults take 131 KB for each idle connection; these take 6.
const READ_BUFFER: usize = 4096;
/// Written through: answers are small and few.
const WRITE_BUFFER: usize = 0;
/// A client that does not read its answers is cut off once this much waits for it.
const WRITE_BUFFER_MAX: usize = 64 * 1024;

/// How long a client may take to take an answer.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);

/// A WebSocket, with bounded buffers and bounded patience.
pub(crate) struct Socket(WebSocketStream<TokioIo<Upgraded>>);

/// The other end is gone, or as good as gone.
#[derive(Debug)]
pub(crate) struct Gone;

impl Socket {
    pub(crate) async fn new(upgraded: Upgraded) -> Self {
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER)
            .write_buffer_size(WRITE_BUFFER)
            .max_write_buffer_size(WRITE_BUFFER_MAX)
            .max_message_size(Some(limits::FRAME_BYTES))
            .max_frame_size(Some(limits::FRAME_BYTES));
        Self(WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Server, Some(config)).await)
    }

    /// The next message; an error says what was wrong with it, in words for the client.
    async fn next(&mut self) -> Result<Message, (CloseCode, String)> {
        match self.0.next().await {
            Some(Ok(message)) => Ok(message),
            Some(Err(Error::Capacity(error))) => Err((
                CloseCode::Size,
                format!("{error}: the limit of a message is {} bytes", limits::FRAME_BYTES),
            )),
            Some(Err(error)) => Err((CloseCode::Protocol, error.to_string())),
            None => Err((CloseCode::Normal, String::new())),
        }
    }

    async fn send(&mut self, message: Message) -> Result<(), Gone> {
        match timeout(WRITE_TIMEOUT, self.0.send(message)).await {
            Ok(Ok(())) => Ok(()),
            _ => Err(Gone),
        }
    }

    async fn close(&mut self, code: CloseCode, reason: &str) {
        // A close frame's reason has at most 123 bytes (RFC 6455, section 5.5).
        let reason = reason[..reason.floor_char_boundary(123)].to_owned();
        let frame = CloseFrame { code, reason: reason.into() };
        let _ = timeout(WRITE_TIMEOUT, self.0.close(Some(frame))).await;
    }
}

/// A span id of the relay's own.
fn span_id() -> [u8; 8] {
    // W3C forbids zero.
    fastrand::u64(1..).to_be_bytes()
}

/// The flags of a trace's next context: its own random bit, and the decision.
fn flags(random: TraceFlags, sampled: bool) -> TraceFlags {
    (random & crate::trace::context::RANDOM).with_sampled(sampled)
}

//! One client: a socket of either contract, or one request.

mod binary;
mod intake;
mod plain;
mod reports;
mod request;

pub(crate) use binary::serve as serve_binary;
pub(crate) use plain::serve as serve_plain;
pub(crate) use request::batch;

use crate::trace::Resource;
use atomwire_wire::limits;
use futures_util::{SinkExt, StreamExt};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use opentelemetry::trace::TraceFlags;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncWriteExt as _;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message};

/// tungstenite's own defaults take 131 KB for each idle connection; these take 6.
const READ_BUFFER: usize = 4096;
/// Written through: answers are small and few.
const WRITE_BUFFER: usize = 0;
/// A client that does not read its answers is cut off once this much waits for it. The largest answer is an
/// acknowledgement that names every update in flight as refused: 56 bytes each, at the longest.
const WRITE_BUFFER_MAX: usize = limits::REJECTED_RANGES * 56 + 1024;

/// How long a client may take to take an answer: less than a drain takes (`shutdown::DEADLINE`), so that
/// clients which do not read never hold one up.
const WRITE_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a client may take to answer a goodbye, and to close the connection.
const GOODBYE_TIMEOUT: Duration = Duration::from_secs(2);

/// The session that updates come from.
struct Origin {
    session: Arc<str>,
    /// Of the browser's spans.
    resource: Resource,
}

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
            Some(Err(Error::Capacity(error))) => {
                let message = format!("{error}: the limit of a message is {} bytes", limits::FRAME_BYTES);
                Err((CloseCode::Size, message))
            }
            Some(Err(error @ Error::Utf8(_))) => Err((CloseCode::Invalid, error.to_string())),
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

    /// Says goodbye, or answers the client's: tungstenite has its own code ready for it by then, or 1002 for
    /// one that must not be sent (RFC 6455, sections 5.5.1 and 7.4), and lets nothing else out. Then closes its
    /// own half first (section 7.1.1) and reads the client's to the end: the system resets a connection that is
    /// closed with something unread, and a reset overtakes what was said last.
    async fn close(&mut self, code: CloseCode, reason: &str) {
        // A close frame's reason has at most 123 bytes (RFC 6455, section 5.5).
        let reason = reason[..reason.floor_char_boundary(123)].to_owned();
        let frame = CloseFrame { code, reason: reason.into() };
        let goodbye = async {
            match self.0.close(Some(frame)).await {
                Err(Error::Protocol(ProtocolError::SendAfterClosing)) => self.0.flush().await?,
                said => said?,
            }
            while self.0.next().await.is_some_and(|received| received.is_ok()) {}
            self.0.get_mut().shutdown().await?;
            tokio::io::copy(self.0.get_mut(), &mut tokio::io::sink()).await?;
            Ok::<_, Error>(())
        };
        // Whoever is gone, or says nothing, is not waited for.
        let _ = timeout(GOODBYE_TIMEOUT, goodbye).await;
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

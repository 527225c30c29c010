//! One client: a socket of either contract, or one request.

mod connection;
mod frames;
mod ingest;
mod intake;
mod lengths;
mod plain;
mod reports;
mod request;
mod transport;

pub(crate) use frames::serve as serve_frames;
pub(crate) use plain::serve as serve_plain;
pub(crate) use request::batch;

use atomwire_wire::limits;
use connection::End;
use futures_util::{SinkExt, StreamExt};
use hyper::upgrade::Upgraded;
use std::future::poll_fn;
use std::task::ready;
use std::time::Duration;
use tokio::io::AsyncWriteExt as _;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message};
use transport::Transport;

/// tungstenite's own default takes 131 KB for each connection, and it never gives back what it has: it reads pieces of
/// this size, which cost no call into the system, out of larger ones (`transport.rs`).
const READ_BUFFER: usize = 512;
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

/// A WebSocket, with bounded buffers and bounded patience.
pub(crate) struct Socket(WebSocketStream<Transport>);

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
        Self(WebSocketStream::from_raw_socket(Transport::new(upgraded), Role::Server, Some(config)).await)
    }

    /// The next message.
    async fn next(&mut self) -> Result<Message, End> {
        let error = match self.0.next().await {
            Some(Ok(message)) => return Ok(message),
            Some(Err(error)) => error,
            None => return Err(End::Closed),
        };
        let (code, message) = match error {
            Error::Capacity(error) => {
                (CloseCode::Size, format!("{error}: the limit of a message is {} bytes", limits::FRAME_BYTES))
            }
            Error::Utf8(_) => (CloseCode::Invalid, error.to_string()),
            _ => (CloseCode::Protocol, error.to_string()),
        };
        Err(End::Broken(code, message))
    }

    /// Sends all of `messages`, together.
    async fn send(&mut self, messages: Vec<Message>) -> Result<(), Gone> {
        if messages.is_empty() {
            return Ok(());
        }
        let mut messages = messages.into_iter();
        // Smaller than a future that has futures, and this one waits beside all else that a connection keeps.
        let send = poll_fn(|context| {
            loop {
                ready!(self.0.poll_ready_unpin(context))?;
                match messages.next() {
                    Some(message) => self.0.start_send_unpin(message)?,
                    None => return self.0.poll_flush_unpin(context),
                }
            }
        });
        match timeout(WRITE_TIMEOUT, send).await {
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

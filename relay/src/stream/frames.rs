//! The codec of a socket with the subprotocol: frames in, acknowledgements out.

use super::Socket;
use super::connection::{self, Codec, End};
use super::intake::{Intake, REPLACED, Refusal};
use crate::relay::Relay;
use crate::sessions::Arrival;
use atomwire_wire::proto::GoAwayReason;
use atomwire_wire::relay::{Limits, Violation, go_away};
use bytes::Bytes;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, timeout};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

/// How long a client may take to say hello.
const HELLO_TIMEOUT: Duration = Duration::from_secs(10);

/// Clients sent away come back spread over a millisecond for each of them, 10,000 in ten seconds: about what
/// a TLS handshake costs one core of the proxy that they all come back through.
const JITTER_MS: std::ops::RangeInclusive<u32> = 250..=30_000;

struct Frames {
    intake: Intake,
    answers: Vec<Message>,
}

impl Codec for Frames {
    fn silence() -> Duration {
        Duration::from_millis(u64::from(Limits::default().heartbeat_interval_ms) * 2)
    }

    fn receive(&mut self, message: Message) -> Result<(), End> {
        if let Some(frame) = frame(message)? {
            self.answers.extend(self.intake.receive(&frame)?.map(Message::Binary));
        }
        if self.intake.claim.over { Err(End::Bye) } else { Ok(()) }
    }

    fn publish(&mut self) -> Vec<Message> {
        self.intake.publish();
        self.answers.extend(self.intake.ack().map(Message::Binary));
        std::mem::take(&mut self.answers)
    }

    fn due(&self) -> Option<Instant> {
        self.intake.report_at()
    }

    fn waits(&self) -> bool {
        self.intake.waits()
    }

    fn sign_of_life(&self) -> Option<Message> {
        self.intake.heartbeat().map(Message::Binary)
    }

    fn silent(&mut self) -> Result<Message, End> {
        Err(End::Broken(CloseCode::Away, "no sign of life".into()))
    }

    fn leave(&self) -> End {
        if self.intake.claim.is_replaced() {
            End::Replaced
        } else if self.intake.relay().draining.is_cancelled() {
            End::Draining
        } else {
            End::Borrowed
        }
    }
}

/// Serves one connection until it ends.
pub(crate) async fn serve(relay: Arc<Relay>, socket: &mut Socket, number: u64) {
    // Cancelled by whoever else wants the session, too.
    let leave = relay.draining.child_token();
    let arrival = Arrival::Socket { number, leave: leave.clone() };
    // What is soon over is in boxes: it takes no room while the connection lasts.
    let end = match Box::pin(open(&relay, socket, arrival)).await {
        Ok(frames) => connection::serve(socket, frames, relay.bus.flow(), &leave).await,
        Err(end) => end,
    };
    Box::pin(finish(&relay, socket, end)).await;
}

/// Takes the session that the client asks for, and welcomes it.
async fn open(relay: &Arc<Relay>, socket: &mut Socket, arrival: Arrival) -> Result<Box<Frames>, End> {
    let open = async {
        let hello = timeout(HELLO_TIMEOUT, hello(socket)).await;
        let hello = hello.map_err(|_| Refusal::from(Violation::Order("no hello within ten seconds")))??;
        let (intake, welcome) = Intake::open(Arc::clone(relay), &hello, arrival).await?;
        socket.send(vec![Message::Binary(welcome)]).await?;
        Ok(Box::new(Frames { intake, answers: Vec::new() }))
    };
    relay.draining.run_until_cancelled(open).await.unwrap_or(Err(End::Draining))
}

async fn hello(socket: &mut Socket) -> Result<Bytes, End> {
    loop {
        if let Some(frame) = frame(socket.next().await?)? {
            return Ok(frame);
        }
    }
}

/// What a binary message holds; none in what the WebSocket layer has dealt with.
fn frame(message: Message) -> Result<Option<Bytes>, End> {
    match message {
        Message::Binary(frame) => Ok(Some(frame)),
        Message::Text(_) => Err(Refusal::from(Violation::Order("frames are binary messages")).into()),
        Message::Close(_) => Err(End::Closed),
        _ => Ok(None),
    }
}

impl From<Refusal> for End {
    fn from(refusal: Refusal) -> Self {
        match refusal.reason {
            GoAwayReason::Replaced => Self::Replaced,
            _ => Self::Refused(refusal),
        }
    }
}

async fn finish(relay: &Relay, socket: &mut Socket, end: End) {
    let refused = |refusal: Refusal| {
        relay.metrics.bad_input("frame").inc();
        tracing::debug!(reason = refusal.message, "a client was sent away");
        (refusal.frame(), CloseCode::Policy)
    };
    let (frame, code) = match end {
        End::Bye | End::Closed => return socket.close(CloseCode::Normal, "").await,
        End::Gone => return,
        End::Broken(CloseCode::Size, message) => {
            refused(Refusal { reason: GoAwayReason::ProtocolError, message })
        }
        End::Broken(code, message) => return socket.close(code, &message).await,
        End::Refused(refusal) => refused(refusal),
        End::Draining => {
            let clients = u32::try_from(relay.metrics.connections.get()).unwrap_or(u32::MAX);
            let jitter = clients.clamp(*JITTER_MS.start(), *JITTER_MS.end());
            (go_away(GoAwayReason::Shutdown, 0, jitter, "the relay is shutting down"), CloseCode::Away)
        }
        End::Borrowed => {
            let message = "a request has taken this session";
            (go_away(GoAwayReason::Unspecified, 0, *JITTER_MS.start(), message), CloseCode::Away)
        }
        End::Replaced => (go_away(GoAwayReason::Replaced, 0, 0, REPLACED), CloseCode::Policy),
    };
    if socket.send(vec![Message::Binary(frame)]).await.is_ok() {
        socket.close(code, "").await;
    }
}

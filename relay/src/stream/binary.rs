//! A socket with the subprotocol: frames in, acknowledgements out.

use super::intake::{Claimed, Intake, REPLACED, Refusal};
use super::{Gone, Socket};
use crate::relay::Relay;
use crate::sessions::Arrival;
use atomwire_wire::proto::GoAwayReason;
use atomwire_wire::relay::{Limits, Violation, go_away};
use bytes::Bytes;
use futures_util::FutureExt as _;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

/// How long a client may take to say hello.
const HELLO_TIMEOUT: Duration = Duration::from_secs(10);

/// Clients sent away come back spread over a millisecond for each of them, 10,000 in ten seconds: about what
/// a TLS handshake costs one core of the proxy that they all come back through.
const JITTER_MS: std::ops::RangeInclusive<u32> = 250..=30_000;

/// How a connection came to its end.
enum End {
    /// The client ended its session.
    Bye,
    /// The client closed it, fell silent, or did not speak WebSocket.
    Closed(CloseCode),
    /// The client does not take answers any more.
    Gone,
    /// The client broke a rule.
    Refused(Refusal),
    /// The relay drains.
    Draining,
    /// A newer connection has the session.
    Replaced,
    /// A request has the session, for a moment.
    Borrowed,
}

impl From<Refusal> for End {
    fn from(refusal: Refusal) -> Self {
        match refusal.reason {
            GoAwayReason::Replaced => Self::Replaced,
            _ => Self::Refused(refusal),
        }
    }
}

impl From<Gone> for End {
    fn from(Gone: Gone) -> Self {
        Self::Gone
    }
}

/// Serves one connection until it ends.
pub(crate) async fn serve(relay: Arc<Relay>, mut socket: Socket, arrival: Arrival) {
    let mut intake = match open(&relay, &mut socket, arrival).await {
        Ok(intake) => intake,
        Err(end) => return finish(&relay, &mut socket, end).await,
    };
    let end = run(&relay, &mut socket, &mut intake).await;
    let ack = intake.ack().filter(|_| !matches!(end, End::Closed(_) | End::Gone));
    // Before the goodbye, which takes its time when the client is gone: a newer connection may be waiting.
    intake.close();
    let end = send(&mut socket, ack).await.err().unwrap_or(end);
    finish(&relay, &mut socket, end).await;
}

/// Takes the session that the client asks for. Once it is claimed, nothing here may be cancelled: only
/// `Intake::close` gives it back.
async fn open(relay: &Arc<Relay>, socket: &mut Socket, arrival: Arrival) -> Result<Intake, End> {
    let hello = tokio::select! {
        biased;
        () = relay.draining.cancelled() => return Err(End::Draining),
        hello = timeout(HELLO_TIMEOUT, hello(socket)) => hello,
    };
    let hello = hello.map_err(|_| Refusal::from(Violation::Order("no hello within ten seconds")))??;
    let claimed = tokio::select! {
        biased;
        () = relay.draining.cancelled() => return Err(End::Draining),
        claimed = Claimed::new(relay, &hello, arrival) => claimed?,
    };
    let (intake, welcome) = claimed.open(Arc::clone(relay));
    if let Err(end) = send(socket, Some(welcome)).await {
        intake.close();
        return Err(end);
    }
    Ok(intake)
}

async fn hello(socket: &mut Socket) -> Result<Bytes, End> {
    loop {
        if let Some(frame) = frame(socket).await? {
            return Ok(frame);
        }
    }
}

async fn run(relay: &Relay, socket: &mut Socket, intake: &mut Intake) -> End {
    let silence = Duration::from_millis(u64::from(Limits::default().heartbeat_interval_ms) * 2);
    let (replaced, borrowed) = (intake.claim.replaced.clone(), intake.claim.borrowed.clone());
    let mut heard = Instant::now();
    loop {
        let report_at = intake.report_at();
        let first = tokio::select! {
            biased;
            () = replaced.cancelled() => return End::Replaced,
            () = borrowed.cancelled() => return End::Borrowed,
            () = relay.draining.cancelled() => return End::Draining,
            () = sleep_until(report_at.unwrap_or(heard)), if report_at.is_some() => {
                intake.report();
                None
            }
            first = frame(socket) => {
                heard = Instant::now();
                Some(first)
            }
            () = sleep_until(heard + silence) => return End::Closed(CloseCode::Away),
        };
        match take(socket, intake, first).await {
            Err(end) => return end,
            Ok(()) if intake.ended() => return End::Bye,
            Ok(()) => {}
        }
    }
}

/// Takes what has arrived by now, `next` before all else, and acknowledges what is settled, all of it together.
async fn take(
    socket: &mut Socket,
    intake: &mut Intake,
    mut next: Option<Result<Option<Bytes>, End>>,
) -> Result<(), End> {
    while let Some(received) = next.take() {
        if let Some(received) = received? {
            let reply = intake.receive(&received)?;
            send(socket, reply).await?;
        }
        if !intake.ended() {
            next = frame(socket).now_or_never();
        }
    }
    send(socket, intake.ack()).await
}

async fn send(socket: &mut Socket, frame: Option<Bytes>) -> Result<(), End> {
    if let Some(frame) = frame {
        socket.send(Message::Binary(frame)).await?;
    }
    Ok(())
}

/// The next binary message; none for what the WebSocket layer has dealt with.
async fn frame(socket: &mut Socket) -> Result<Option<Bytes>, End> {
    match socket.next().await {
        Ok(Message::Binary(frame)) => Ok(Some(frame)),
        Ok(Message::Text(_)) => Err(Refusal::from(Violation::Order("frames are binary messages")).into()),
        Ok(Message::Close(_)) => Err(End::Closed(CloseCode::Normal)),
        Ok(_) => Ok(None),
        Err((CloseCode::Size, message)) => {
            Err(End::Refused(Refusal { reason: GoAwayReason::ProtocolError, message }))
        }
        Err((code, _)) => Err(End::Closed(code)),
    }
}

async fn finish(relay: &Relay, socket: &mut Socket, end: End) {
    let (frame, code) = match end {
        End::Bye => return socket.close(CloseCode::Normal, "").await,
        End::Closed(code) => return socket.close(code, "").await,
        End::Gone => return,
        End::Refused(refusal) => {
            relay.metrics.bad_input("frame").inc();
            tracing::debug!(reason = refusal.message, "a client was sent away");
            (refusal.frame(), CloseCode::Policy)
        }
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
    if socket.send(Message::Binary(frame)).await.is_ok() {
        socket.close(code, "").await;
    }
}

//! A WebSocket connection, whichever contract it speaks.
//!
//! ```text
//!   socket ── messages ──▶ codec ── updates ──▶ ingest ──▶ bus
//!     ▲                      │
//!     └────── answers ◀──────┘
//! ```
//! What has arrived by now is taken in together, published together, and answered together.

use super::intake::Refusal;
use super::{Gone, Socket};
use crate::bus::Flow;
use futures_util::FutureExt as _;
use std::convert::Infallible;
use std::pin::pin;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_util::sync::CancellationToken;

/// Messages that are there already are taken in together, up to this many…
const TOGETHER: usize = 64;
/// …or this many bytes.
const TOGETHER_BYTES: usize = 64 * 1024;

/// How often a client that is not read hears from the relay: in half the time after which it would ask.
const SIGN_OF_LIFE: Duration = Duration::from_secs(10);

/// What a contract makes of a connection's messages. Dropped, it has said its last on the bus.
pub(super) trait Codec {
    /// How long a client may be silent.
    fn silence() -> Duration;

    /// Takes a message in; none of it is on the bus yet.
    fn receive(&mut self, message: Message) -> Result<(), End>;

    /// Publishes what was taken in; the answer is what the client is to hear.
    fn publish(&mut self) -> Vec<Message>;

    /// When to publish, whether or not anything comes.
    fn due(&self) -> Option<Instant>;

    /// Whether required consumers have a say in what the client is to hear.
    fn waits(&self) -> bool;

    /// What a client hears that is not read for a while.
    fn sign_of_life(&self) -> Option<Message>;

    /// What is asked of a client that is silent.
    fn silent(&mut self) -> Result<Message, End>;

    /// Why this connection was told to leave.
    fn leave(&self) -> End;
}

/// How a connection came to its end.
pub(super) enum End {
    /// The client ended its session.
    Bye,
    /// The client closed it.
    Closed,
    /// The client fell silent, or did not speak WebSocket; in words for it.
    Broken(CloseCode, String),
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

impl From<Gone> for End {
    fn from(Gone: Gone) -> Self {
        Self::Gone
    }
}

/// Serves `socket` by `codec`, as `flow` allows, until it ends or `leave` is cancelled; the answer is how. All that the
/// client may still hear of is its goodbye. In a box, for a future has a place for each name that a value goes by.
pub(super) async fn serve<C: Codec>(
    socket: &mut Socket,
    mut codec: Box<C>,
    flow: watch::Receiver<Flow>,
    leave: &CancellationToken,
) -> End {
    let Err(end) = run(socket, &mut *codec, flow, leave).await;
    let answers = codec.publish();
    // Before what takes its time when the client is gone: a newer connection may be waiting.
    drop(codec);
    // Nothing may follow a close but its answer.
    if matches!(end, End::Closed | End::Gone) {
        return end;
    }
    socket.send(answers).await.err().map_or(end, End::from)
}

async fn run<C: Codec>(
    socket: &mut Socket,
    codec: &mut C,
    mut flow: watch::Receiver<Flow>,
    leave: &CancellationToken,
) -> Result<Infallible, End> {
    let mut leave = pin!(leave.cancelled());
    let mut heard = Instant::now();
    // Never moved back but when it fires: messages are many, silences few.
    let mut timer = pin!(sleep_until(heard + C::silence()));
    // What came when there was no room for it.
    let mut early = None;
    let mut answers = Vec::new();
    loop {
        // Before what depends on it: what changes from here on is heard of.
        let has_room = flow.borrow_and_update().has_room();
        if has_room && let Some(first) = early.take() {
            take(socket, codec, first)?;
        }
        answers.extend(codec.publish());
        socket.send(std::mem::take(&mut answers)).await?;
        let due = if has_room { codec.due() } else { Some(heard + SIGN_OF_LIFE) };
        if let Some(due) = due.filter(|due| *due < timer.deadline()) {
            timer.as_mut().reset(due);
        }
        tokio::select! {
            biased;
            () = &mut leave => return Err(codec.leave()),
            Ok(()) = flow.changed(), if !has_room || codec.waits() => {}
            first = socket.next(), if has_room => {
                heard = Instant::now();
                // There was room when this began to wait, perhaps long ago.
                if flow.borrow().has_room() {
                    take(socket, codec, first)?;
                } else {
                    early = Some(first);
                }
            }
            () = &mut timer => {
                let now = Instant::now();
                if !has_room {
                    // Who is not read is not silent.
                    heard = now;
                    answers.extend(codec.sign_of_life());
                } else if heard + C::silence() <= now {
                    heard = now;
                    answers.push(codec.silent()?);
                }
                timer.as_mut().reset(heard + C::silence());
            }
        }
    }
}

/// Takes in what has arrived by now, `first` before all else.
fn take<C: Codec>(socket: &mut Socket, codec: &mut C, first: Result<Message, End>) -> Result<(), End> {
    let (mut next, mut messages, mut bytes) = (Some(first), 0, 0);
    while let Some(message) = next.take().transpose()? {
        messages += 1;
        bytes += message.len();
        if message.is_close() {
            return Err(End::Closed);
        }
        codec.receive(message)?;
        if messages < TOGETHER && bytes < TOGETHER_BYTES {
            next = socket.next().now_or_never();
        }
    }
    Ok(())
}

//! The replay socket: a consumer asks for what comes next, and with that says what it is done with
//! (`wire/PROTOCOL.md`, section 13).

use super::Bus;
use super::connection::{Connection, Gone};
use super::consumers::Turn;
use super::listener::Stream;
use super::window::Answer;
use crate::config::ConsumerName;
use atomwire_wire::limits;
use atomwire_wire::zmtp::{Event, Limits, Role, Subscriptions, frame_head};
use bytes::{Bytes, BytesMut};
use serde::Deserialize;
use std::collections::VecDeque;
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

/// A request is one part; the empty part of a REQ, which cannot take an answer, stands before it.
const LIMITS: Limits = Limits { message_bytes: 16 * 1024, message_parts: 2, subscriptions: 0 };

/// Prefixes that a request may name.
const TOPICS: usize = 64;

/// How long a request waits for messages: so often a consumer hears that the relay is there.
const WAIT: Duration = Duration::from_secs(1);

/// What a consumer asks.
#[derive(Debug, Deserialize)]
struct Request {
    consumer: ConsumerName,
    #[serde(default)]
    relay: Option<String>,
    #[serde(default)]
    from: u64,
    topics: Vec<String>,
}

impl Request {
    /// Reads a message; the error is for whoever sent it.
    fn read(parts: &[Bytes]) -> Result<Self, String> {
        let [part] = parts else {
            return Err("a request is one part, sent by a DEALER".to_owned());
        };
        let request: Self = serde_json::from_slice(part).map_err(|error| {
            format!("a request is {{\"consumer\", \"relay\", \"from\", \"topics\"}}: {error}")
        })?;
        let is_topic = |topic: &String| topic.len() <= limits::KEY_BYTES;
        if !(1..=TOPICS).contains(&request.topics.len()) || !request.topics.iter().all(is_topic) {
            return Err(format!(
                "topics must be 1 to {TOPICS} prefixes of up to {} bytes",
                limits::KEY_BYTES
            ));
        }
        Ok(request)
    }
}

/// Answers one connection's requests, one after the other, as fast as it reads.
pub(super) async fn serve(bus: Bus, stream: Stream) {
    let read = async {
        let connection = Connection::open(stream, Role::Router, LIMITS).await?;
        Reader { bus: &bus, connection, requests: VecDeque::new(), seat: None }.run().await
    };
    let _: Result<(), Gone> = tokio::select! {
        end = read => end,
        () = bus.0.cut.cancelled() => Err(Gone),
    };
}

/// A turn, which ends with this.
struct Seat<'a> {
    bus: &'a Bus,
    turn: Turn,
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        self.bus.leave(&self.turn);
    }
}

struct Reader<'a> {
    bus: &'a Bus,
    connection: Connection,
    /// Not answered yet.
    requests: VecDeque<Vec<Bytes>>,
    /// The consumer that it reads for.
    seat: Option<Seat<'a>>,
}

impl Reader<'_> {
    async fn run(mut self) -> Result<(), Gone> {
        loop {
            match self.requests.pop_front().map(|parts| Request::read(&parts)) {
                Some(Ok(request)) => self.answer(request).await?,
                Some(Err(error)) => self.refuse(&error).await?,
                None => self.listen().await?,
            }
        }
    }

    async fn listen(&mut self) -> Result<(), Gone> {
        let replaced = async {
            match &self.seat {
                Some(seat) => seat.turn.replaced.cancelled().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            said = self.connection.read() => said?,
            () = replaced => return self.give_way().await,
        }
        self.heed().await
    }

    async fn heed(&mut self) -> Result<(), Gone> {
        let events = self.connection.events().await?;
        self.requests.extend(events.into_iter().filter_map(|event| match event {
            Event::Message(parts) => Some(parts),
            _ => None,
        }));
        Ok(())
    }

    /// Gives what there is, as soon as there is something.
    async fn answer(&mut self, request: Request) -> Result<(), Gone> {
        let Some(turn) = self.take_seat(&request.consumer) else {
            return self.refuse("too many consumers have names of their own").await;
        };
        let mut wanted = Subscriptions::default();
        for topic in &request.topics {
            wanted.insert(topic.as_bytes());
        }
        let asked = self.bus.resume(&turn, request.relay.as_deref(), request.from);
        let until = Instant::now() + WAIT;
        let mut from = asked;
        loop {
            // Asked for before the look: what is published in between is heard of.
            let mut appended = std::pin::pin!(self.bus.0.appended.notified());
            appended.as_mut().enable();
            // So was this: the last message is published before it is said that it was the last.
            let ended = self.bus.0.ended.is_cancelled();
            let answer = self.bus.lock().read(from, &wanted);
            if answer.messages + answer.missed > 0 {
                return self.send(Answer { from: asked, ..answer }).await;
            }
            if answer.next > from {
                from = answer.next;
                continue;
            }
            if ended {
                self.send(Answer { from: asked, ..answer }).await?;
                if from == asked {
                    // It is done with everything.
                    self.connection.finish().await?;
                    return Err(Gone);
                }
                return Ok(());
            }
            tokio::select! {
                biased;
                () = turn.replaced.cancelled() => return self.give_way().await,
                said = self.connection.read(), if self.requests.is_empty() => {
                    said?;
                    self.heed().await?;
                }
                // Who else has something to publish does so first: it goes out together.
                () = appended => tokio::task::yield_now().await,
                () = self.bus.0.ended.cancelled() => {}
                () = sleep_until(until) => return self.send(Answer { from: asked, ..answer }).await,
            }
        }
    }

    /// The right to read for `consumer`, which this connection keeps; none while there are too many.
    fn take_seat(&mut self, consumer: &ConsumerName) -> Option<Turn> {
        if self.seat.as_ref().is_none_or(|seat| seat.turn.consumer != *consumer) {
            // Before the next: one connection, one turn.
            self.seat = None;
            let turn = {
                let mut window = self.bus.lock();
                let start = window.ring.start();
                window.consumers.enter(consumer, start)?
            };
            self.seat = Some(Seat { bus: self.bus, turn });
        }
        self.seat.as_ref().map(|seat| seat.turn.clone())
    }

    /// Somebody else reads for this consumer now.
    async fn give_way(&mut self) -> Result<(), Gone> {
        if let Some(seat) = self.seat.take() {
            tracing::warn!(consumer = %seat.turn.consumer, "a newer connection reads for this consumer");
        }
        self.refuse("a newer connection reads for this consumer").await?;
        self.connection.finish().await?;
        Err(Gone)
    }

    async fn send(&mut self, answer: Answer) -> Result<(), Gone> {
        let Answer { from, next, end, missed, messages, pieces } = answer;
        self.bus.0.metrics.bus_missed.inc_by(missed);
        let relay = &self.bus.0.relay_id;
        let head = format!(
            r#"{{"relay":"{relay}","from":{from},"next":{next},"end":{end},"missed":{missed},"messages":{messages}}}"#
        );
        self.connection.send(std::iter::once(alone(head.as_bytes())).chain(pieces)).await
    }

    async fn refuse(&mut self, error: &str) -> Result<(), Gone> {
        let error = serde_json::json!({ "error": error }).to_string();
        self.connection.send([alone(error.as_bytes())]).await
    }
}

/// A message of one part.
fn alone(part: &[u8]) -> Bytes {
    let mut frame = BytesMut::with_capacity(9 + part.len());
    frame_head(part.len(), false, &mut frame);
    frame.extend_from_slice(part);
    frame.freeze()
}

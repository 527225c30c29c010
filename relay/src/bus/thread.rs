//! The bus thread: publishes jobs in the order in which they came.

use super::replay::{ANSWER_BYTES, Windows};
use super::{BindError, BusConfig, Job, LEDGER_TOPIC, Message, Origin, Settled, sockopt};
use crate::config::SlowSubscribers;
use crate::losses::Losses;
use crate::metrics::Metrics;
use crate::trace::{Records, Spans};
use crate::{clock, message};
use atomwire_wire::proto::RejectReason;
use atomwire_wire::relay::RejectedRange;
use bytes::Bytes;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;

/// Messages that libzmq queues for one subscriber; it cannot count bytes, and a mark that follows the
/// messages' size would leave subscribers waiting (a pipe is looked at again after half its mark was read).
/// A stalled subscriber costs this many messages: 5 MB at 500 bytes each, 2.6 GB at the largest.
const HIGH_WATER_MARK: i32 = 10_000;

/// Answers that libzmq queues for one replay client, each up to `replay::ANSWER_BYTES`. A client that asks
/// and does not read loses the others.
const ANSWERS: i32 = 4;

/// What policy `wait` waits for a slow subscriber before it goes on without it.
const WAIT: Duration = Duration::from_secs(1);

/// How long messages may take to leave after the relay has ended.
const LINGER_MS: i32 = 3_000;

/// How often subscribers and replay requests are looked after while nothing is published.
const IDLE: Duration = Duration::from_millis(20);

/// And while much is. An answer of 1 MiB takes a third of a millisecond, so that replays take a tenth of this
/// thread's time at the most, however many ask, and still carry 200 MB a second.
const BUSY: Duration = Duration::from_millis(5);

/// Replay requests answered in one go, unless their answers come to `ANSWER_BYTES` before; and what libzmq
/// reads of them ahead for each client.
const REQUESTS: i32 = 16;

/// What subscribers say is read in goes of this many, for the same reason.
const SUBSCRIPTIONS: usize = 1024;

/// Topics that the relay's last message names.
const TOPICS_NAMED: usize = 1000;

/// The largest replay request: a topic and a number.
const REQUEST_BYTES: i64 = 1024;

pub(super) struct Sockets {
    publisher: zmq::Socket,
    router: zmq::Socket,
    pub(super) bus_endpoint: String,
    pub(super) replay_endpoint: String,
    _context: zmq::Context,
}

impl Sockets {
    pub(super) fn bind(config: &BusConfig) -> Result<Self, BindError> {
        let context = zmq::Context::new();
        let open = |setting, kind, endpoint: &String, high_water_mark| {
            let bound = context.socket(kind).and_then(|mut socket| {
                socket.set_sndhwm(high_water_mark)?;
                socket.set_linger(LINGER_MS)?;
                // Nobody has anything large to say to the relay.
                socket.set_maxmsgsize(REQUEST_BYTES)?;
                if kind == zmq::ROUTER {
                    socket.set_rcvhwm(REQUESTS)?;
                }
                // Peers that vanished without a word are noticed within half a minute. Not by ZeroMQ's
                // heartbeats: a subscriber that does not know them (the Rust crate `zeromq`) breaks off.
                socket.set_tcp_keepalive(1)?;
                socket.set_tcp_keepalive_idle(15)?;
                socket.set_tcp_keepalive_intvl(5)?;
                socket.set_tcp_keepalive_cnt(3)?;
                if kind == zmq::XPUB {
                    sockopt::set(&mut socket, sockopt::XPUB_VERBOSER, true)?;
                }
                socket.bind(endpoint)?;
                let bound = socket.get_last_endpoint()?.unwrap_or_else(|_| endpoint.clone());
                Ok((socket, bound))
            });
            bound.map_err(|source| BindError { setting, endpoint: endpoint.clone(), source })
        };
        let (publisher, bus_endpoint) = open("--bus", zmq::XPUB, &config.bus, HIGH_WATER_MARK)?;
        let (router, replay_endpoint) = open("--replay", zmq::ROUTER, &config.replay, ANSWERS)?;
        Ok(Self { publisher, router, bus_endpoint, replay_endpoint, _context: context })
    }
}

pub(super) struct Publisher {
    config: BusConfig,
    sockets: Sockets,
    metrics: Arc<Metrics>,
    spans: Spans,
    room: Arc<Semaphore>,
    windows: Windows,
    /// The one topic, when it is not a template.
    fixed_topic: Option<Arc<str>>,
    ledger_topic: Arc<str>,
    nodrop: bool,
    /// Since when a subscriber has been unable to keep up, while that lasts.
    congested: bool,
}

impl Publisher {
    pub(super) fn new(
        config: BusConfig,
        sockets: Sockets,
        metrics: Arc<Metrics>,
        spans: Spans,
        room: Arc<Semaphore>,
    ) -> Self {
        let windows = Windows::new(config.replay_bytes);
        let fixed_topic = config.topic.is_fixed().then(|| config.topic.of("").into());
        Self {
            config,
            sockets,
            metrics,
            spans,
            room,
            windows,
            fixed_topic,
            ledger_topic: LEDGER_TOPIC.into(),
            nodrop: false,
            congested: false,
        }
    }

    /// Runs until every sender is gone and everything is out, and says so with its last message.
    pub(super) fn run(mut self, jobs: &Receiver<(Job, usize)>) {
        let mut looked_after = Instant::now();
        loop {
            if looked_after.elapsed() >= BUSY {
                self.count_subscriptions();
                self.answer_requests();
                looked_after = Instant::now();
            }
            match jobs.recv_timeout(IDLE) {
                Ok((job, weight)) => {
                    self.publish_job(job);
                    self.room.add_permits(weight);
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return self.publish_end(),
            }
        }
    }

    fn publish_end(&mut self) {
        let topics = self.windows.updates.ends().take(TOPICS_NAMED);
        let end = message::relay_end(topics, &self.config.relay_id);
        self.publish_note(end);
    }

    fn publish_note(&mut self, note: Vec<u8>) {
        let topic = Arc::clone(&self.ledger_topic);
        if self.send(&topic, note).is_err() {
            self.metrics.ledger_dropped.inc();
        }
    }

    fn publish_job(&mut self, job: Job) {
        for note in job.notes {
            self.publish_note(note);
        }
        let mut dropped = Vec::new();
        let mut records = Records::with_capacity(job.messages.len());
        let mut published = 0;
        for Message { seq, key, payload, record } in job.messages {
            let topic = match &self.fixed_topic {
                Some(topic) => Arc::clone(topic),
                None => self.config.topic.of(&key).into(),
            };
            let sending_at = clock::now_us();
            let sent = self.send(&topic, payload).map_err(|_| "bus_full");
            match sent {
                Ok(_) => published += 1,
                Err(_) => dropped.push(seq),
            }
            records.extend(record.map(|mut record| {
                record.published(topic, sent, sending_at, clock::now_us());
                record
            }));
        }
        self.metrics.published.inc_by(published);
        self.spans.push(records);
        if let Some((origin, end)) = job.settle {
            if !dropped.is_empty() {
                self.account_for(&dropped, &origin);
            }
            // A connection that is gone has no use for the answer.
            let _ = origin.settled.send(Settled { end, dropped });
        }
    }

    /// Says everywhere that `dropped` did not get onto the bus.
    fn account_for(&mut self, dropped: &[u64], origin: &Origin) {
        let mut ranges = Vec::new();
        for seq in dropped {
            RejectedRange::add(&mut ranges, *seq, RejectReason::BusFull);
        }
        let losses = Losses::of_relay(&ranges);
        self.metrics.count_refused(&losses);
        self.publish_note(message::lost(&origin.session, &losses, &self.config.relay_id));
        self.spans.lost(&origin.session, &origin.resource, &losses, clock::now_us());
    }

    /// Publishes one message; the answer is its `relay.seq`.
    fn send(&mut self, topic: &Arc<str>, mut payload: Vec<u8>) -> zmq::Result<u64> {
        let relay_seq = self.windows.of_mut(topic).next_seq(topic);
        payload.extend_from_slice(relay_seq.to_string().as_bytes());
        payload.extend_from_slice(b"}}");
        self.send_parts(topic, &payload)?;
        self.windows.of_mut(topic).keep(topic, &payload);
        Ok(relay_seq)
    }

    /// With NODROP libzmq answers EAGAIN instead of dropping for a subscriber that is full. Policy
    /// `wait` then waits; when that has been long enough, and under `drop` at once, the message goes out
    /// without NODROP: everybody else gets it, and the slow subscriber sees a gap in `relay.seq`.
    fn send_parts(&mut self, topic: &str, payload: &[u8]) -> zmq::Result<()> {
        let deadline = Instant::now() + WAIT;
        let waits = self.config.slow_subscribers == SlowSubscribers::Wait;
        loop {
            self.set_nodrop(true)?;
            let sent = self.try_send(topic, payload);
            if sent != Err(zmq::Error::EAGAIN) {
                self.congested = false;
                return sent;
            }
            if waits && !self.congested && Instant::now() < deadline {
                // Who is slow may be busy with asking.
                self.answer_requests();
                std::thread::sleep(Duration::from_millis(1));
                continue;
            }
            if !self.congested {
                self.congested = true;
                self.metrics.bus_congestion.inc();
                tracing::warn!("a subscriber cannot keep up: it will miss messages, and see so by relay.seq");
            }
            self.set_nodrop(false)?;
            return self.try_send(topic, payload);
        }
    }

    fn try_send(&self, topic: &str, payload: &[u8]) -> zmq::Result<()> {
        send_part(&self.sockets.publisher, topic.as_bytes(), zmq::SNDMORE)?;
        send_part(&self.sockets.publisher, payload, 0)
    }

    fn set_nodrop(&mut self, on: bool) -> zmq::Result<()> {
        if self.nodrop != on {
            sockopt::set(&mut self.sockets.publisher, sockopt::XPUB_NODROP, on)?;
            self.nodrop = on;
        }
        Ok(())
    }

    /// Reads what subscribers said: a first byte of one opens a subscription, of zero ends it.
    fn count_subscriptions(&mut self) {
        for _ in 0..SUBSCRIPTIONS {
            let Ok(message) = self.sockets.publisher.recv_bytes(zmq::DONTWAIT) else { return };
            match message.first() {
                Some(1) => self.metrics.bus_subscriptions.inc(),
                Some(0) => self.metrics.bus_subscriptions.dec(),
                _ => continue,
            };
        }
    }

    /// Answers `[topic, from_seq]` with `[topic, head, payload…]`.
    fn answer_requests(&mut self) {
        let mut bytes = 0;
        for _ in 0..REQUESTS {
            if bytes >= ANSWER_BYTES {
                return;
            }
            let Ok(request) = self.sockets.router.recv_multipart(zmq::DONTWAIT) else { return };
            let answer = self.answer(&request);
            // Has libzmq see which answers were read by now. By itself it looks once in a millisecond, and a
            // client that asks faster would be taken for one that does not read.
            let _ = self.sockets.router.get_events();
            bytes += answer.iter().map(Bytes::len).sum::<usize>();
            // For whoever did not read the answers before, or is gone, libzmq drops this one.
            let last = answer.len() - 1;
            let mut parts = answer.iter().enumerate();
            let flags = |number| if number < last { zmq::SNDMORE } else { 0 };
            let _ = parts.try_for_each(|(number, part)| send_part(&self.sockets.router, part, flags(number)));
        }
    }

    fn answer(&self, request: &[Vec<u8>]) -> Vec<Bytes> {
        // A REQ socket puts an empty part before its own; it gets it back.
        let (envelope, body) = match request {
            [identity, empty, body @ ..] if empty.is_empty() => (vec![identity, empty], body),
            [identity, body @ ..] => (vec![identity], body),
            [] => (vec![], request),
        };
        let mut parts: Vec<_> = envelope.into_iter().map(|part| Bytes::copy_from_slice(part)).collect();
        let asked = match body {
            [topic, from_seq] => std::str::from_utf8(topic).ok().zip(decimal(from_seq)),
            _ => None,
        };
        let Some((topic, from_seq)) = asked else {
            parts.push(Bytes::new());
            parts.push(Bytes::from_static(
                br#"{"error":"a replay request is [topic, from_seq], from_seq in decimal digits"}"#,
            ));
            return parts;
        };
        let answer = self.windows.of(topic).since(topic, from_seq);
        parts.push(Bytes::copy_from_slice(topic.as_bytes()));
        let head = format!(
            r#"{{"relay":"{}","first":{},"oldest":{},"next":{}}}"#,
            self.config.relay_id, answer.first, answer.oldest, answer.next
        );
        parts.push(head.into());
        parts.extend(answer.payloads);
        parts
    }
}

/// A number in digits alone.
fn decimal(text: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(text).ok().filter(|text| text.bytes().all(|it| it.is_ascii_digit()))?;
    text.parse().ok()
}

/// Sends one part of a message. A signal that comes in between must not leave half of the message behind, to
/// which the next would be the other half.
fn send_part(socket: &zmq::Socket, part: &[u8], flags: i32) -> zmq::Result<()> {
    loop {
        match socket.send(part, flags | zmq::DONTWAIT) {
            Err(zmq::Error::EINTR) => {}
            sent => return sent,
        }
    }
}

//! The plain contract: a socket without the subprotocol, each text message one update
//! `{"key", "value", "traceparent"}`. The relay makes the session; there are no acknowledgements.

use super::{Gone, Origin, Socket, flags, span_id};
use crate::bus::Message;
use crate::clock;
use crate::message::{self, Payload};
use crate::relay::Relay;
use crate::trace::{Record, Resource, context};
use atomwire_wire::limits;
use atomwire_wire::relay::check_value;
use bytes::Bytes;
use futures_util::FutureExt as _;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message as Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

/// Messages that are there already go to the bus together, up to this many…
const TOGETHER: usize = 64;
/// …or this many bytes.
const TOGETHER_BYTES: usize = 64 * 1024;

/// A client this silent is asked for a sign of life, and cut off when it gives none for as long.
const SILENCE: Duration = Duration::from_secs(30);

/// One text message.
#[derive(Deserialize)]
struct Update<'a> {
    #[serde(borrow)]
    key: Cow<'a, str>,
    #[serde(borrow)]
    value: &'a RawValue,
    #[serde(borrow, default)]
    traceparent: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    tracestate: Option<Cow<'a, str>>,
}

/// What was wrong with a message.
struct Wrong {
    field: &'static str,
    limit: Option<usize>,
    message: String,
}

impl Wrong {
    /// `{"error": {"field", "limit"?, "message"}}`
    fn frame(&self) -> Frame {
        let mut error = serde_json::json!({ "field": self.field, "message": self.message });
        if let Some(limit) = self.limit {
            error["limit"] = limit.into();
        }
        Frame::text(serde_json::json!({ "error": error }).to_string())
    }
}

struct Plain {
    relay: Arc<Relay>,
    origin: Origin,
    next_seq: u64,
}

/// Serves one connection until it ends.
pub(crate) async fn serve(relay: Arc<Relay>, mut socket: Socket) {
    let session = message::hex(&fastrand::u128(..).to_be_bytes()).into();
    // Such a client says nothing of itself.
    let origin = Origin { session, resource: Resource::of_page(&[]) };
    let mut plain = Plain { relay, origin, next_seq: 0 };
    let end = plain.run(&mut socket).await;
    // Who said nothing has nothing on the books to end.
    if plain.next_seq > 0 {
        let note = message::end(&plain.origin.session, plain.next_seq, "closed", &plain.relay.id);
        plain.relay.bus.publish(&[note], Vec::new());
    }
    if let Ok((code, reason)) = end {
        socket.close(code, &reason).await;
    }
}

impl Plain {
    async fn run(&mut self, socket: &mut Socket) -> Result<(CloseCode, String), Gone> {
        let draining = self.relay.draining.clone();
        let mut asked = false;
        loop {
            let received = tokio::select! {
                biased;
                () = draining.cancelled() => {
                    return Ok((CloseCode::Away, "the relay is shutting down".into()));
                }
                received = timeout(SILENCE, socket.next()) => received,
            };
            let Ok(received) = received else {
                if asked {
                    return Ok((CloseCode::Away, "no sign of life".into()));
                }
                asked = true;
                socket.send(Frame::Ping(Bytes::new())).await?;
                continue;
            };
            asked = false;
            if let Some(end) = self.take(socket, received).await? {
                return Ok(end);
            }
        }
    }

    /// Takes `first` and whatever else has arrived by now.
    async fn take(
        &mut self,
        socket: &mut Socket,
        first: Result<Frame, (CloseCode, String)>,
    ) -> Result<Option<(CloseCode, String)>, Gone> {
        let (mut messages, mut wrongs, mut bytes) = (Vec::new(), Vec::new(), 0);
        let (mut next, mut end) = (Some(first), None);
        let now = clock::now_us();
        while let Some(received) = next.take() {
            match received {
                Ok(Frame::Text(text)) => {
                    self.relay.metrics.received.inc();
                    bytes += text.len();
                    match self.message(&text, now) {
                        Ok(message) => messages.push(message),
                        Err(wrong) => {
                            self.relay.metrics.count_dropped("invalid_message", 1);
                            wrongs.push(wrong);
                        }
                    }
                }
                Ok(Frame::Binary(_)) => {
                    self.relay.metrics.bad_input("message").inc();
                    let message = "binary messages need the subprotocol atomwire.v1".to_owned();
                    wrongs.push(Wrong { field: "message", limit: None, message });
                }
                Ok(Frame::Close(_)) => {
                    // Nothing may follow a close but its answer.
                    wrongs.clear();
                    end = Some((CloseCode::Normal, String::new()));
                }
                Ok(_) => {}
                Err((code, reason)) => {
                    if code == CloseCode::Size {
                        self.relay.metrics.bad_input("message").inc();
                    }
                    end = Some((code, reason));
                }
            }
            if end.is_none() && messages.len() + wrongs.len() < TOGETHER && bytes < TOGETHER_BYTES {
                next = socket.next().now_or_never();
            }
        }
        if !messages.is_empty() {
            self.relay.bus.publish(&[], messages);
        }
        // Only now: a client that is gone by now has still sent the others.
        for wrong in wrongs {
            socket.send(wrong.frame()).await?;
        }
        Ok(end)
    }

    fn message(&mut self, text: &str, received_us: u64) -> Result<Message, Wrong> {
        let wrong = |why: String| {
            let message = format!("not {{\"key\", \"value\", \"traceparent\"}}: {why}");
            Wrong { field: "message", limit: None, message }
        };
        // serde takes an array for a struct as well.
        if !text.trim_start().starts_with('{') {
            return Err(wrong("an update is an object".into()));
        }
        let update: Update<'_> = serde_json::from_str(text).map_err(|error| wrong(error.to_string()))?;
        if !(1..=limits::KEY_BYTES).contains(&update.key.len()) {
            let message =
                format!("key has {} bytes, it must have 1 to {}", update.key.len(), limits::KEY_BYTES);
            return Err(Wrong { field: "key", limit: Some(limits::KEY_BYTES), message });
        }
        if update.key.contains('\0') {
            let message = "key holds U+0000, which no text in PostgreSQL can".to_owned();
            return Err(Wrong { field: "key", limit: None, message });
        }
        let value = Bytes::copy_from_slice(update.value.get().as_bytes());
        check_value(&value, limits::VALUE_BYTES).map_err(|wrong| Wrong {
            field: "value",
            limit: Some(wrong.limit),
            message: format!("value breaks the limit of {}, {}", wrong.field, wrong.limit),
        })?;
        // Malformed is as absent: the trace starts anew here.
        let parent = update.traceparent.as_deref().and_then(context::parse);
        let tracestate = update.tracestate.filter(|_| parent.is_some());
        let tracestate = tracestate.map_or_else(String::new, |text| context::parse_state(&text));
        let trace_id = parent.map_or_else(|| fastrand::u128(1..).to_be_bytes(), |it| it.trace_id.to_bytes());
        let spans = &self.relay.spans;
        let sampled = spans.sample(trace_id, parent.map(|it| it.flags));
        let flags = flags(parent.map_or(context::RANDOM, |it| it.flags), sampled);
        let (server_span_id, producer_span_id) = (span_id(), span_id());
        let key: Arc<str> = update.key.into();
        let seq = self.next_seq;
        self.next_seq += 1;
        let payload = Payload {
            omitted: None,
            key: &key,
            value: Some(&value),
            trace_id,
            span_id: producer_span_id,
            flags,
            tracestate: &tracestate,
            session: &self.origin.session,
            seq,
            time_us: received_us,
            error: None,
            relay_id: &self.relay.id,
        };
        let payload = payload.write();
        let record = (sampled && spans.enabled()).then(|| {
            Box::new(Record {
                trace_id,
                flags,
                tracestate,
                key: Arc::clone(&key),
                session: Arc::clone(&self.origin.session),
                seq,
                protocol: "websocket",
                browser: None,
                parent_span_id: parent.map(|it| it.span_id.to_bytes()),
                server_span_id,
                producer_span_id,
                received_us,
                topic: Arc::clone(&self.origin.session),
                relay_seq: 0,
                sending_us: 0,
                published_us: 0,
            })
        });
        Ok(Message { key, payload, record })
    }
}

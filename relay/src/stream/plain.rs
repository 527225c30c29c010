//! The codec of the plain contract: a socket without the subprotocol, each text message one update
//! `{"key", "value", "traceparent"}`. The relay makes the session; there are no acknowledgements.

use super::Socket;
use super::connection::{self, Codec, End};
use super::ingest::Ingest;
use crate::clock;
use crate::relay::Relay;
use crate::trace::context;
use atomwire_wire::relay::{Update, check_value};
use atomwire_wire::{ParentContext, limits};
use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

/// A client this silent is asked for a sign of life, and cut off when it gives none for as long.
const SILENCE: Duration = Duration::from_secs(30);

/// One text message.
#[derive(Deserialize)]
struct Text<'a> {
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
    fn answer(&self) -> Message {
        let mut error = serde_json::json!({ "field": self.field, "message": self.message });
        if let Some(limit) = self.limit {
            error["limit"] = limit.into();
        }
        Message::text(serde_json::json!({ "error": error }).to_string())
    }
}

struct Plain {
    ingest: Ingest,
    next_seq: u64,
    /// For a sign of life.
    asked: bool,
    answers: Vec<Message>,
}

impl Codec for Plain {
    fn silence() -> Duration {
        SILENCE
    }

    fn receive(&mut self, message: Message) -> Result<(), End> {
        self.asked = false;
        match message {
            Message::Text(text) => {
                let metrics = &self.ingest.relay.metrics;
                metrics.received.inc();
                let received_us = clock::now_us();
                match read(&text, self.next_seq, received_us) {
                    Ok(update) => {
                        self.next_seq += 1;
                        self.ingest.add(update, received_us, 0);
                    }
                    Err(wrong) => {
                        metrics.count_dropped("invalid_message", 1);
                        self.answers.push(wrong.answer());
                    }
                }
            }
            Message::Binary(_) => {
                self.ingest.relay.metrics.bad_input("message").inc();
                let message = "binary messages need the subprotocol atomwire.v1".to_owned();
                self.answers.push(Wrong { field: "message", limit: None, message }.answer());
            }
            _ => {}
        }
        Ok(())
    }

    fn publish(&mut self) -> Vec<Message> {
        self.ingest.publish();
        std::mem::take(&mut self.answers)
    }

    fn due(&self) -> Option<Instant> {
        None
    }

    fn waits(&self) -> bool {
        false
    }

    fn sign_of_life(&self) -> Option<Message> {
        Some(Message::Ping(Bytes::new()))
    }

    fn silent(&mut self) -> Result<Message, End> {
        if self.asked {
            return Err(End::Broken(CloseCode::Away, "no sign of life".into()));
        }
        self.asked = true;
        Ok(Message::Ping(Bytes::new()))
    }

    fn leave(&self) -> End {
        End::Draining
    }
}

impl Drop for Plain {
    fn drop(&mut self) {
        // Who said nothing has nothing on the books to end.
        if self.next_seq > 0 {
            self.ingest.end(self.next_seq);
        }
        self.ingest.publish();
    }
}

/// Serves one connection until it ends.
pub(crate) async fn serve(relay: Arc<Relay>, socket: &mut Socket) {
    let id = fastrand::u128(..).to_be_bytes();
    // Such a client says nothing of itself.
    let ingest = Ingest::new(Arc::clone(&relay), &id, &[], "websocket");
    let plain = Box::new(Plain { ingest, next_seq: 0, asked: false, answers: Vec::new() });
    match connection::serve(socket, plain, relay.bus.flow(), &relay.draining.child_token()).await {
        End::Draining => socket.close(CloseCode::Away, "the relay is shutting down").await,
        End::Broken(code, reason) => {
            if code == CloseCode::Size {
                relay.metrics.bad_input("message").inc();
            }
            socket.close(code, &reason).await;
        }
        End::Gone => {}
        _ => socket.close(CloseCode::Normal, "").await,
    }
}

/// Reads an update, which is to be number `seq`.
fn read(text: &str, seq: u64, received_us: u64) -> Result<Update, Wrong> {
    let wrong = |why: String| {
        let message = format!("not {{\"key\", \"value\", \"traceparent\"}}: {why}");
        Wrong { field: "message", limit: None, message }
    };
    // serde takes an array for a struct as well.
    if !text.trim_start().starts_with('{') {
        return Err(wrong("an update is an object".into()));
    }
    let text: Text<'_> = serde_json::from_str(text).map_err(|error| wrong(error.to_string()))?;
    if !(1..=limits::KEY_BYTES).contains(&text.key.len()) {
        let message = format!("key has {} bytes, it must have 1 to {}", text.key.len(), limits::KEY_BYTES);
        return Err(Wrong { field: "key", limit: Some(limits::KEY_BYTES), message });
    }
    if text.key.contains('\0') {
        let message = "key holds U+0000, which no text in PostgreSQL can".to_owned();
        return Err(Wrong { field: "key", limit: None, message });
    }
    let value = Bytes::copy_from_slice(text.value.get().as_bytes());
    check_value(&value, limits::VALUE_BYTES).map_err(|it| Wrong {
        field: "value",
        limit: Some(it.limit),
        message: format!("value breaks the limit of {}, {}", it.field, it.limit),
    })?;
    // Malformed is as absent: the trace starts anew here.
    let parent = text.traceparent.as_deref().and_then(context::parse).map(|parent| ParentContext {
        trace_id: parent.trace_id.to_bytes(),
        span_id: parent.span_id.to_bytes(),
        flags: parent.flags.to_u8(),
        local: false,
        tracestate: text.tracestate.unwrap_or_default().into_owned(),
    });
    Ok(Update {
        seq,
        key: text.key.into(),
        value: Some(value),
        omitted: None,
        start: received_us,
        duration: 0,
        error: None,
        attributes: Vec::new(),
        trace_id: parent.as_ref().map_or_else(|| fastrand::u128(1..).to_be_bytes(), |it| it.trace_id),
        span_id: None,
        parent,
    })
}

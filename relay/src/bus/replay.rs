//! The replay socket: answers `[topic, from_seq]` with `[topic, head, payload…]`.

use super::Bus;
use super::connection::{Connection, Gone};
use super::listener::Stream;
use atomwire_wire::zmtp::{Event, Limits, Role, frame_head};
use bytes::{Bytes, BytesMut};

/// A request is a topic and a number; the empty part of a REQ stands before them. What has more parts is answered, too.
const LIMITS: Limits = Limits { message_bytes: 1024, message_parts: 1024, subscriptions: 0 };

/// Answers one client's requests, one after the other, as fast as it reads.
pub(super) async fn serve(bus: Bus, stream: Stream) {
    let answer = async {
        let mut connection = Connection::open(stream, Role::Router, LIMITS).await?;
        loop {
            for event in connection.receive().await? {
                if let Event::Message(request) = event {
                    connection.send(encode(answer(&bus, &request))).await?;
                }
            }
        }
    };
    let _: Result<(), Gone> = tokio::select! {
        end = answer => end,
        () = bus.0.cut.cancelled() => Err(Gone),
    };
}

fn answer(bus: &Bus, request: &[Bytes]) -> Vec<Bytes> {
    // A REQ socket puts an empty part before its own; it gets it back.
    let (envelope, body) = match request {
        [empty, body @ ..] if empty.is_empty() => (Some(empty), body),
        body => (None, body),
    };
    let mut parts: Vec<_> = envelope.cloned().into_iter().collect();
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
    let answer = bus.lock().since(topic, from_seq);
    let head = format!(
        r#"{{"relay":"{}","first":{},"oldest":{},"next":{}}}"#,
        bus.0.relay_id, answer.first, answer.oldest, answer.next
    );
    parts.extend([body[0].clone(), head.into()]);
    parts.extend(answer.payloads);
    parts
}

/// A number in digits alone.
fn decimal(text: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(text).ok().filter(|text| text.bytes().all(|it| it.is_ascii_digit()))?;
    text.parse().ok()
}

/// The frames of a message of these parts.
fn encode(parts: Vec<Bytes>) -> Vec<Bytes> {
    let last = parts.len() - 1;
    let frame = |(number, part): (usize, Bytes)| {
        let mut head = BytesMut::with_capacity(9);
        frame_head(part.len(), number < last, &mut head);
        [head.freeze(), part]
    };
    parts.into_iter().enumerate().flat_map(frame).collect()
}

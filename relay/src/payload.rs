//! The bus contract's payloads, written up to where the bus thread adds `relay.seq`.

use crate::losses::Losses;
use atomwire_wire::Omitted;
use bytes::Bytes;
use opentelemetry::trace::TraceFlags;
use std::fmt::Write as _;
use std::time::{Duration, UNIX_EPOCH};

use crate::trace::context;

/// What a payload says of one update.
pub(crate) struct Payload<'a> {
    pub(crate) key: &'a str,
    /// JSON text; none when the browser could not express the value.
    pub(crate) value: Option<&'a Bytes>,
    /// What the value lacks of the app's.
    pub(crate) omitted: Option<Omitted>,
    pub(crate) trace_id: [u8; 16],
    /// The PRODUCER span.
    pub(crate) span_id: [u8; 8],
    pub(crate) flags: TraceFlags,
    pub(crate) tracestate: &'a str,
    pub(crate) session: &'a str,
    pub(crate) seq: u64,
    pub(crate) time_us: u64,
    /// The error's type, when the write failed in the app.
    pub(crate) error: Option<&'a str>,
    pub(crate) relay_id: &'a str,
}

impl Payload<'_> {
    /// `{"key":…,"relay":{"id":…,"seq":`
    pub(crate) fn write(&self) -> Vec<u8> {
        let mut text = String::with_capacity(256 + self.value.map_or(0, Bytes::len));
        text.push_str(r#"{"key":"#);
        push_json(&mut text, self.key);
        let mut bytes = text.into_bytes();
        if let Some(value) = self.value {
            bytes.extend_from_slice(br#","value":"#);
            // Checked when it came, and spliced in as it came: a consumer sees the browser's own digits.
            bytes.extend_from_slice(value);
        }
        let mut rest = String::with_capacity(256);
        if let Some(omitted) = self.omitted {
            let omitted = match omitted {
                Omitted::Value => "value",
                Omitted::Parts => "parts",
            };
            rest.extend([r#","omitted":""#, omitted, r#"""#]);
        }
        rest.push_str(r#","traceparent":""#);
        context::write(&mut rest, self.trace_id, self.span_id, self.flags);
        rest.push('"');
        if !self.tracestate.is_empty() {
            rest.push_str(r#","tracestate":"#);
            push_json(&mut rest, self.tracestate);
        }
        // Never later than the update came, so that RFC 3339 can write it.
        let time = humantime::format_rfc3339_micros(UNIX_EPOCH + Duration::from_micros(self.time_us));
        rest.extend([r#","session":""#, self.session, r#"","seq":"#]);
        // Writing into a String cannot fail.
        let _ = write!(rest, r#"{},"time":"{time}""#, self.seq);
        if let Some(error) = self.error {
            rest.push_str(r#","error":"#);
            push_json(&mut rest, error);
        }
        push_relay(&mut rest, self.relay_id);
        bytes.extend_from_slice(rest.as_bytes());
        bytes
    }
}

/// `{"session":…,"lost":[…],"place":…,"relay":{"id":…,"seq":`
pub(crate) fn lost(session: &str, losses: &Losses, relay_id: &str) -> Vec<u8> {
    let ranges = losses.ranges.iter().map(|range| {
        format!(r#"{{"first":{},"last":{},"reason":"{}"}}"#, range.first, range.last, range.reason)
    });
    let ranges = ranges.collect::<Vec<_>>().join(",");
    note(format!(r#"{{"session":"{session}","lost":[{ranges}],"place":"{}""#, losses.place), relay_id)
}

/// `{"session":…,"start":true,"next_seq":…,"relay":{"id":…,"seq":`
pub(crate) fn start(session: &str, next_seq: u64, relay_id: &str) -> Vec<u8> {
    note(format!(r#"{{"session":"{session}","start":true,"next_seq":{next_seq}"#), relay_id)
}

/// `{"session":…,"end":true,…,"relay":{"id":…,"seq":`
pub(crate) fn end(session: &str, next_seq: u64, reason: &str, relay_id: &str) -> Vec<u8> {
    let end = format!(r#"{{"session":"{session}","end":true,"next_seq":{next_seq},"reason":"{reason}""#);
    note(end, relay_id)
}

/// `{"end":true,"topics":{…},"relay":{"id":…,"seq":`, with the number after the last of each topic.
pub(crate) fn relay_end<'a>(topics: impl Iterator<Item = (&'a str, u64)>, relay_id: &str) -> Vec<u8> {
    let mut text = r#"{"end":true,"topics":{"#.to_owned();
    for (number, (topic, next_seq)) in topics.enumerate() {
        if number > 0 {
            text.push(',');
        }
        push_json(&mut text, topic);
        let _ = write!(text, ":{next_seq}");
    }
    text.push('}');
    note(text, relay_id)
}

fn note(mut text: String, relay_id: &str) -> Vec<u8> {
    push_relay(&mut text, relay_id);
    text.into_bytes()
}

fn push_relay(text: &mut String, relay_id: &str) {
    text.push_str(r#","relay":{"id":""#);
    text.push_str(relay_id);
    text.push_str(r#"","seq":"#);
}

fn push_json(text: &mut String, value: &str) {
    // A string is always JSON.
    text.push_str(&serde_json::to_string(value).unwrap_or_default());
}

/// Lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    push_hex(&mut text, bytes);
    text
}

/// Appends lower-case hexadecimal.
pub(crate) fn push_hex(text: &mut String, bytes: &[u8]) {
    let digit = |nibble: u8| char::from(b"0123456789abcdef"[usize::from(nibble)]);
    for byte in bytes {
        text.push(digit(byte >> 4));
        text.push(digit(byte & 15));
    }
}

//! `vectors/frames.json`: one frame of each kind, byte by byte, for implementations in any language.
//! `UPDATE_VECTORS=1 cargo test -p atomwire-wire` writes it anew from what the two machines write.
//!
//! `hex` is a list of pieces, each with its meaning; joined they are the frame. `message` is the frame in
//! protobuf's own JSON mapping, so that every protobuf library can compare.

use crate::support::{NOW, client, config, connected, frames, hello, hex, server, vector_file, write};
use atomwire_wire::emitter::{Config, Emitter, Event, Key, NewUpdate, Step};
use atomwire_wire::limits::CREDIT;
use atomwire_wire::proto::{self, client_frame, server_frame};
use atomwire_wire::relay::{Ledger, Limits, Session, go_away};
use atomwire_wire::{LostReason, ParentContext};
use bytes::Bytes;
use prost::Message;
use prost_reflect::{DescriptorPool, DynamicMessage, FieldDescriptor, Kind, MessageDescriptor};
use serde_json::Value;
use std::{fmt::Debug, path::Path};

const CLIENT: &str = "ClientFrame";
const SERVER: &str = "ServerFrame";

struct Vector {
    name: &'static str,
    note: &'static str,
    kind: &'static str,
    bytes: Vec<u8>,
}

/// The frame that `emitter` sends first at `NOW` once it is connected.
fn first(emitter: Emitter) -> Vec<u8> {
    let welcome = proto::Welcome { credit: 4096, heartbeat_interval_ms: 20_000, ..Default::default() };
    let mut emitter = connected(emitter, welcome);
    emitter.hurry();
    frames(&mut emitter, NOW).swap_remove(0)
}

fn one(update: &NewUpdate<'_>) -> Vec<u8> {
    let mut emitter = Emitter::new(config());
    emitter.push(update, NOW);
    first(emitter)
}

fn from_the_emitter() -> Vec<Vector> {
    let vector = |name, note, bytes| Vector { name, note, kind: CLIENT, bytes };
    let resource = [("service.name", "shop"), ("service.version", "1.2.3")];
    let resource = resource.map(|(key, value)| (key.into(), value.into())).to_vec();
    let full = Config { resource, token: "secret".into(), ..config() };

    let mut settled = Emitter::new(config());
    (0..3).for_each(|n| settled.push(&write(n, "1"), NOW));
    let mut settled = connected(settled, proto::Welcome { next_seq: 3, ..Default::default() });
    settled.closed(NOW, 0.0);

    let mut interned = Emitter::new(config());
    for (seq, (key, value)) in
        [("cart", r#"{"items":2}"#), ("coupon", "null"), ("cart", "[]")].into_iter().enumerate()
    {
        let index = interned.intern(key).unwrap();
        let start = NOW + 1_000 * seq as u64;
        interned.push(&NewUpdate { key: Key::Index(index), start, ..write(seq as u64, value) }, NOW);
    }

    let parent = ParentContext {
        trace_id: *b"\x0a\xf7\x65\x19\x16\xcd\x43\xdd\x84\x48\xeb\x21\x1c\x80\x31\x9c",
        span_id: *b"\xb7\xad\x6b\x71\x69\x20\x33\x31",
        flags: 3,
        local: false,
        tracestate: "congo=t61rcWkgMzE".into(),
    };
    let local = ParentContext { flags: 0, local: true, tracestate: String::new(), ..parent.clone() };

    let mut losing = Emitter::new(config());
    losing.lose(2, LostReason::NotSerializable);
    losing.push(&write(2, "1"), NOW);
    losing.lose(1, LostReason::QueueFull);
    losing.lose(5, LostReason::TooLarge);

    let mut late = Emitter::new(config());
    late.push(&write(0, "1"), NOW);
    late.opened(NOW);
    let times = Some(proto::Times { received_at_us: NOW - 1_400, sent_at_us: NOW - 1_350 });
    let welcome = proto::Welcome { credit: 1, times, ..Default::default() };
    late.receive(&server(server_frame::Frame::Welcome(welcome)), NOW + 550).unwrap();
    late.hurry();

    let mut silent = connected(Emitter::new(config()), proto::Welcome::default());
    let Step::Send(ping) = silent.step(NOW + 1_000_000) else { panic!("pings after a second") };

    let mut ending = Emitter::new(config());
    ending.lose(300, LostReason::QueueFull);
    let mut ending = connected(ending, proto::Welcome { next_seq: 300, ..Default::default() });
    ending.end();

    vec![
        vector("hello", "the first frame of a new session", Emitter::new(full).opened(NOW)),
        vector("hello_again", "three updates are settled", settled.opened(NOW)),
        vector("batch", "two keys are introduced and used by their index", first(interned)),
        vector("batch_inline_key", "the key in full", one(&write(0, "\"ü\""))),
        vector(
            "batch_error",
            "the write failed",
            one(&NewUpdate { error: Some(("TypeError", "x is undefined")), ..write(0, "1") }),
        ),
        vector(
            "batch_parent",
            "the app had an active span; sampled and random",
            one(&NewUpdate { parent: Some(&parent), ..write(0, "1") }),
        ),
        vector(
            "batch_parent_local",
            "inside a traced write of the same session",
            one(&NewUpdate { parent: Some(&local), ..write(0, "1") }),
        ),
        vector(
            "batch_omitted",
            "JSON cannot hold the value",
            one(&NewUpdate { value: None, ..write(0, "") }),
        ),
        vector(
            "batch_before_its_epoch",
            "a clock that is years behind, and a position that is not the sequence number",
            one(&NewUpdate { start: 1_000_000_000_000_000, ..write(7, "1") }),
        ),
        vector("batch_lost", "lost ranges before and behind the update", first(losing)),
        vector(
            "batch_clock",
            "the client's clock is 1,650 µs ahead, give or take 250",
            frames(&mut late, NOW).swap_remove(0),
        ),
        vector("ping", "", ping),
        vector("bye", "after 300 updates", frames(&mut ending, NOW).swap_remove(0)),
    ]
}

/// What the protocol has and the emitter does not use.
fn from_other_clients() -> Vec<Vector> {
    let attribute = |key: &str, value: &str| proto::Attribute { key: key.into(), value: value.into() };
    let update = proto::Update {
        key: "cart".into(),
        value: Some("1".into()),
        attributes: vec![attribute("app.route", "/checkout"), attribute("empty", "")],
        ..Default::default()
    };
    let altered = proto::Update {
        key: "cart".into(),
        value: Some(r#"{"items":{}}"#.into()),
        omitted: proto::Omitted::Parts.into(),
        ..Default::default()
    };
    let batch = |update| {
        let batch = proto::Batch { base_time_us: NOW, updates: vec![update], ..Default::default() };
        client_frame::Frame::Batch(batch)
    };
    let killed = proto::LostRange { first: 0, last: 11, reason: proto::LostReason::PageKilled.into() };
    let killed = client_frame::Frame::Batch(proto::Batch { lost: vec![killed], ..Default::default() });
    let spans = proto::OtlpSpans { export_trace_service_request: Bytes::from_static(b"\x0a\x00") };
    let vector = |name, note, frame| Vector { name, note, kind: CLIENT, bytes: client(frame).to_vec() };
    vec![
        vector("batch_attributes", "span attributes", batch(update)),
        vector("batch_omitted_parts", "items was a Map", batch(altered)),
        vector("batch_page_killed", "what the note of a page that died says", killed),
        vector("otlp_spans", "a request with one empty ResourceSpans", client_frame::Frame::OtlpSpans(spans)),
    ]
}

fn from_the_relay() -> Vec<Vector> {
    let update = |value: &'static str| proto::Update {
        key: "n".into(),
        value: Some(value.into()),
        ..Default::default()
    };
    let frame = |frame| client(frame);
    let mut session = Session::new(Limits::default());
    session.receive(&frame(client_frame::Frame::Hello(hello())), NOW).unwrap();
    let ledger = Ledger::new(hello().id_seed.as_ref().try_into().unwrap(), 0);
    let welcome = session.attach(ledger, NOW + 40, CREDIT);
    let mut updates = vec![update("1"), update("{"), update("[1"), update("2"), update("3")];
    updates[3].key = String::new();
    let batch = proto::Batch { base_time_us: NOW, updates, ..Default::default() };
    session.receive(&frame(client_frame::Frame::Batch(batch)), NOW + 500).unwrap();
    session.settled(1);
    let ack = session.ack(NOW + 600, CREDIT).unwrap();
    session.settled(5);
    let ack_rejected = session.ack(NOW + 700, CREDIT).unwrap();
    let mut ledger = session.detach().unwrap();
    ledger.resume(1);
    let mut session = Session::new(Limits::default());
    session.receive(&frame(client_frame::Frame::Hello(hello())), NOW + 900).unwrap();
    let resumed = session.attach(ledger, NOW + 950, 0);
    let ack_credit = session.ack(NOW + 980, CREDIT).unwrap();
    let ping = client_frame::Frame::Ping(proto::Ping { client_time_us: NOW - 77 });
    let Ok(atomwire_wire::relay::Event::Reply(pong)) = session.receive(&frame(ping), NOW + 1_000) else {
        panic!("a pong")
    };
    let shutdown = go_away(proto::GoAwayReason::Shutdown, 1_000, 5_000, "the relay is shutting down");
    let message = "frame is 524289, the limit is 524288";
    let broken = go_away(proto::GoAwayReason::ProtocolError, 0, 0, message);
    let vector = |name, note, bytes: Bytes| Vector { name, note, kind: SERVER, bytes: bytes.to_vec() };
    vec![
        vector("welcome", "a new session", welcome),
        vector(
            "welcome_resumed",
            "what the client has not heard of is settled, and partly refused; there is no credit",
            resumed,
        ),
        vector("ack", "one update is settled", ack),
        vector("ack_rejected", "of 1 to 4 two were no JSON and one had no key", ack_rejected),
        vector("ack_credit", "nothing new is settled, and the client may go on", ack_credit),
        vector("pong", "", pong),
        vector("go_away", "the relay drains: come back", shutdown),
        vector("go_away_protocol_error", "the client's fault: do not come back", broken),
    ]
}

fn all() -> Vec<Vector> {
    [from_the_emitter(), from_other_clients(), from_the_relay()].into_iter().flatten().collect()
}

fn descriptor(kind: &str) -> MessageDescriptor {
    let proto = Path::new(env!("CARGO_MANIFEST_DIR")).join("proto");
    let files = protox::compile(["atomwire/v1/atomwire.proto"], [proto]).unwrap();
    let pool = DescriptorPool::from_file_descriptor_set(files).unwrap();
    pool.get_message_by_name(&format!("atomwire.v1.{kind}")).unwrap()
}

fn varint(bytes: &mut &[u8]) -> u64 {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (first, rest) = bytes.split_first().unwrap();
        *bytes = rest;
        value |= u64::from(first & 0x7f) << shift;
        if first & 0x80 == 0 {
            return value;
        }
    }
    panic!("a varint has more than ten bytes")
}

/// Takes a message apart: each piece's bytes, and what they mean.
fn annotate(mut bytes: &[u8], message: &MessageDescriptor, depth: usize, pieces: &mut Vec<(String, String)>) {
    while !bytes.is_empty() {
        let start = bytes;
        let tag = varint(&mut bytes);
        let field = message.get_field((tag >> 3) as u32).unwrap();
        let number = varint(&mut bytes);
        let content = if tag & 7 == 2 {
            let (content, rest) = bytes.split_at(number as usize);
            bytes = rest;
            content
        } else {
            &[]
        };
        let inner = field.kind();
        let own = if inner.as_message().is_some() { bytes.len() + content.len() } else { bytes.len() };
        let meaning = format!("{}{}", "  ".repeat(depth), meaning(&field, number, content));
        pieces.push((hex(&start[..start.len() - own]), meaning));
        if let Some(inner) = inner.as_message() {
            annotate(content, inner, depth + 1, pieces);
        }
    }
}

fn meaning(field: &FieldDescriptor, number: u64, content: &[u8]) -> String {
    let name = field.name();
    match field.kind() {
        Kind::String => format!("{name} = {:?}", str::from_utf8(content).unwrap()),
        Kind::Bytes if name == "value" => format!("{name} = {}", str::from_utf8(content).unwrap()),
        Kind::Bytes | Kind::Message(_) => format!("{name}, {} bytes", content.len()),
        Kind::Enum(kind) => format!("{name} = {}", kind.get_value(number as i32).unwrap().name()),
        Kind::Sint64 => format!("{name} = {}", (number >> 1) as i64 ^ -((number & 1) as i64)),
        Kind::Bool => format!("{name} = {}", number == 1),
        _ => format!("{name} = {number}"),
    }
}

/// The vector as it stands in the file, a piece of hex to the line.
fn text(vector: &Vector) -> String {
    let descriptor = descriptor(vector.kind);
    let message = DynamicMessage::decode(descriptor.clone(), &vector.bytes[..]).unwrap();
    let message = serde_json::to_string_pretty(&serde_json::to_value(message).unwrap()).unwrap();
    let mut pieces = Vec::new();
    annotate(&vector.bytes, &descriptor, 0, &mut pieces);
    let string = |text: &str| Value::from(text).to_string();
    let pieces: Vec<_> =
        pieces.iter().map(|(hex, meaning)| format!("      [\"{hex}\", {}]", string(meaning))).collect();
    let lines = [
        "  {".to_owned(),
        format!("    \"name\": {},", string(vector.name)),
        format!("    \"note\": {},", string(vector.note)),
        format!("    \"frame\": {},", string(vector.kind)),
        format!("    \"hex\": [\n{}\n    ],", pieces.join(",\n")),
        format!("    \"message\": {}", message.replace('\n', "\n    ")),
        "  }".to_owned(),
    ];
    lines.join("\n")
}

#[test]
fn the_machines_write_what_the_vectors_say() {
    let vectors: Vec<_> = all().iter().map(text).collect();
    vector_file("frames.json", &format!("[\n{}\n]\n", vectors.join(",\n")));
}

/// The frames in the file: name, kind, bytes and message.
fn file() -> Vec<(String, String, Bytes, Value)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors/frames.json");
    let vectors: Vec<Value> = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let read = |vector: Value| {
        let hex: String = vector["hex"].as_array().unwrap().iter().map(|piece| text(&piece[0])).collect();
        let bytes = (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap());
        (text(&vector["name"]), text(&vector["frame"]), bytes.collect(), vector["message"].clone())
    };
    vectors.into_iter().map(read).collect()
}

#[test]
fn prost_reads_the_vectors_as_their_messages() {
    fn check<M: Message + Default + PartialEq + Debug>(name: &str, bytes: &Bytes, message: &DynamicMessage) {
        let decoded = M::decode(bytes.clone()).unwrap();
        assert_eq!(decoded, message.transcode_to().unwrap(), "{name}");
        assert_eq!(decoded.encoded_len(), bytes.len(), "{name}: nothing superfluous was written");
        assert_eq!(M::decode(decoded.encode_to_vec().as_slice()).unwrap(), decoded, "{name}");
    }
    let vectors = file();
    assert_eq!(vectors.len(), all().len());
    for (name, kind, bytes, message) in vectors {
        let message = DynamicMessage::deserialize(descriptor(&kind), message).unwrap();
        match kind.as_str() {
            CLIENT => check::<proto::ClientFrame>(&name, &bytes, &message),
            SERVER => check::<proto::ServerFrame>(&name, &bytes, &message),
            _ => panic!("{kind}"),
        }
    }
}

/// What an emitter with five updates in flight makes of the server frame `name`.
fn emitter_after(name: &str) -> (Emitter, Event) {
    let mut emitter = Emitter::new(config());
    (0..5).for_each(|n| emitter.push(&write(n, "1"), NOW));
    emitter.opened(NOW - 100);
    let (_, _, bytes, _) = file().into_iter().find(|vector| vector.0 == name).unwrap();
    let event = emitter.receive(&bytes, NOW + 1_100).unwrap();
    (emitter, event)
}

#[test]
fn the_emitter_reads_the_relays_vectors() {
    let account = |name| {
        let stats = emitter_after(name).0.stats();
        (stats.acknowledged, stats.lost[LostReason::Rejected as usize - 1], stats.pending)
    };
    assert_eq!(account("welcome"), (0, 0, 5));
    assert_eq!(account("welcome_resumed"), (2, 3, 0));
    assert_eq!(account("ack"), (1, 0, 4));
    assert_eq!(account("ack_rejected"), (2, 3, 0));
    assert_eq!(account("ack_credit"), (5, 0, 0));
    let offset = emitter_after("pong").0.clock().unwrap();
    assert_eq!(
        (offset.micros, offset.error),
        (488, 589),
        "sent at -77, received 1000, answered 1000, back 1100"
    );
    let (mut emitter, event) = emitter_after("go_away");
    assert_eq!(event, Event::GoAway("the relay is shutting down".into()));
    assert_eq!(emitter.closed(NOW, 1.0), Some(6_000_000));
    let (mut emitter, event) = emitter_after("go_away_protocol_error");
    assert_eq!(event, Event::GoAway("frame is 524289, the limit is 524288".into()));
    assert_eq!(emitter.closed(NOW, 1.0), None);
}

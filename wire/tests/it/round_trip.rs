//! What goes into one machine comes out of the other; what was damaged on the way harms neither.

use crate::support::{NOW, SEED, batch, client, config, connected, frames, hello, server, welcomed, write};
use atomwire_wire::emitter::{Emitter, Key, NewUpdate};
use atomwire_wire::ids::IdStream;
use atomwire_wire::proto::{self, client_frame, server_frame};
use atomwire_wire::relay::{Event, Limits, Session, Update};
use atomwire_wire::{Micros, ParentContext, limits};
use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::Value;

/// An update as an app makes it.
#[derive(Debug, Clone)]
struct Write {
    interned: bool,
    key: String,
    start: Micros,
    duration: Micros,
    value: Option<String>,
    error: Option<(String, String)>,
    parent: Option<ParentContext>,
    position: u64,
}

fn json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 48, 8, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..8).prop_map(Value::from),
            proptest::collection::hash_map(any::<String>(), inner, 0..8)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

fn parent() -> impl Strategy<Value = ParentContext> {
    let (trace, span) = (any::<[u8; 16]>(), any::<[u8; 8]>());
    (trace, span, any::<u8>(), any::<bool>(), "[a-z]{1,9}=[ -~]{0,40}")
        .prop_filter("all zero", |(trace, span, ..)| *trace != [0; 16] && *span != [0; 8])
        .prop_map(|(trace_id, span_id, flags, local, tracestate)| ParentContext {
            trace_id,
            span_id,
            flags,
            local,
            tracestate,
        })
}

fn a_write() -> impl Strategy<Value = Write> {
    let key = r"[^\x00\n]{1,40}".prop_filter("too long", |key| key.len() <= limits::KEY_BYTES);
    let start = prop_oneof![any::<u64>(), NOW - 10_000_000..NOW];
    let value = proptest::option::of(json().prop_map(|it| it.to_string()));
    let error = proptest::option::weighted(0.2, (".{0,200}", ".{0,600}"));
    let parent = proptest::option::weighted(0.3, parent());
    let numbers = (start, any::<u64>(), any::<u64>());
    (any::<bool>(), key, numbers, value, error, parent).prop_map(
        |(interned, key, (start, duration, position), value, error, parent)| Write {
            interned,
            key,
            start,
            duration,
            value,
            error,
            parent,
            position,
        },
    )
}

/// An error's text as it arrives.
fn told(text: &str, limit: usize) -> String {
    text[..text.floor_char_boundary(limit)].replace('\0', "\u{fffd}")
}

fn check(seq: usize, update: &Update, write: &Write) {
    let ids = IdStream::new(SEED).at(write.position);
    assert_eq!(update.seq, seq as u64);
    assert_eq!(*update.key, *write.key);
    assert_eq!(update.value.as_deref(), write.value.as_deref().map(str::as_bytes));
    assert_eq!(
        (update.start, update.duration),
        (write.start.min(NOW - write.duration.min(limits::DURATION)), write.duration.min(limits::DURATION))
    );
    let error = write.error.as_ref().map(|(kind, message)| {
        (told(kind, limits::ERROR_TYPE_BYTES), told(message, limits::ATTRIBUTE_BYTES))
    });
    assert_eq!(update.error, error);
    assert_eq!(update.parent, write.parent);
    assert_eq!(update.span_id, Some(ids.span_id));
    assert_eq!(update.trace_id, write.parent.as_ref().map_or(ids.trace_id, |parent| parent.trace_id));
}

/// One valid frame of each kind, with every field in it.
fn client_frames() -> Vec<Bytes> {
    let update = proto::Update {
        value: Some("[1,{\"a\":null}]".into()),
        error: Some(proto::Error { r#type: "E".into(), message: "m".into() }),
        attributes: vec![proto::Attribute { key: "k".into(), value: "v".into() }],
        parent: Some(proto::ParentContext {
            trace_id: Bytes::from_static(&[1; 16]),
            span_id: Bytes::from_static(&[2; 8]),
            ..Default::default()
        }),
        ..Default::default()
    };
    let batch = proto::Batch {
        base_time_us: NOW,
        new_keys: vec!["cart".into()],
        updates: vec![update; 3],
        lost: vec![proto::LostRange { first: 3, last: 9, reason: 1 }],
        clock_offset_us: -5,
        clock_error_us: 7,
        ..Default::default()
    };
    vec![
        client(client_frame::Frame::Hello(hello())),
        client(client_frame::Frame::Batch(batch)),
        client(client_frame::Frame::OtlpSpans(proto::OtlpSpans::default())),
        client(client_frame::Frame::Ping(proto::Ping { client_time_us: NOW })),
        client(client_frame::Frame::Bye(proto::Bye { next_seq: 3 })),
    ]
}

fn server_frames() -> Vec<Bytes> {
    let times = Some(proto::Times { received_at_us: NOW, sent_at_us: NOW });
    let rejected = vec![proto::Rejected { first: 1, last: 2, reason: 1, field: "f".into(), limit: 9 }];
    vec![
        server(server_frame::Frame::Welcome(proto::Welcome {
            next_seq: 2,
            credit: 10,
            limits: Some(proto::Limits { frame_bytes: 4096, batch_updates: 2, value_bytes: 100 }),
            heartbeat_interval_ms: 20_000,
            times,
            rejected: rejected.clone(),
        })),
        server(server_frame::Frame::Ack(proto::Ack { next_seq: 3, credit: 10, times, rejected })),
        server(server_frame::Frame::Pong(proto::Pong { client_time_us: NOW, times })),
        atomwire_wire::relay::go_away(proto::GoAwayReason::Shutdown, 10, 10, "drain"),
    ]
}

#[derive(Debug, Clone)]
enum Damage {
    Cut(prop::sample::Index),
    Flip(prop::sample::Index, u8),
    Insert(prop::sample::Index, Vec<u8>),
    Repeat,
}

fn damage() -> impl Strategy<Value = Damage> {
    let at = any::<prop::sample::Index>;
    prop_oneof![
        1 => at().prop_map(Damage::Cut),
        4 => (at(), 0..8_u8).prop_map(|(at, bit)| Damage::Flip(at, bit)),
        2 => (at(), vec(any::<u8>(), 1..9)).prop_map(|(at, bytes)| Damage::Insert(at, bytes)),
        1 => Just(Damage::Repeat),
    ]
}

fn damaged(frame: &[u8], all: &[Damage]) -> Bytes {
    let mut frame = frame.to_vec();
    for damage in all {
        match damage {
            Damage::Cut(at) => frame.truncate(at.index(frame.len() + 1)),
            Damage::Flip(at, bit) if !frame.is_empty() => {
                let at = at.index(frame.len());
                frame[at] ^= 1 << bit;
            }
            Damage::Flip(..) => {}
            Damage::Insert(at, bytes) => {
                let at = at.index(frame.len() + 1);
                frame.splice(at..at, bytes.iter().copied());
            }
            Damage::Repeat => frame.extend_from_within(..),
        }
    }
    frame.into()
}

fn relay_survives(mut session: Session, frame: &Bytes) {
    let before = session.detach();
    let accepted = before.as_ref().map(atomwire_wire::relay::Ledger::accepted);
    if let Some(ledger) = before {
        session.attach(ledger, NOW, limits::CREDIT);
    }
    let result = session.receive(frame, NOW);
    let after = session.detach().map(|ledger| ledger.accepted());
    match result {
        Err(_) => assert_eq!(after, accepted, "a violation leaves no trace in the ledger"),
        Ok(Event::Batch(batch)) => assert_eq!(after, Some(batch.end)),
        Ok(_) => {}
    }
}

fn emitter_survives(frame: &[u8]) {
    let welcome = proto::Welcome { credit: 2, heartbeat_interval_ms: 20_000, ..Default::default() };
    let mut emitter = connected(Emitter::new(config()), welcome);
    for position in 0..4 {
        emitter.push(&write(position, "1"), NOW);
    }
    emitter.hurry();
    frames(&mut emitter, NOW);
    let _ = emitter.receive(frame, NOW);
    frames(&mut emitter, NOW);
    let stats = emitter.stats();
    assert_eq!(stats.created, stats.acknowledged + stats.lost.iter().sum::<u64>() + stats.pending);
}

proptest! {
    #[test]
    fn an_update_arrives_as_it_was_made(writes in vec(a_write(), 1..12)) {
        let mut emitter = Emitter::new(config());
        for write in &writes {
            let index = if write.interned { emitter.intern(&write.key) } else { None };
            let update = NewUpdate {
                key: index.map_or(Key::Inline(&write.key), Key::Index),
                start: write.start,
                duration: write.duration,
                value: write.value.as_deref(),
                altered: false,
                error: write.error.as_ref().map(|(kind, message)| (kind.as_str(), message.as_str())),
                parent: write.parent.as_ref(),
                position: write.position,
            };
            emitter.push(&update, NOW);
        }
        let mut session = welcomed(Limits::default());
        let welcome = proto::Welcome { credit: 100, heartbeat_interval_ms: 20_000, ..Default::default() };
        let mut emitter = connected(emitter, welcome);
        emitter.hurry();
        let mut arrived = Vec::new();
        for frame in frames(&mut emitter, NOW) {
            match session.receive(&frame.into(), NOW) {
                Ok(Event::Batch(batch)) => arrived.extend(batch.updates),
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(arrived.len(), writes.len());
        for (seq, (update, write)) in arrived.iter().zip(&writes).enumerate() {
            check(seq, update, write);
        }
    }

    #[test]
    fn a_damaged_frame_does_not_harm_the_relay(
        frame in prop::sample::select(client_frames()), all in vec(damage(), 1..6), greeted in any::<bool>(),
    ) {
        let session = if greeted { welcomed(Limits::default()) } else { Session::new(Limits::default()) };
        relay_survives(session, &damaged(&frame, &all));
    }

    #[test]
    fn a_damaged_frame_does_not_harm_the_emitter(
        frame in prop::sample::select(server_frames()), all in vec(damage(), 1..6),
    ) {
        emitter_survives(&damaged(&frame, &all));
    }

    #[test]
    fn any_bytes_harm_neither(bytes in vec(any::<u8>(), 0..200)) {
        emitter_survives(&bytes);
        relay_survives(welcomed(Limits::default()), &bytes.into());
    }
}

#[test]
fn a_tracestate_beyond_the_limit_is_left_out() {
    let mut emitter = Emitter::new(config());
    let tracestate = "k=".to_owned() + &"v".repeat(limits::TRACESTATE_BYTES);
    let parent = ParentContext { trace_id: [1; 16], span_id: [2; 8], flags: 3, local: false, tracestate };
    emitter.push(&NewUpdate { parent: Some(&parent), ..write(0, "1") }, NOW);
    let mut emitter = connected(emitter, proto::Welcome { credit: 1, ..Default::default() });
    emitter.hurry();
    let sent = batch(&frames(&mut emitter, NOW)[0]).updates[0].parent.clone().unwrap();
    assert_eq!((sent.tracestate.as_str(), sent.flags), ("", 3), "the parent itself goes");
}

//! A hostile frame costs a bounded amount of memory, whatever it claims. A binary of its own, with one
//! test in it, because the allocator's peak belongs to the process.
#![allow(clippy::unwrap_used, missing_docs)]

use atomwire_wire::emitter::{Config, Emitter, WhenFull};
use atomwire_wire::proto::{self, client_frame::Frame};
use atomwire_wire::relay::{Ledger, Limits, Session};
use atomwire_wire::zmtp::{self, Peer, Role};
use atomwire_wire::{LostReason, limits};
use bytes::Bytes;
use peak_alloc::PeakAlloc;
use proptest::prelude::*;
use proptest::test_runner::{Config as Cases, TestRunner};
use prost::Message;

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

/// The worst there is are 1,024 updates with 64 empty attributes each: two bytes on the wire, a pair of
/// strings of 48 bytes in memory, which makes 3 MiB; with the updates themselves 3.8 MB were measured.
const RELAY_BOUND: usize = 8 * limits::FRAME_BYTES;
/// A rejected range is two bytes on the wire at the least and 16 in memory, and there are 4,096 at most.
const EMITTER_BOUND: usize = limits::FRAME_BYTES / 2;
/// The largest message of a peer on the bus.
const MESSAGE_BYTES: usize = 64 * 1024;

/// The most that `work` had allocated at one moment, beyond what there was.
fn peak(work: impl FnOnce()) -> usize {
    let before = ALLOCATOR.current_usage();
    ALLOCATOR.reset_peak_usage();
    work();
    ALLOCATOR.peak_usage().saturating_sub(before)
}

fn session() -> Session {
    let hello = proto::Hello { id_seed: Bytes::from_static(&[2; 32]), ..Default::default() };
    let mut session = Session::new(Limits::default());
    session.receive(&encode(Frame::Hello(hello)), 0).unwrap();
    session.attach(Ledger::new([2; 32], 0), 0, limits::CREDIT);
    session
}

fn encode(frame: Frame) -> Bytes {
    proto::ClientFrame { frame: Some(frame) }.encode_to_vec().into()
}

fn relay_costs(frame: &Bytes) -> usize {
    let mut session = session();
    peak(|| drop(session.receive(frame, 0)))
}

fn emitter_costs(frame: &[u8]) -> usize {
    let mut emitter = Emitter::new(Config {
        id_seed: [2; 32],
        resource: Vec::new(),
        token: String::new(),
        queue_updates: 10,
        queue_bytes: 1000,
        when_full: WhenFull::DropNewest,
    });
    emitter.lose(5, LostReason::QueueFull);
    emitter.opened(0);
    peak(|| drop(emitter.receive(frame, 0)))
}

/// What a peer on the bus costs that sends `bytes` once it is ready, piece by piece, beside the events.
fn peer_costs(role: Role, bytes: &[u8]) -> usize {
    let limits = zmtp::Limits { message_bytes: MESSAGE_BYTES, message_parts: 16, subscriptions: 16 };
    let mut peer = Peer::new(role, limits);
    peer.receive(&[peer.greeting(), b"\x04\x06\x05READY"].concat(), &mut Vec::new()).unwrap();
    let mut events = Vec::with_capacity(2);
    peak(|| {
        let _ = bytes.chunks(100).try_for_each(|piece| {
            events.clear();
            peer.receive(piece, &mut events)
        });
    })
}

/// A frame's head that claims `len` bytes.
fn claims(flags: u8, len: usize) -> Vec<u8> {
    [&[flags | 2], &(len as u64).to_be_bytes()[..]].concat()
}

/// A message of field `number`, `times` over.
fn repeated(number: u8, content: &[u8], times: usize) -> Vec<u8> {
    let mut once = vec![number << 3 | 2];
    prost::encoding::encode_varint(content.len() as u64, &mut once);
    once.extend_from_slice(content);
    once.repeat(times)
}

/// Frames that are as large in memory as they can be.
fn swollen() -> Vec<(&'static str, Bytes)> {
    let frame = |batch: &[u8]| Bytes::from(repeated(2, batch, 1));
    let value = |json: Vec<u8>| {
        let update = [repeated(10, b"k", 1), repeated(4, &json, 1)].concat();
        frame(&repeated(4, &update, 1))
    };
    let attributes = repeated(4, &repeated(7, b"", 64), 1024);
    let good = [&repeated(10, b"k", 1)[..], &repeated(7, b"", 64)].concat();
    vec![
        ("empty updates, as many as a frame holds", frame(&repeated(4, b"", 262_000))),
        ("empty updates, as many as are allowed", frame(&repeated(4, b"", 1024))),
        ("empty updates, in many batches", repeated(2, &repeated(4, b"", 1024), 255).into()),
        ("empty attributes, refused", frame(&attributes)),
        ("empty attributes, accepted", frame(&repeated(4, &good, 1024))),
        ("empty attributes, too many", frame(&repeated(4, &repeated(7, b"", 262_000), 1))),
        ("one update many times over", frame(&repeated(4, &repeated(6, b"", 262_000), 1))),
        ("empty keys", frame(&repeated(3, b"", 262_000))),
        ("the longest keys", frame(&repeated(3, &[b'k'; 500], 1024))),
        ("lost ranges", frame(&repeated(5, b"", 262_000))),
        ("deep JSON", value([vec![b'['; 130_000], vec![b']'; 130_000]].concat())),
        ("deeper JSON without an end", value(vec![b'['; 260_000])),
        ("resource attributes", repeated(1, &repeated(3, b"", 262_000), 1).into()),
        ("lengths that lie", Bytes::from_static(b"\x12\xff\xff\xff\xff\x0f\x22\xff\xff\xff\xff\x0f")),
        ("more than a frame", vec![0; 8 << 20].into()),
    ]
}

#[test]
fn frames_cost_no_more_than_a_small_multiple_of_their_limit() {
    for (name, frame) in swollen() {
        let cost = relay_costs(&frame);
        assert!(cost <= RELAY_BOUND, "{name}: {cost} bytes, the bound is {RELAY_BOUND}");
    }
    for (name, rejected) in [("empty", &b""[..]), ("with a long field", &[0x22, 4, b'a', b'b', b'c', b'd'])] {
        let cost = emitter_costs(&repeated(2, &repeated(4, rejected, 1_000_000), 1));
        assert!(cost <= EMITTER_BOUND, "rejected {name}: {cost} bytes, the bound is {EMITTER_BOUND}");
    }

    let claimed = [claims(0, 1 << 62), claims(1, usize::MAX), claims(4, 1 << 62), claims(0, MESSAGE_BYTES)];
    for bytes in claimed {
        let cost = peer_costs(Role::Router, &bytes);
        assert!(cost <= 64, "a length alone: {cost} bytes");
    }
    let body = vec![b'x'; MESSAGE_BYTES];
    let message = [&claims(1, MESSAGE_BYTES)[..], &body].concat();
    let cost = peer_costs(Role::Router, &message);
    // The frame as it grows into twice its room, and the message; a subscription's event is one more.
    assert!(cost <= 4 * MESSAGE_BYTES, "a message without an end: {cost} bytes");
    let subscribe = |topic| [&claims(0, MESSAGE_BYTES)[..], &[1, topic], &body[2..]].concat();
    let subscriptions = (0..100).flat_map(subscribe).collect::<Vec<_>>();
    let cost = peer_costs(Role::Publisher, &subscriptions);
    assert!(cost <= (16 + 5) * MESSAGE_BYTES, "subscriptions without an end: {cost} bytes");

    // And what nobody thought of: swollen frames with a part of them overwritten.
    let damage = (prop::sample::select(swollen()), any::<prop::sample::Index>(), any::<[u8; 4]>());
    let check = |((name, frame), at, bytes): ((&str, Bytes), prop::sample::Index, [u8; 4])| {
        let mut frame = frame.to_vec();
        let at = at.index(frame.len() - bytes.len() + 1);
        frame[at..at + bytes.len()].copy_from_slice(&bytes);
        let cost = relay_costs(&frame.into());
        prop_assert!(cost <= RELAY_BOUND, "{name}, damaged: {cost} bytes");
        Ok(())
    };
    TestRunner::new(Cases { cases: 128, failure_persistence: None, ..Cases::default() })
        .run(&damage, check)
        .unwrap();
}

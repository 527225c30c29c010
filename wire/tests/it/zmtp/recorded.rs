//! What real sockets sent, from the first byte on: `fuzz/seeds/zmtp`. That of libzmq is compared with libzmq's own in
//! each run, and `UPDATE_VECTORS=1` writes it anew; that of the Rust crate `zeromq` 0.7.0 and of `JeroMQ` 0.6.0, which
//! announce ZMTP 3.0, was written down once.

use super::{LIMITS, any_bytes, command, receive};
use atomwire_wire::zmtp::{Event, Peer, Role};
use bytes::Bytes;
use std::path::PathBuf;
use std::{env, fs};

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds/zmtp")
}

/// Compares `bytes` with what was recorded, or records it when `UPDATE_VECTORS` is set.
#[track_caller]
pub(super) fn recorded(name: &str, bytes: &[u8]) {
    let path = folder().join(name);
    if env::var_os("UPDATE_VECTORS").is_some() {
        fs::write(&path, bytes).unwrap();
    }
    let file = fs::read(&path).unwrap_or_default();
    assert!(file == bytes, "{name} is stale: UPDATE_VECTORS=1 writes it anew, review what changed");
}

/// Every recording.
pub(super) fn recordings() -> Vec<Vec<u8>> {
    fs::read_dir(folder()).unwrap().map(|entry| fs::read(entry.unwrap().path()).unwrap()).collect()
}

pub(super) fn subscribed(topic: &[u8]) -> Event {
    Event::Subscribed(topic.into())
}

pub(super) fn cancelled(topic: &[u8]) -> Event {
    Event::Cancelled(topic.into())
}

pub(super) fn message(parts: &[&[u8]]) -> Event {
    Event::Message(parts.iter().map(|part| Bytes::copy_from_slice(part)).collect())
}

/// What that recording means once the handshake is complete.
#[track_caller]
fn means(name: &str, role: Role, expected: &[Event]) {
    let bytes = fs::read(folder().join(name)).unwrap();
    let (events, ended) = receive(&mut Peer::new(role, LIMITS), &bytes);
    assert!(matches!(events[..2], [Event::Send(_), Event::Ready]));
    assert_eq!((&events[2..], ended), (expected, Ok(())));
}

#[test]
fn a_sub_of_each_library() {
    let common = [subscribed(b"cart"), subscribed(b""), cancelled(b"cart")];
    means("zeromq_rs_sub", Role::Publisher, &common);
    means("jeromq_sub", Role::Publisher, &common);
    let more = [&common[..], &[subscribed(b"cart"), subscribed(&[b'x'; 300])]].concat();
    means("libzmq_sub", Role::Publisher, &more);
    means("libzmq_xsub", Role::Publisher, &[subscribed(b"cart"), cancelled(b"cart"), subscribed(b"")]);
}

#[test]
fn a_client_of_each_library() {
    means("zeromq_rs_req", Role::Router, &[message(&[b"", b"ask"])]);
    means("libzmq_dealer", Role::Router, &[message(&[b"cart", b"17"]), message(&[b""])]);
    means("libzmq_router", Role::Router, &[message(&[b"who", b"it is me"])]);
    let pong = Event::Send(command("PONG", b"ctx").into());
    let asked = message(&[b"cart", b"17"]);
    means("jeromq_dealer", Role::Router, &[pong.clone(), pong.clone(), asked, pong.clone(), pong]);
    let bodies = [0, 1, 255, 256].map(|len| (0..len).map(|at| at as u8).collect::<Vec<_>>());
    let asked = bodies.map(|body| message(&[b"", b"cart", &body]));
    means("libzmq_req", Role::Router, &asked);
}

#[test]
fn every_recording_and_every_beginning_of_one() {
    for bytes in recordings() {
        (0..=bytes.len()).for_each(|len| any_bytes::check(&bytes[..len]));
    }
}

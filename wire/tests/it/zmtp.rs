//! The wire protocol of the bus, at the relay's end.

mod any_bytes;
mod frames;
mod handshake;
mod hostile;
mod libzmq;
mod recorded;
mod subscriptions;
mod traffic;

use atomwire_wire::zmtp::{Event, Fault, Limits, Peer, Role};

const LIMITS: Limits = Limits { message_bytes: 1024, message_parts: 4, subscriptions: 8 };

/// What a peer sends first.
fn greeting(major: u8, minor: u8, mechanism: &str) -> Vec<u8> {
    let mut greeting = [0; 64];
    greeting[0] = 0xff;
    greeting[9..12].copy_from_slice(&[0x7f, major, minor]);
    greeting[12..12 + mechanism.len()].copy_from_slice(mechanism.as_bytes());
    greeting.to_vec()
}

fn frame(flags: u8, body: &[u8]) -> Vec<u8> {
    [&[flags, u8::try_from(body.len()).unwrap()], body].concat()
}

fn command(name: &str, data: &[u8]) -> Vec<u8> {
    frame(4, &[&[name.len() as u8], name.as_bytes(), data].concat())
}

fn property(name: &str, value: &[u8]) -> Vec<u8> {
    [&[name.len() as u8], name.as_bytes(), &(value.len() as u32).to_be_bytes(), value].concat()
}

/// What a peer of that type sends until it is ready.
fn opening(socket_type: &str) -> Vec<u8> {
    [greeting(3, 1, "NULL"), command("READY", &property("Socket-Type", socket_type.as_bytes()))].concat()
}

/// What `bytes` mean to `peer`, and how that ended.
fn receive(peer: &mut Peer, bytes: &[u8]) -> (Vec<Event>, Result<(), Fault>) {
    let mut events = Vec::new();
    let ended = peer.receive(bytes, &mut events);
    (events, ended)
}

/// A connection whose handshake is complete.
fn ready(role: Role, socket_type: &str) -> Peer {
    let mut peer = Peer::new(role, LIMITS);
    let (events, ended) = receive(&mut peer, &opening(socket_type));
    assert_eq!((events.last(), ended), (Some(&Event::Ready), Ok(())));
    peer
}

fn publisher() -> Peer {
    ready(Role::Publisher, "SUB")
}

fn router() -> Peer {
    ready(Role::Router, "DEALER")
}

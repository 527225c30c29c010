//! What holds whatever a peer sends. The fuzz target `zmtp` is the same function.

use atomwire_wire::zmtp::{Event, Fault, Limits, Peer, Role};
use bytes::Bytes;

const LIMITS: Limits = Limits { message_bytes: 300, message_parts: 3, subscriptions: 3 };

/// What a peer comes to that is fed `bytes` in pieces of `size`.
fn fed(role: Role, bytes: &[u8], size: usize) -> (Peer, Vec<Event>, Result<(), Fault>) {
    let mut peer = Peer::new(role, LIMITS);
    let mut events = Vec::new();
    let ended = bytes.chunks(size).try_for_each(|piece| peer.receive(piece, &mut events));
    (peer, events, ended)
}

/// Whoever sends `bytes`, to either role: the cut does not matter, no limit is passed, and the events agree with each
/// other and with the state.
pub(super) fn check(bytes: &[u8]) {
    for role in [Role::Publisher, Role::Router] {
        let (mut peer, events, ended) = fed(role, bytes, bytes.len().max(1));
        for size in [1, 7, 64] {
            let (other, same_events, same_end) = fed(role, bytes, size);
            assert_eq!((&events, &ended), (&same_events, &same_end));
            assert_eq!((peer.is_ready(), peer.ttl()), (other.is_ready(), other.ttl()));
        }
        obey(role, bytes, &peer, &events);
        if let Err(fault) = ended {
            assert!(!fault.to_string().is_empty() && fault.to_string().is_ascii());
            assert!(fault.farewell().is_empty() || !peer.is_ready(), "an ERROR is the handshake's");
            assert_eq!(peer.receive(b"", &mut Vec::new()), Err(fault), "a fault is the end");
        }
    }
}

fn obey(role: Role, bytes: &[u8], peer: &Peer, events: &[Event]) {
    let (mut subscriptions, mut sent) = (Vec::new(), 0);
    for (number, event) in events.iter().enumerate() {
        match event {
            Event::Send(answer) => sent += answer.len(),
            Event::Ready => assert_eq!(number, 1, "after the READY, and once"),
            Event::Subscribed(topic) => subscriptions.push(topic),
            Event::Cancelled(topic) => {
                let at = subscriptions.iter().position(|it| *it == topic).expect("was subscribed");
                subscriptions.swap_remove(at);
            }
            Event::Message(parts) => {
                assert_eq!(role, Role::Router);
                assert!((1..=LIMITS.message_parts).contains(&parts.len()));
                assert!(parts.iter().map(Bytes::len).sum::<usize>() <= LIMITS.message_bytes);
            }
        }
        assert!(subscriptions.len() <= LIMITS.subscriptions);
    }
    assert_eq!(peer.is_ready(), events.contains(&Event::Ready));
    assert!(sent <= bytes.len(), "no answer is longer than what it answers");
    assert_eq!(peer.subscriptions().len(), subscriptions.len());
    assert!(subscriptions.iter().all(|topic| peer.subscriptions().contains(topic)));
}

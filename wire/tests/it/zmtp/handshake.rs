//! Who is spoken with, in which version, and who is sent away.

use super::{LIMITS, command, frame, greeting, opening, property, receive};
use atomwire_wire::zmtp::{Event, Fault, Limits, Peer, Role};
use bytes::Bytes;

/// What the relay says to a peer that sends `bytes`; the connection ends with `expected` and that ERROR.
#[track_caller]
fn refused(role: Role, bytes: &[u8], expected: &str, farewell: &[u8]) {
    let mut peer = Peer::new(role, LIMITS);
    let (events, ended) = receive(&mut peer, bytes);
    let fault = ended.unwrap_err();
    assert_eq!((fault.to_string(), events), (expected.to_owned(), vec![]));
    assert_eq!(fault.farewell(), farewell);
    assert!(!peer.is_ready());
    assert_eq!(receive(&mut peer, &opening("SUB")), (vec![], Err(fault)), "a fault is the end");
}

fn ready(properties: &[Vec<u8>]) -> Vec<u8> {
    [greeting(3, 1, "NULL"), command("READY", &properties.concat())].concat()
}

#[test]
fn the_relay_greets_and_is_ready() {
    for (role, socket_type, answer) in [
        (Role::Publisher, "SUB", &b"\x04\x1a\x05READY\x0bSocket-Type\0\0\0\x04XPUB"[..]),
        (Role::Router, "REQ", b"\x04\x1c\x05READY\x0bSocket-Type\0\0\0\x06ROUTER"),
    ] {
        let mut peer = Peer::new(role, LIMITS);
        assert_eq!(peer.greeting(), greeting(3, 1, "NULL"));
        assert_eq!(receive(&mut peer, &greeting(3, 1, "NULL")), (vec![], Ok(())));
        assert!(!peer.is_ready());
        let (events, ended) = receive(&mut peer, &opening(socket_type)[64..]);
        assert_eq!((events, ended), (vec![Event::Send(Bytes::from_static(answer)), Event::Ready], Ok(())));
        assert!(peer.is_ready());
    }
}

#[test]
fn every_version_since_3_0_is_welcome() {
    for (major, minor) in [(3, 0), (3, 1), (3, 2), (4, 0), (255, 255)] {
        let opening = [&greeting(major, minor, "NULL"), &opening("SUB")[64..]].concat();
        assert_eq!(receive(&mut Peer::new(Role::Publisher, LIMITS), &opening).1, Ok(()));
    }
}

#[test]
fn what_has_no_meaning_is_not_looked_at() {
    let mut opening = opening("SUB");
    opening[1..9].fill(0xaa);
    opening[32..64].fill(0xaa);
    assert_eq!(receive(&mut Peer::new(Role::Publisher, LIMITS), &opening).1, Ok(()));
}

#[test]
fn an_older_version_is_refused_before_it_waits_for_an_answer() {
    let no_signature = "not ZMTP, or ZMTP 1: the greeting's signature is missing";
    refused(Role::Publisher, b"\x01", no_signature, b"");
    refused(Role::Publisher, b"GET / HTTP/1.1\r\n", no_signature, b"");
    refused(Role::Publisher, b"\xff\0\0\0\0\0\0\0\x01\0", no_signature, b"");
    for major in 0..3 {
        let greeting = [&b"\xff\0\0\0\0\0\0\0\x01\x7f"[..], &[major]].concat();
        let expected = format!("the greeting names version {major} of ZMTP: 3 or later is spoken here");
        refused(Role::Publisher, &greeting, &expected, b"");
    }
}

#[test]
fn another_mechanism_is_refused() {
    for (mechanism, name) in
        [("PLAIN", "PLAIN"), ("CURVE", "CURVE"), ("NULLS", "NULLS"), ("", ""), ("\n", "\\n")]
    {
        let expected = format!("the mechanism is {name}: NULL is spoken here");
        refused(Role::Publisher, &greeting(3, 1, mechanism), &expected, b"");
    }
}

#[test]
fn sockets_of_types_that_do_not_talk_to_each_other() {
    let types =
        ["REQ", "REP", "DEALER", "ROUTER", "PUB", "XPUB", "SUB", "XSUB", "PUSH", "PULL", "PAIR", "sub", ""];
    for (role, ours, taken) in [
        (Role::Publisher, "XPUB", &["SUB", "XSUB"][..]),
        (Role::Router, "ROUTER", &["REQ", "DEALER", "ROUTER"]),
    ] {
        for theirs in types {
            if taken.contains(&theirs) {
                assert_eq!(receive(&mut Peer::new(role, LIMITS), &opening(theirs)).1, Ok(()));
            } else {
                let expected = format!("a {theirs} connects to a {ours}");
                refused(role, &opening(theirs), &expected, b"\x04\x1f\x05ERROR\x18socket-type-not-accepted");
            }
        }
    }
    let expected = "a \\n\\x00 connects to a XPUB";
    refused(Role::Publisher, &opening("\n\0"), expected, b"\x04\x1f\x05ERROR\x18socket-type-not-accepted");
}

#[test]
fn metadata_are_read_in_any_order_and_case() {
    let identity = property("Identity", &[7; 255]);
    for properties in [
        vec![property("SOCKET-type", b"SUB")],
        vec![property("Identity", b""), property("X-App", b"1"), property("socket-type", b"SUB")],
        vec![],
    ] {
        assert_eq!(receive(&mut Peer::new(Role::Publisher, LIMITS), &ready(&properties)).1, Ok(()));
    }
    let other = ready(&[property("X-App", b"1"), property("socket-TYPE", b"PUSH")]);
    let farewell = b"\x04\x1f\x05ERROR\x18socket-type-not-accepted";
    refused(Role::Publisher, &other, "a PUSH connects to a XPUB", farewell);
    let metadata = [property("Socket-Type", b"DEALER"), identity].concat();
    let body = [b"\x05READY", &metadata[..]].concat();
    let long = [&[6, 0, 0, 0, 0, 0, 0], &(body.len() as u16).to_be_bytes()[..], &body].concat();
    let limits = Limits { message_bytes: 296, ..LIMITS };
    let (_, ended) = receive(&mut Peer::new(Role::Router, limits), &[greeting(3, 0, "NULL"), long].concat());
    assert_eq!((ended, body.len()), (Ok(()), 296));
}

#[test]
fn metadata_that_are_none() {
    let whole = property("Socket-Type", b"SUB");
    let cut = (1..whole.len()).map(|len| whole[..len].to_vec());
    let nameless = [property("", b"SUB"), b"\x01a\xff\xff\xff\xff".to_vec()];
    let half = [[whole.clone(), b"\x01a".to_vec()].concat()];
    for properties in cut.chain(nameless).chain(half) {
        let expected = b"\x04\x19\x05ERROR\x12malformed-metadata";
        refused(Role::Publisher, &ready(&[properties]), "malformed metadata", expected);
    }
}

#[test]
fn anything_before_ready() {
    let early = [frame(0, b"\x01topic"), frame(0, b""), command("SUBSCRIBE", b""), command("PING", b"\0\0")];
    for early in early {
        let bytes = [greeting(3, 1, "NULL"), early].concat();
        let expected = b"\x04\x15\x05ERROR\x0eready-expected";
        refused(Role::Publisher, &bytes, "the first frame must be READY", expected);
    }
}

#[test]
fn a_peer_that_refuses() {
    let bytes = [greeting(3, 1, "NULL"), command("ERROR", b"\x03400")].concat();
    refused(Role::Publisher, &bytes, "the peer refuses: 400", b"");
    let bytes = [greeting(3, 1, "NULL"), command("ERROR", b"\x04\n400")].concat();
    refused(Role::Publisher, &bytes, "the peer refuses: \\n400", b"");
    for reason in [&b""[..], b"\x01", b"\x00x"] {
        let bytes = [greeting(3, 1, "NULL"), command("ERROR", reason)].concat();
        refused(Role::Publisher, &bytes, "malformed frame: an ERROR whose reason has another length", b"");
    }
}

#[test]
fn a_farewell_is_printable() {
    let faults =
        [Fault::SocketType { ours: "XPUB", theirs: "PUSH".into() }, Fault::Metadata, Fault::BeforeReady];
    for fault in faults {
        let farewell = fault.farewell();
        assert_eq!(
            farewell[..9],
            *[b"\x04", &[farewell.len() as u8 - 2][..], b"\x05ERROR", &[farewell.len() as u8 - 9]].concat()
        );
        assert!(farewell[9..].iter().all(u8::is_ascii_graphic));
    }
}

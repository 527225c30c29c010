//! What peers say once the handshake is complete.

use super::recorded::{cancelled, message, subscribed};
use super::{LIMITS, command, frame, publisher, ready, receive, router};
use atomwire_wire::zmtp::{Event, Fault, Limits, Peer, Role};

#[track_caller]
fn means(peer: &mut Peer, bytes: &[u8], expected: &[Event]) {
    assert_eq!(receive(peer, bytes), (expected.to_vec(), Ok(())));
}

/// `bytes` end the connection, without an ERROR, which is the handshake's.
#[track_caller]
fn refused(mut peer: Peer, bytes: &[u8], expected: &str) {
    let (events, ended) = receive(&mut peer, bytes);
    let fault = ended.unwrap_err();
    assert_eq!((fault.to_string(), events), (expected.to_owned(), vec![]));
    assert_eq!(fault.farewell(), "");
    assert_eq!(receive(&mut peer, &frame(0, b"\x01more")), (vec![], Err(fault)), "a fault is the end");
}

#[test]
fn subscriptions_come_as_commands_and_as_messages() {
    for socket_type in ["SUB", "XSUB"] {
        let mut peer = ready(Role::Publisher, socket_type);
        means(&mut peer, &command("SUBSCRIBE", b"cart"), &[subscribed(b"cart")]);
        means(&mut peer, &frame(0, b"\x01user"), &[subscribed(b"user")]);
        means(&mut peer, &frame(0, b"\x01"), &[subscribed(b"")]);
        assert_eq!(peer.subscriptions().len(), 3);
        assert!(peer.subscriptions().matches_all());
        means(&mut peer, &frame(0, b"\0cart"), &[cancelled(b"cart")]);
        means(&mut peer, &command("CANCEL", b"user"), &[cancelled(b"user")]);
        means(&mut peer, &command("CANCEL", b""), &[cancelled(b"")]);
        assert!(peer.subscriptions().is_empty());
    }
}

#[test]
fn what_changes_nothing_is_no_event() {
    let mut peer = publisher();
    means(&mut peer, &frame(0, b"\x01cart"), &[subscribed(b"cart")]);
    means(&mut peer, &command("SUBSCRIBE", b"cart"), &[]);
    means(&mut peer, &command("CANCEL", b"cart"), &[cancelled(b"cart")]);
    means(&mut peer, &frame(0, b"\0cart"), &[]);
    means(&mut peer, &frame(0, b"\x01cart"), &[subscribed(b"cart")]);
}

#[test]
fn a_publisher_ignores_what_the_application_sends_upstream() {
    let mut peer = publisher();
    for upstream in
        [frame(0, b""), frame(0, b"\x02cart"), [frame(1, b"\x01cart"), frame(0, b"\x01cart")].concat()]
    {
        means(&mut peer, &upstream, &[]);
    }
    means(&mut peer, &frame(0, b"\x01cart"), &[subscribed(b"cart")]);
}

#[test]
fn a_router_takes_messages_as_they_come() {
    let mut peer = router();
    means(
        &mut peer,
        &[frame(1, b""), frame(1, b"cart"), frame(0, b"17")].concat(),
        &[message(&[b"", b"cart", b"17"])],
    );
    means(&mut peer, &frame(0, b""), &[message(&[b""])]);
    means(
        &mut peer,
        &[frame(0, b"\x01cart"), frame(0, b"b")].concat(),
        &[message(&[b"\x01cart"]), message(&[b"b"])],
    );
    means(&mut peer, b"\x02\0\0\0\0\0\0\0\x01x", &[message(&[b"x"])]);
    means(&mut peer, &command("SUBSCRIBE", b"cart"), &[]);
    assert!(peer.subscriptions().is_empty());
}

#[test]
fn a_ping_is_answered_with_its_context() {
    let mut peer = router();
    assert_eq!(peer.ttl(), None);
    let pong = |context: &[u8]| [Event::Send(command("PONG", context).into())];
    means(&mut peer, &command("PING", b"\0\0"), &pong(b""));
    assert_eq!(peer.ttl(), None);
    means(&mut peer, &command("PING", b"\0\x0a0123456789abcdef"), &pong(b"0123456789abcdef"));
    assert_eq!(peer.ttl(), Some(1_000_000));
    means(&mut peer, &command("PING", b"\xff\xff"), &pong(b""));
    assert_eq!(peer.ttl(), Some(6_553_500_000));
    means(&mut peer, &command("PING", b"\0\0"), &pong(b""));
    assert_eq!(peer.ttl(), None);
}

#[test]
fn a_ping_may_come_between_the_parts_of_a_message() {
    let bytes = [frame(1, b"cart"), command("PING", b"\0\0"), frame(0, b"17")].concat();
    means(&mut router(), &bytes, &[Event::Send(command("PONG", b"").into()), message(&[b"cart", b"17"])]);
}

#[test]
fn other_commands_are_ignored() {
    for mut peer in [publisher(), router()] {
        for name in ["PONG", "JOIN", "LEAVE", "READY", "HELLO", "ping", "PINGS"] {
            means(&mut peer, &command(name, b"\0\0data"), &[]);
        }
    }
}

#[test]
fn a_ping_that_is_none() {
    let expected = "malformed frame: a PING is a time to live of 2 bytes and a context of up to 16";
    refused(router(), &command("PING", b"\0"), expected);
    refused(router(), &command("PING", &[0; 19]), expected);
}

#[test]
fn an_error_ends_the_connection() {
    refused(publisher(), &command("ERROR", b"\x03500"), "the peer refuses: 500");
}

#[test]
fn a_command_without_a_name() {
    for body in [&b""[..], b"\0", b"\0data", b"\x05PING"] {
        refused(publisher(), &frame(4, body), "malformed frame: a command without a name");
    }
}

#[test]
fn flags_that_no_frame_has() {
    for flags in [8, 16, 32, 64, 128, 0xff] {
        refused(publisher(), &[flags], "malformed frame: reserved flags of a frame are set");
    }
    refused(publisher(), &[5], "malformed frame: a command of more than one frame");
}

/// A length alone is refused: nothing is waited for, and nothing allocated.
#[test]
fn lengths_beyond_the_limit() {
    let long = |flags: u8, len: u64| [&[flags], &len.to_be_bytes()[..]].concat();
    refused(router(), &long(2, 1025), "message is 1025, the limit is 1024");
    refused(router(), &long(3, 1 << 62), "message is 4611686018427387904, the limit is 1024");
    refused(router(), &long(2, u64::MAX), "message is 18446744073709551615, the limit is 1024");
    refused(router(), &long(6, 1025), "command is 1025, the limit is 1024");
    refused(publisher(), &long(2, 1025), "message is 1025, the limit is 1024");
    let whole = [&long(2, 1024)[..], &[b'x'; 1024]].concat();
    means(&mut router(), &whole, &[message(&[&[b'x'; 1024]])]);
}

#[test]
fn the_parts_of_a_message_count_together() {
    let first = frame(1, &[b'x'; 200]);
    let rest = [&[3][..], &824u64.to_be_bytes(), &[b'y'; 824]].concat();
    let mut peer = router();
    means(&mut peer, &[&first[..], &rest, b"\0\0"].concat(), &[message(&[&[b'x'; 200], &[b'y'; 824], b""])]);
    means(&mut peer, &frame(0, b"z"), &[message(&[b"z"])]);
    refused(peer, &[&first[..], &rest, b"\0\x01"].concat(), "message is 1025, the limit is 1024");

    let longest = [&first[..], &3u8.to_be_bytes(), &u64::MAX.to_be_bytes()].concat();
    refused(router(), &longest, "message is 18446744073709551615, the limit is 1024");
    let ping = [&first[..], &rest, &command("PING", b"\0\0"), b"\0\0"].concat();
    let (events, ended) = receive(&mut router(), &ping);
    assert_eq!((events.len(), ended), (2, Ok(())), "a command is no part");
}

#[test]
fn too_many_parts() {
    let mut peer = router();
    let four = [frame(1, b""), frame(1, b""), frame(1, b""), frame(0, b"")].concat();
    means(&mut peer, &four, &[message(&[&b""[..]; 4])]);
    refused(peer, &frame(1, b"").repeat(5), "message.parts is 5, the limit is 4");
    refused(publisher(), &frame(1, b"").repeat(5), "message.parts is 5, the limit is 4");
}

#[test]
fn too_many_subscriptions() {
    let mut peer = publisher();
    for topic in 0..8 {
        means(&mut peer, &command("SUBSCRIBE", &[topic]), &[subscribed(&[topic])]);
    }
    means(&mut peer, &command("SUBSCRIBE", &[7]), &[]);
    means(&mut peer, &command("CANCEL", &[0]), &[cancelled(&[0])]);
    means(&mut peer, &frame(0, &[1, 8]), &[subscribed(&[8])]);
    let (events, ended) = receive(&mut peer, &command("SUBSCRIBE", &[9]));
    let fault = Fault::Limit { field: "subscriptions", limit: 8, got: 9 };
    assert_eq!((events, ended), (vec![], Err(fault)));
    assert_eq!(peer.subscriptions().len(), 8);

    let none = Limits { subscriptions: 0, ..LIMITS };
    let mut peer = Peer::new(Role::Publisher, none);
    let (_, ended) = receive(&mut peer, &[super::opening("SUB"), command("SUBSCRIBE", b"")].concat());
    assert_eq!(ended.unwrap_err().to_string(), "subscriptions is 1, the limit is 0");
}

/// What came before a fault counts.
#[test]
fn events_up_to_a_fault() {
    let bytes = [frame(0, b"one"), frame(0, b"two"), vec![0xff]].concat();
    let (events, ended) = receive(&mut router(), &bytes);
    assert_eq!(events, [message(&[b"one"]), message(&[b"two"])]);
    assert!(ended.is_err());
}

//! libzmq's own sockets on the other end of a TCP connection.

use super::recorded::{cancelled, message, recorded, subscribed};
use atomwire_wire::zmtp::{Event, Fault, Limits, Peer, Role, frame_head};
use std::collections::VecDeque;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

const LIMITS: Limits = Limits { message_bytes: 100_000, message_parts: 8, subscriptions: 100 };

/// Lengths on both sides of the two forms of a frame, and one that TCP cuts.
const LENGTHS: [usize; 5] = [0, 1, 255, 256, 70_000];

/// How long anything may take: longer means that it will not come.
const DEADLINE: Duration = Duration::from_secs(30);

/// The relay's end of a connection.
struct Connection {
    stream: TcpStream,
    peer: Peer,
    events: VecDeque<Event>,
    /// Everything that the peer has sent.
    received: Vec<u8>,
}

impl Connection {
    /// The connection that a socket of that kind makes, after `prepare` has set its options.
    fn accept(
        role: Role,
        context: &zmq::Context,
        kind: zmq::SocketType,
        prepare: impl Fn(&zmq::Socket),
    ) -> (Self, zmq::Socket) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let socket = context.socket(kind).unwrap();
        socket.set_linger(0).unwrap();
        socket.set_rcvtimeo(DEADLINE.as_millis() as i32).unwrap();
        prepare(&socket);
        socket.connect(&format!("tcp://{}", listener.local_addr().unwrap())).unwrap();
        let (mut stream, _) = listener.accept().unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        let peer = Peer::new(role, LIMITS);
        stream.write_all(peer.greeting()).unwrap();
        (Self { stream, peer, events: VecDeque::new(), received: Vec::new() }, socket)
    }

    /// The same, when both are ready.
    fn ready(role: Role, kind: zmq::SocketType, prepare: impl Fn(&zmq::Socket)) -> (Self, zmq::Socket) {
        let (mut connection, socket) = Self::accept(role, &zmq::Context::new(), kind, prepare);
        assert_eq!(connection.next(), Event::Ready);
        (connection, socket)
    }

    /// The next event but for what was sent; it ends with the connection's fault.
    fn try_next(&mut self) -> Result<Event, Fault> {
        loop {
            match self.events.pop_front() {
                Some(Event::Send(bytes)) => self.stream.write_all(&bytes).unwrap(),
                Some(event) => return Ok(event),
                None => self.read()?,
            }
        }
    }

    fn next(&mut self) -> Event {
        self.try_next().unwrap()
    }

    fn read(&mut self) -> Result<(), Fault> {
        let mut buffer = [0; 4096];
        let read = self.stream.read(&mut buffer).unwrap();
        assert_ne!(read, 0, "libzmq has closed the connection");
        self.received.extend_from_slice(&buffer[..read]);
        let mut events = Vec::new();
        let ended = self.peer.receive(&buffer[..read], &mut events);
        self.events.extend(events);
        ended
    }

    fn send(&mut self, parts: &[&[u8]]) {
        assert!(self.peer.is_ready());
        let mut bytes = Vec::new();
        for (number, part) in parts.iter().enumerate() {
            frame_head(part.len(), number + 1 < parts.len(), &mut bytes);
            bytes.extend_from_slice(part);
        }
        self.stream.write_all(&bytes).unwrap();
    }
}

fn body(len: usize) -> Vec<u8> {
    (0..len).map(|at| at as u8).collect()
}

#[test]
fn a_sub_subscribes_cancels_and_receives() {
    let (mut relay, sub) = Connection::ready(Role::Publisher, zmq::SUB, |_| {});
    sub.set_subscribe(b"cart").unwrap();
    assert_eq!(relay.next(), subscribed(b"cart"));
    // The socket sends a subscription each time, and no cancellation but the last: it counts for itself.
    sub.set_subscribe(b"cart").unwrap();
    sub.set_unsubscribe(b"cart").unwrap();
    sub.set_subscribe(b"").unwrap();
    assert_eq!(relay.next(), subscribed(b""));
    sub.set_unsubscribe(b"cart").unwrap();
    assert_eq!(relay.next(), cancelled(b"cart"));
    sub.set_subscribe(b"cart").unwrap();
    assert_eq!(relay.next(), subscribed(b"cart"));
    sub.set_subscribe(&[b'x'; 300]).unwrap();
    assert_eq!(relay.next(), subscribed(&[b'x'; 300]));
    assert_eq!(relay.peer.subscriptions().len(), 3);
    recorded("libzmq_sub", &relay.received);

    for len in LENGTHS {
        let body = body(len);
        relay.send(&[b"cart", &body]);
        assert_eq!(sub.recv_multipart(0).unwrap(), [b"cart".to_vec(), body]);
    }
}

#[test]
fn what_was_subscribed_to_before_comes_first() {
    let (mut relay, _sub) =
        Connection::ready(Role::Publisher, zmq::SUB, |sub| sub.set_subscribe(b"cart").unwrap());
    assert_eq!(relay.next(), subscribed(b"cart"));
}

#[test]
fn an_xsub_subscribes_by_messages_and_may_say_more() {
    let (mut relay, xsub) = Connection::ready(Role::Publisher, zmq::XSUB, |_| {});
    xsub.send(&b"\x01cart"[..], 0).unwrap();
    assert_eq!(relay.next(), subscribed(b"cart"));
    xsub.send(&b"\x02hello"[..], 0).unwrap();
    xsub.send_multipart([&b"hello"[..], b"again"], 0).unwrap();
    xsub.send(&b"\x00cart"[..], 0).unwrap();
    assert_eq!(relay.next(), cancelled(b"cart"));
    xsub.send(&b"\x01"[..], 0).unwrap();
    assert_eq!(relay.next(), subscribed(b""));
    recorded("libzmq_xsub", &relay.received);

    relay.send(&[b"cart", b"17"]);
    assert_eq!(xsub.recv_multipart(0).unwrap(), [b"cart", &b"17"[..]]);
}

#[test]
fn a_req_asks_behind_an_empty_part() {
    let (mut relay, req) = Connection::ready(Role::Router, zmq::REQ, |_| {});
    for len in LENGTHS {
        let body = body(len);
        req.send_multipart([b"cart", &body[..]], 0).unwrap();
        assert_eq!(relay.next(), message(&[b"", b"cart", &body]));
        if len == LENGTHS[3] {
            recorded("libzmq_req", &relay.received);
        }
        relay.send(&[b"", &body, b"end"]);
        assert_eq!(req.recv_multipart(0).unwrap(), [&body[..], b"end"]);
    }
}

#[test]
fn a_dealer_asks_as_it_likes() {
    let (mut relay, dealer) = Connection::ready(Role::Router, zmq::DEALER, |dealer| {
        dealer.set_identity(&[b'i'; 255]).unwrap();
    });
    dealer.send_multipart([&b"cart"[..], b"17"], 0).unwrap();
    dealer.send(&b""[..], 0).unwrap();
    assert_eq!(relay.next(), message(&[b"cart", b"17"]));
    assert_eq!(relay.next(), message(&[b""]));
    recorded("libzmq_dealer", &relay.received);

    for len in LENGTHS {
        let body = body(len);
        relay.send(&[&body]);
        relay.send(&[b"", &body]);
        assert_eq!(dealer.recv_multipart(0).unwrap(), [&body[..]]);
        assert_eq!(dealer.recv_multipart(0).unwrap(), [b"", &body[..]]);
    }
}

#[test]
fn a_router_answers() {
    let (mut relay, router) = Connection::ready(Role::Router, zmq::ROUTER, |_| {});
    relay.send(&[b"who", b"there"]);
    let mut parts = router.recv_multipart(0).unwrap();
    assert_eq!(parts[1..], [&b"who"[..], b"there"]);
    parts[2] = b"it is me".to_vec();
    router.send_multipart(parts, 0).unwrap();
    assert_eq!(relay.next(), message(&[b"who", b"it is me"]));
    recorded("libzmq_router", &relay.received);
}

/// libzmq breaks off when it hears nothing for 2 s after a heartbeat: 120 of them, 20 ms apart, are longer.
#[test]
fn heartbeats_are_answered() {
    let context = zmq::Context::new();
    let (mut relay, _sub) = Connection::accept(Role::Publisher, &context, zmq::SUB, |sub| {
        sub.set_heartbeat_ivl(20).unwrap();
        sub.set_heartbeat_timeout(2_000).unwrap();
        sub.set_heartbeat_ttl(3_000).unwrap();
    });
    let mut sent = 0;
    while sent < 120 {
        match relay.events.pop_front() {
            Some(Event::Send(bytes)) => {
                relay.stream.write_all(&bytes).unwrap();
                sent += 1;
            }
            Some(_) => {}
            None => relay.read().unwrap(),
        }
    }
    assert_eq!(relay.peer.ttl(), Some(3_000_000));
}

#[test]
fn who_is_sent_away_is_told_why() {
    let context = zmq::Context::new();
    let monitor = context.socket(zmq::PAIR).unwrap();
    monitor.set_rcvtimeo(DEADLINE.as_millis() as i32).unwrap();
    let watch = |socket: &zmq::Socket| {
        let failed =
            zmq::SocketEvent::HANDSHAKE_FAILED_PROTOCOL.to_raw() | zmq::SocketEvent::DISCONNECTED.to_raw();
        socket.monitor("inproc://watch", i32::from(failed)).unwrap();
        monitor.connect("inproc://watch").unwrap();
    };
    let (mut relay, _push) = Connection::accept(Role::Publisher, &context, zmq::PUSH, watch);
    let fault = relay.try_next().unwrap_err();
    assert_eq!(fault, Fault::SocketType { ours: "XPUB", theirs: "PUSH".into() });
    relay.stream.write_all(&fault.farewell()).unwrap();
    // An ERROR that libzmq could not read were HANDSHAKE_FAILED_PROTOCOL.
    let event = monitor.recv_multipart(0).unwrap();
    assert_eq!(event[0][..2], zmq::SocketEvent::DISCONNECTED.to_raw().to_ne_bytes());
}

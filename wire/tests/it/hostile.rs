//! A client that breaks the protocol: each violation ends the connection with a text that names the
//! field and the limit, and what is wrong with one update costs that update alone.

use crate::support::{NOW, client, granted, hello, welcomed};
use atomwire_wire::limits::CREDIT;
use atomwire_wire::proto::{self, RejectReason, client_frame::Frame, server_frame};
use atomwire_wire::relay::{Event, Limits, Session};
use bytes::Bytes;
use prost::Message;

const SEQ_END: u64 = 1 << 53;

fn attribute(key: usize, value: usize) -> proto::Attribute {
    proto::Attribute { key: "k".repeat(key), value: "v".repeat(value) }
}

fn update() -> proto::Update {
    proto::Update { key: "cart".into(), value: Some(Bytes::from_static(b"1")), ..Default::default() }
}

fn updates(first_seq: u64, count: usize) -> proto::Batch {
    proto::Batch { first_seq, updates: vec![update(); count], ..Default::default() }
}

fn lost(ranges: &[(u64, u64)]) -> proto::Batch {
    let lost = ranges.iter().map(|(first, last)| proto::LostRange { first: *first, last: *last, reason: 1 });
    proto::Batch { lost: lost.collect(), ..Default::default() }
}

/// What the relay says of `frame`, to a client that it knows or not.
#[track_caller]
fn refused(mut session: Session, frame: Frame, expected: &str) {
    let error = session.receive(&client(frame), NOW).unwrap_err();
    assert_eq!(error.to_string(), expected);
    let accepted = session.detach().map_or(0, |ledger| ledger.accepted());
    assert_eq!(accepted, 0, "a violation leaves no trace in the ledger");
}

#[track_caller]
fn refused_hello(hello: proto::Hello, expected: &str) {
    refused(Session::new(Limits::default()), Frame::Hello(hello), expected);
}

#[track_caller]
fn refused_batch(batch: proto::Batch, expected: &str) {
    refused(welcomed(Limits::default()), Frame::Batch(batch), expected);
}

#[track_caller]
fn refused_bytes(frame: &[u8], expected: &str) {
    let error = welcomed(Limits::default()).receive(&Bytes::copy_from_slice(frame), NOW).unwrap_err();
    assert_eq!(error.to_string(), expected);
}

#[test]
fn nothing() {
    refused_bytes(b"", "malformed frame: the frame is empty");
}

#[test]
fn a_frame_of_no_known_kind() {
    refused_bytes(b"\x7a\x00", "malformed frame: no frame of this version");
}

#[test]
fn two_messages_in_a_frame() {
    let once = client(Frame::Batch(updates(0, 1)));
    refused_bytes(&[&once[..], &once].concat(), "malformed frame: more than one message in a frame");
}

#[test]
fn a_frame_cut_short() {
    let whole = client(Frame::Batch(updates(0, 1)));
    refused_bytes(&whole[..whole.len() - 1], "malformed frame: a length is beyond the frame");
}

#[test]
fn a_varint_without_an_end() {
    refused_bytes(&[0xff; 11], "malformed frame: a varint has more than ten bytes");
}

#[test]
fn a_frame_beyond_the_limit() {
    refused_bytes(&vec![0; (512 << 10) + 1], "frame is 524289, the limit is 524288");
}

#[test]
fn a_batch_before_hello() {
    let session = Session::new(Limits::default());
    refused(session, Frame::Batch(updates(0, 1)), "the first frame must be hello");
}

#[test]
fn anything_before_welcome() {
    let frames = [
        Frame::Batch(updates(0, 1)),
        Frame::OtlpSpans(proto::OtlpSpans::default()),
        Frame::Ping(proto::Ping::default()),
        Frame::Bye(proto::Bye::default()),
    ];
    for frame in frames {
        let mut session = Session::new(Limits::default());
        session.receive(&client(Frame::Hello(hello())), NOW).unwrap();
        refused(session, frame, "a frame before welcome");
    }
}

#[test]
fn a_second_hello() {
    refused(welcomed(Limits::default()), Frame::Hello(hello()), "a second hello");
}

#[test]
fn anything_after_bye() {
    for frame in [Frame::Batch(updates(0, 1)), Frame::Ping(proto::Ping::default())] {
        let mut session = welcomed(Limits::default());
        session.receive(&client(Frame::Bye(proto::Bye { next_seq: 0 })), NOW).unwrap();
        refused(session, frame, "a frame after bye");
    }
}

#[test]
fn a_seed_of_the_wrong_length() {
    let id_seed = Bytes::from_static(&[1; 33]);
    refused_hello(proto::Hello { id_seed, ..hello() }, "hello.id_seed must be 32 bytes, got 33");
}

#[test]
fn a_token_beyond_the_limit() {
    let token = "t".repeat(4097);
    refused_hello(proto::Hello { token, ..hello() }, "hello.token is 4097, the limit is 4096");
}

#[test]
fn too_many_resource_attributes() {
    let resource = vec![attribute(1, 1); 65];
    refused_hello(proto::Hello { resource, ..hello() }, "hello.resource is 65, the limit is 64");
}

#[test]
fn resource_attributes_beyond_the_limit() {
    let resource = vec![attribute(1025, 1)];
    refused_hello(proto::Hello { resource, ..hello() }, "hello.resource.key is 1025, the limit is 1024");
    let resource = vec![attribute(1, 1025)];
    refused_hello(proto::Hello { resource, ..hello() }, "hello.resource.value is 1025, the limit is 1024");
}

#[test]
fn a_session_that_begins_beyond_the_numbers() {
    let expected = "hello.first_unacked_seq is 9007199254740992, the limit is 9007199254740991";
    refused_hello(proto::Hello { first_unacked_seq: SEQ_END, ..hello() }, expected);
}

#[test]
fn a_jump() {
    let expected = "the batch begins at 5, but 0 is next: numbers that will not come belong into lost";
    refused_batch(updates(5, 1), expected);
}

#[test]
fn a_jump_inside_a_batch() {
    let expected = "the batch begins at 4, but 3 is next: numbers that will not come belong into lost";
    refused_batch(proto::Batch { first_seq: 4, ..with_updates(lost(&[(0, 2)])) }, expected);
}

#[test]
fn reversed_lost_ranges() {
    let expected = "lost must be ascending and disjoint from itself and the updates, at 9";
    refused_batch(lost(&[(9, 3)]), expected);
}

#[test]
fn lost_ranges_out_of_order() {
    let expected = "lost must be ascending and disjoint from itself and the updates, at 0";
    refused_batch(
        lost(&[(5, 9), (0, 4)]),
        "the batch begins at 5, but 0 is next: numbers that will not come \
        belong into lost",
    );
    refused_batch(lost(&[(0, 9), (0, 4)]), expected);
}

#[test]
fn overlapping_lost_ranges() {
    let expected = "lost must be ascending and disjoint from itself and the updates, at 5";
    refused_batch(lost(&[(0, 5), (5, 9)]), expected);
}

#[test]
fn an_update_that_is_lost_too() {
    let expected = "lost must be ascending and disjoint from itself and the updates, at 2";
    refused_batch(proto::Batch { first_seq: 2, ..with_updates(lost(&[(0, 2)])) }, expected);
}

fn with_updates(batch: proto::Batch) -> proto::Batch {
    proto::Batch { updates: vec![update()], ..batch }
}

#[test]
fn numbers_beyond_the_end() {
    let expected = "seq is 9007199254740992, the limit is 9007199254740991";
    refused_batch(lost(&[(0, SEQ_END)]), expected);
    refused_batch(lost(&[(0, u64::MAX)]), "seq is 18446744073709551615, the limit is 9007199254740991");
    refused_batch(updates(u64::MAX, 2), "seq is 18446744073709551615, the limit is 9007199254740991");
    refused(
        welcomed(Limits::default()),
        Frame::Bye(proto::Bye { next_seq: SEQ_END + 1 }),
        "bye.next_seq is 9007199254740993, but 0 is next: what was made is sent, or lost, before bye",
    );
}

#[test]
fn more_than_was_granted() {
    let expected = "update 10 is beyond the credit, which ends at 10";
    refused(granted(Limits::default(), 10), Frame::Batch(updates(0, 11)), expected);
}

#[test]
fn a_lost_range_needs_no_credit() {
    let mut session = granted(Limits::default(), 10);
    let event = session.receive(&client(Frame::Batch(lost(&[(0, 999)]))), NOW).unwrap();
    assert!(matches!(event, Event::Batch(accepted) if accepted.end == 1_000));
}

#[test]
fn too_many_keys_in_a_batch() {
    let batch = proto::Batch { new_keys: vec!["k".into(); 1025], ..Default::default() };
    refused_batch(batch, "batch.new_keys is 1025, the limit is 1024");
}

#[test]
fn too_many_keys_on_a_connection() {
    let keys = |count| proto::Batch { new_keys: vec!["k".into(); count], ..Default::default() };
    let mut session = welcomed(Limits::default());
    session.receive(&client(Frame::Batch(keys(1024))), NOW).unwrap();
    refused(session, Frame::Batch(keys(1)), "keys of this connection is 1025, the limit is 1024");
}

#[test]
fn too_much_in_a_batch() {
    refused_batch(updates(0, 1025), "batch.updates is 1025, the limit is 1024");
    refused_batch(lost(&[(0, 0); 257]), "batch.lost is 257, the limit is 256");
    let updates = vec![proto::Update { attributes: vec![attribute(1, 1); 65], ..update() }];
    let batch = proto::Batch { updates, ..Default::default() };
    refused_batch(batch, "update.attributes is 65, the limit is 64");
}

#[test]
fn a_field_of_another_type() {
    // ClientFrame.batch with first_seq as bytes: prost says which field.
    let expected = "malformed frame: failed to decode Protobuf message: Batch.first_seq: \
        ClientFrame.frame: invalid wire type: LengthDelimited (expected Varint)";
    refused_bytes(b"\x12\x02\x0a\x00", expected);
}

/// Sends a good update, a bad one and a good one; the answer is the acknowledgement's account of it.
fn rejection(bad: proto::Update) -> (proto::Rejected, usize) {
    let mut session = welcomed(Limits::default());
    let updates = vec![update(), bad, update()];
    let frame = client(Frame::Batch(proto::Batch { updates, ..Default::default() }));
    let Event::Batch(accepted) = session.receive(&frame, NOW).unwrap() else { panic!("a batch") };
    session.settled(accepted.end);
    let ack = proto::ServerFrame::decode(session.ack(NOW, CREDIT).unwrap()).unwrap();
    let Some(server_frame::Frame::Ack(ack)) = ack.frame else { panic!("an ack") };
    assert_eq!((ack.next_seq, ack.rejected.len()), (3, 1));
    (ack.rejected[0].clone(), accepted.updates.len())
}

#[test]
fn what_is_wrong_with_one_update_costs_that_update_alone() {
    use RejectReason::{InvalidContext, InvalidJson, InvalidKey, TooLarge};
    let value = |json: String| proto::Update { value: Some(json.into()), ..update() };
    let parent = |parent| proto::Update { parent: Some(parent), ..update() };
    let error = |kind: usize, message: usize| proto::Update {
        error: Some(proto::Error { r#type: "t".repeat(kind), message: "m".repeat(message) }),
        ..update()
    };
    let context = proto::ParentContext {
        trace_id: Bytes::from_static(&[1; 16]),
        span_id: Bytes::from_static(&[1; 8]),
        ..Default::default()
    };
    let cases = [
        (proto::Update { key: String::new(), key_index: 3, ..update() }, InvalidKey, "update.key", 256),
        (proto::Update { key: "k".repeat(257), ..update() }, InvalidKey, "update.key", 256),
        (proto::Update { key: "k\0".into(), ..update() }, InvalidKey, "update.key", 256),
        (value(format!("{:?}", "x".repeat(256 << 10))), TooLarge, "update.value", 256 << 10),
        (value("[".repeat(65) + &"]".repeat(65)), TooLarge, "update.value depth", 64),
        (value(r#"{"a":"#.repeat(65) + "1" + &"}".repeat(65)), TooLarge, "update.value depth", 64),
        (value("[".repeat(200_000)), InvalidJson, "update.value", 0),
        (value("[1,]".into()), InvalidJson, "update.value", 0),
        (value("1 2".into()), InvalidJson, "update.value", 0),
        (value(String::new()), InvalidJson, "update.value", 0),
        (error(129, 0), TooLarge, "update.error.type", 128),
        (error(0, 1025), TooLarge, "update.error.message", 1024),
        (
            proto::Update { attributes: vec![attribute(1025, 0)], ..update() },
            TooLarge,
            "update.attributes.key",
            1024,
        ),
        (
            proto::Update { attributes: vec![attribute(0, 1025)], ..update() },
            TooLarge,
            "update.attributes.value",
            1024,
        ),
        (
            parent(proto::ParentContext { trace_id: Bytes::from_static(&[1; 15]), ..context.clone() }),
            InvalidContext,
            "update.parent.trace_id",
            16,
        ),
        (
            parent(proto::ParentContext { trace_id: Bytes::from_static(&[0; 16]), ..context.clone() }),
            InvalidContext,
            "update.parent.trace_id",
            16,
        ),
        (
            parent(proto::ParentContext { span_id: Bytes::from_static(&[1; 9]), ..context.clone() }),
            InvalidContext,
            "update.parent.span_id",
            8,
        ),
        (
            parent(proto::ParentContext { flags: 256, ..context.clone() }),
            InvalidContext,
            "update.parent.flags",
            255,
        ),
    ];
    for (bad, reason, field, limit) in cases {
        let (rejected, good) = rejection(bad);
        let expected =
            proto::Rejected { first: 1, last: 1, reason: reason.into(), field: field.into(), limit };
        assert_eq!(rejected, expected);
        assert_eq!(good, 2, "{field}: the neighbours go on");
    }
}

#[test]
fn many_brackets_are_not_depth() {
    let (in_strings, beside) = (format!("{:?}", "[{\"".repeat(100)), format!("[{}[]]", "[],".repeat(100)));
    for value in [in_strings, beside, "[".repeat(64) + &"]".repeat(64)] {
        let mut session = welcomed(Limits::default());
        let updates = vec![proto::Update { value: Some(value.clone().into()), ..update() }];
        let frame = client(Frame::Batch(proto::Batch { updates, ..Default::default() }));
        let event = session.receive(&frame, NOW);
        assert!(matches!(event, Ok(Event::Batch(it)) if it.updates.len() == 1), "{value}");
    }
}

//! The relay's machine: what it accepts once, acknowledges when settled, and remembers.

use crate::support::{NOW, SEED, client, hello, welcomed};
use atomwire_wire::proto::{self, RejectReason, client_frame::Frame, server_frame};
use atomwire_wire::relay::{Accepted, Event, Ledger, Limits, RejectedRange, Session};
use atomwire_wire::{LostRange, LostReason, Omitted, limits};
use bytes::Bytes;
use prost::Message;

fn updates(first_seq: u64, count: usize) -> proto::Batch {
    let update = proto::Update { key: "n".into(), value: Some("1".into()), ..Default::default() };
    proto::Batch { first_seq, updates: vec![update; count], ..Default::default() }
}

fn accept(session: &mut Session, batch: proto::Batch) -> Accepted {
    match session.receive(&client(Frame::Batch(batch)), NOW) {
        Ok(Event::Batch(accepted)) => accepted,
        other => panic!("{other:?}"),
    }
}

fn ack(session: &mut Session) -> proto::Ack {
    match proto::ServerFrame::decode(session.ack(NOW).unwrap()).unwrap().frame {
        Some(server_frame::Frame::Ack(ack)) => ack,
        other => panic!("{other:?}"),
    }
}

fn resume(session: &mut Session, first_unacked_seq: u64) -> (Session, proto::Welcome) {
    let mut ledger = session.detach().unwrap();
    ledger.resume(first_unacked_seq);
    let mut session = Session::new(Limits::default());
    session.receive(&client(Frame::Hello(hello())), NOW).unwrap();
    let welcome = proto::ServerFrame::decode(session.attach(ledger, NOW)).unwrap();
    let Some(server_frame::Frame::Welcome(welcome)) = welcome.frame else { panic!("a welcome") };
    (session, welcome)
}

#[test]
fn what_comes_again_is_a_duplicate() {
    let mut session = welcomed(Limits::default());
    assert_eq!(accept(&mut session, updates(0, 3)).updates.len(), 3);
    let again = accept(&mut session, updates(1, 4));
    assert_eq!((again.duplicates, again.updates.len(), again.end), (2, 2, 5));
    assert_eq!(again.updates.iter().map(|it| it.seq).collect::<Vec<_>>(), [3, 4]);
}

#[test]
fn nothing_is_acknowledged_before_it_is_settled() {
    let mut session = welcomed(Limits::default());
    let accepted = accept(&mut session, updates(0, 3));
    assert!(session.ack(NOW).is_none());
    assert!(!session.is_settled());
    session.settled(accepted.end, &[]);
    assert_eq!(ack(&mut session).next_seq, 3);
    assert!(session.is_settled());
    assert!(session.ack(NOW).is_none(), "once is enough");
}

#[test]
fn a_lost_range_that_has_grown_is_reported_by_its_new_part() {
    let mut session = welcomed(Limits::default());
    let lost = |last| proto::Batch {
        lost: vec![proto::LostRange { first: 0, last, reason: 1 }],
        ..Default::default()
    };
    accept(&mut session, lost(4));
    let expected = LostRange { first: 5, last: 9, reason: LostReason::QueueFull };
    assert_eq!(accept(&mut session, lost(9)).lost, [expected]);
}

#[test]
fn a_reason_of_a_later_version_is_still_a_loss() {
    let lost = vec![proto::LostRange { first: 0, last: 0, reason: 77 }];
    let batch = proto::Batch { lost, ..Default::default() };
    let accepted = accept(&mut welcomed(Limits::default()), batch);
    assert_eq!(accepted.lost[0].reason, LostReason::EmitterFailed);
}

#[test]
fn what_a_value_lacks_is_passed_on() {
    let mut batch = updates(0, 6);
    for (update, (value, omitted)) in batch.updates.iter_mut().zip([
        (Some("1"), 0),
        (Some("{}"), proto::Omitted::Parts as i32),
        (None, proto::Omitted::NotSerializable as i32),
        // Only what is there says whether it is.
        (Some("2"), proto::Omitted::NotSerializable as i32),
        (None, 0),
        // Of a later version.
        (Some("3"), 77),
    ]) {
        update.value = value.map(Bytes::from);
        update.omitted = omitted;
    }
    let accepted = accept(&mut welcomed(Limits::default()), batch);
    let omitted: Vec<_> = accepted.updates.iter().map(|it| it.omitted).collect();
    let value = Some(Omitted::Value);
    assert_eq!(omitted, [None, Some(Omitted::Parts), value, None, value, None]);
}

#[test]
fn every_refusal_of_a_full_credit_is_told() {
    let mut session = welcomed(Limits { credit: u32::MAX, ..Limits::default() });
    let mut end = 0;
    while end < limits::REJECTED_RANGES as u64 {
        let mut batch = updates(end, limits::BATCH_UPDATES);
        for bad in batch.updates.iter_mut().step_by(2) {
            bad.value = Some("no JSON".into());
        }
        end = accept(&mut session, batch).end;
    }
    session.settled(end, &[]);
    let refused = ack(&mut session).rejected.len() as u64;
    assert_eq!(refused, end / 2, "an update that the relay refused must not look acknowledged");
}

#[test]
fn credit_never_exceeds_what_the_ledger_can_account_for() {
    let mut session = welcomed(Limits { credit: u32::MAX, ..Limits::default() });
    let end = accept(&mut session, updates(0, 1)).end;
    session.settled(end, &[]);
    assert_eq!(ack(&mut session).credit as usize, limits::REJECTED_RANGES);
}

#[test]
fn what_the_bus_dropped_is_one_range_even_behind_a_younger_refusal() {
    let mut session = welcomed(Limits::default());
    let mut batch = updates(0, 10);
    batch.updates[9].key = String::new();
    let end = accept(&mut session, batch).end;
    session.settled(end, &[2, 3, 4]);
    let ranges: Vec<_> =
        ack(&mut session).rejected.iter().map(|it| (it.first, it.last, it.reason())).collect();
    assert_eq!(ranges, [(2, 4, RejectReason::BusFull), (9, 9, RejectReason::InvalidKey)]);
}

#[test]
fn refused_neighbours_are_one_range() {
    let mut session = welcomed(Limits::default());
    let mut batch = updates(0, 10);
    batch.updates[2..6].iter_mut().for_each(|bad| bad.value = Some("{".into()));
    batch.updates[5..7].iter_mut().for_each(|bad| bad.key.clear());
    batch.updates[8].value = Some("{".into());
    let accepted = accept(&mut session, batch);
    let ranges: Vec<_> = accepted.rejected.iter().map(|it| (it.first, it.last, it.reason)).collect();
    let (json, key) = (RejectReason::InvalidJson, RejectReason::InvalidKey);
    assert_eq!(ranges, [(2, 4, json), (5, 6, key), (8, 8, json)]);
    assert_eq!(accepted.rejected.iter().map(RejectedRange::updates).sum::<u64>(), 6);
    assert_eq!(accepted.updates.len(), 4);
}

#[test]
fn a_goodbye_accounts_for_every_number() {
    let mut session = welcomed(Limits::default());
    accept(&mut session, updates(0, 3));
    let lost = vec![proto::LostRange { first: 3, last: 6, reason: 1 }];
    accept(&mut session, proto::Batch { lost, ..Default::default() });
    let bye = |next_seq| client(Frame::Bye(proto::Bye { next_seq }));
    for wrong in [0, 6, 8, u64::MAX] {
        let error = session.receive(&bye(wrong), NOW).unwrap_err();
        let expected =
            format!("bye.next_seq is {wrong}, but 7 is next: what was made is sent, or lost, before bye");
        assert_eq!(error.to_string(), expected);
    }
    assert!(matches!(session.receive(&bye(7), NOW), Ok(Event::Bye(7))));
}

#[test]
fn a_client_that_missed_the_acknowledgement_is_told_again() {
    let mut session = welcomed(Limits::default());
    let end = accept(&mut session, updates(0, 10)).end;
    session.settled(end, &[1, 5]);
    ack(&mut session);
    let (_, welcome) = resume(&mut session, 3);
    let refused: Vec<_> = welcome.rejected.iter().map(|it| it.first).collect();
    assert_eq!((welcome.next_seq, refused), (10, vec![5]), "1 is below what the client knows");
}

#[test]
fn a_ledger_without_a_connection_keeps_little() {
    let mut session = welcomed(Limits::default());
    let mut batch = updates(0, 1_000);
    batch.updates.iter_mut().step_by(2).for_each(|bad| bad.value = Some("no JSON".into()));
    let end = accept(&mut session, batch).end;
    session.settled(end, &[]);
    let (_, welcome) = resume(&mut session, 0);
    let refused: Vec<_> = welcome.rejected.iter().map(|it| it.first).collect();
    assert_eq!((refused.len(), refused.last()), (256, Some(&998)));
}

#[test]
fn keys_begin_anew_with_each_connection() {
    let mut session = welcomed(Limits::default());
    let batch = proto::Batch { new_keys: vec!["cart".into()], ..Default::default() };
    accept(&mut session, batch);
    let (mut session, _) = resume(&mut session, 0);
    let update = proto::Update { key_index: 0, ..Default::default() };
    let batch = proto::Batch { updates: vec![update], ..Default::default() };
    let refused = RejectedRange { first: 0, last: 0, reason: RejectReason::InvalidKey };
    assert_eq!(accept(&mut session, batch).rejected, [refused]);
}

#[test]
fn an_unknown_session_goes_on_where_its_client_says() {
    let mut session = Session::new(Limits::default());
    session.receive(&client(Frame::Hello(hello())), NOW).unwrap();
    session.attach(Ledger::new(SEED, 41), NOW);
    assert_eq!(accept(&mut session, updates(41, 1)).updates[0].seq, 41);
}

#[test]
fn times_are_moved_to_the_relays_clock_and_a_write_is_over_before_it_arrives() {
    let mut session = welcomed(Limits::default());
    let update = |start_offset_us| proto::Update { start_offset_us, ..updates(0, 1).updates[0].clone() };
    let batch = proto::Batch {
        base_time_us: NOW - 1_000_000,
        clock_offset_us: 500,
        clock_error_us: 9,
        updates: vec![
            update(0),
            update(999_400),
            update(999_600),
            proto::Update { duration_us: 200, ..update(999_400) },
            update(i64::MIN),
            update(i64::MAX),
        ],
        ..Default::default()
    };
    let accepted = accept(&mut session, batch);
    let starts: Vec<_> = accepted.updates.iter().map(|it| it.start).collect();
    assert_eq!(starts[..4], [NOW - 999_500, NOW - 100, NOW, NOW - 200], "over before it arrived");
    assert!(starts.iter().all(|start| *start <= NOW));
    assert_eq!(accepted.clock_error, 9);
}

#[test]
fn spans_and_pings_pass_through() {
    let mut session = welcomed(Limits::default());
    let spans = proto::OtlpSpans { export_trace_service_request: Bytes::from_static(b"spans") };
    let event = session.receive(&client(Frame::OtlpSpans(spans)), NOW).unwrap();
    assert!(matches!(event, Event::Spans(bytes) if bytes == "spans"));
    let ping = proto::Ping { client_time_us: 5 };
    let Ok(Event::Reply(pong)) = session.receive(&client(Frame::Ping(ping)), NOW) else { panic!("a pong") };
    let pong = proto::ServerFrame::decode(pong).unwrap();
    let times = Some(proto::Times { received_at_us: NOW, sent_at_us: NOW });
    let expected = server_frame::Frame::Pong(proto::Pong { client_time_us: 5, times });
    assert_eq!(pong.frame, Some(expected));
}

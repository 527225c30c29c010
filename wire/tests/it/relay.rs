//! The relay's machine: what it accepts once, acknowledges when settled, and remembers.

use crate::support::{NOW, SEED, client, granted, hello, welcomed};
use atomwire_wire::limits::CREDIT;
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

/// Every second update is wrong.
fn half_wrong(first_seq: u64, count: usize) -> proto::Batch {
    let mut batch = updates(first_seq, count);
    batch.updates.iter_mut().step_by(2).for_each(|bad| bad.value = Some("no JSON".into()));
    batch
}

fn read_ack(frame: Bytes) -> proto::Ack {
    match proto::ServerFrame::decode(frame).unwrap().frame {
        Some(server_frame::Frame::Ack(ack)) => ack,
        other => panic!("{other:?}"),
    }
}

fn ack(session: &mut Session) -> proto::Ack {
    read_ack(session.ack(NOW, CREDIT).unwrap())
}

/// The session's next connection.
fn next(mut ledger: Ledger, first_unacked_seq: u64, credit: u32) -> (Session, proto::Welcome) {
    ledger.resume(first_unacked_seq);
    let mut session = Session::new(Limits::default());
    session.receive(&client(Frame::Hello(hello())), NOW).unwrap();
    let welcome = proto::ServerFrame::decode(session.attach(ledger, NOW, credit)).unwrap();
    let Some(server_frame::Frame::Welcome(welcome)) = welcome.frame else { panic!("a welcome") };
    (session, welcome)
}

fn resume(session: &mut Session, first_unacked_seq: u64) -> (Session, proto::Welcome) {
    next(session.detach().unwrap(), first_unacked_seq, CREDIT)
}

fn refused(ranges: &[proto::Rejected]) -> Vec<(u64, u64)> {
    ranges.iter().map(|it| (it.first, it.last)).collect()
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
    assert!(session.ack(NOW, CREDIT).is_none());
    session.settled(accepted.end);
    assert_eq!(ack(&mut session).next_seq, 3);
    assert!(session.ack(NOW, CREDIT).is_none(), "once is enough");
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
    let mut session = welcomed(Limits::default());
    let mut end = 0;
    while end < limits::REJECTED_RANGES as u64 {
        end = accept(&mut session, half_wrong(end, limits::BATCH_UPDATES)).end;
    }
    session.settled(end);
    let refused = ack(&mut session).rejected.len() as u64;
    assert_eq!(refused, end / 2, "an update that the relay refused must not look acknowledged");
}

#[test]
fn credit_never_exceeds_what_the_ledger_can_account_for() {
    let (mut session, welcome) = next(Ledger::new(SEED, 0), 0, u32::MAX);
    assert_eq!(welcome.credit as usize, limits::REJECTED_RANGES);
    let end = accept(&mut session, updates(0, 1)).end;
    session.settled(end);
    let ack = read_ack(session.ack(NOW, u32::MAX).unwrap());
    assert_eq!(ack.credit as usize, limits::REJECTED_RANGES);
}

#[test]
fn credit_is_withheld_and_given() {
    let mut session = granted(Limits::default(), 4);
    let answer = |session: &mut Session, settled, credit| {
        session.settled(settled);
        let ack = session.ack(NOW, credit).map(read_ack);
        ack.map(|ack| (ack.next_seq, ack.credit))
    };
    accept(&mut session, updates(0, 3));
    assert_eq!(answer(&mut session, 0, 0), None, "what was granted stays");
    assert_eq!(answer(&mut session, 2, 0), Some((2, 2)));
    assert_eq!(answer(&mut session, 3, 0), Some((3, 1)));
    accept(&mut session, updates(3, 1));
    assert_eq!(answer(&mut session, 4, 0), Some((4, 0)));
    assert_eq!(answer(&mut session, 4, 0), None);
    let beyond = client(Frame::Batch(updates(4, 1)));
    let error = session.receive(&beyond, NOW).unwrap_err();
    assert_eq!(error.to_string(), "update 4 is beyond the credit, which ends at 4");
    assert_eq!(answer(&mut session, 4, 1), Some((4, 1)), "nothing is settled, and more may come");
    accept(&mut session, updates(4, 1));
    // Losses need no credit: what is settled may pass what was granted.
    let lost = vec![proto::LostRange { first: 5, last: 99, reason: 1 }];
    accept(&mut session, proto::Batch { lost, ..Default::default() });
    assert_eq!(answer(&mut session, 100, 0), Some((100, 0)));
}

#[test]
fn a_sign_of_life_says_nothing_new() {
    let mut session = Session::new(Limits::default());
    assert_eq!(session.heartbeat(NOW), None, "not before the welcome");
    session.receive(&client(Frame::Hello(hello())), NOW).unwrap();
    session.attach(Ledger::new(SEED, 7), NOW, 2);
    let alive = read_ack(session.heartbeat(NOW).unwrap());
    assert_eq!((alive.next_seq, alive.credit), (7, 2));
    accept(&mut session, half_wrong(7, 2));
    session.settled(9);
    let alive = read_ack(session.heartbeat(NOW).unwrap());
    assert_eq!((alive.next_seq, alive.credit), (7, 2), "what is settled is an answer's to say");
    assert_eq!(refused(&ack(&mut session).rejected), [(7, 7)]);
    assert_eq!(refused(&read_ack(session.heartbeat(NOW).unwrap()).rejected), []);
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
    for wrong in [8, u64::MAX] {
        let error = session.receive(&bye(wrong), NOW).unwrap_err();
        let expected =
            format!("bye.next_seq is {wrong}, but 7 is next: what was made is sent, or lost, before bye");
        assert_eq!(error.to_string(), expected);
    }
    assert!(matches!(session.receive(&bye(7), NOW), Ok(Event::Bye(7))));
}

#[test]
fn a_goodbye_of_a_page_that_knows_less_ends_all_that_there_is() {
    let mut session = welcomed(Limits::default());
    accept(&mut session, updates(0, 3));
    let bye = client(Frame::Bye(proto::Bye { next_seq: 2 }));
    assert!(matches!(session.receive(&bye, NOW), Ok(Event::Bye(3))));
}

#[test]
fn a_client_that_missed_the_acknowledgement_is_told_again() {
    let mut session = welcomed(Limits::default());
    let mut batch = updates(0, 10);
    for bad in [1, 5] {
        batch.updates[bad].key = String::new();
    }
    let end = accept(&mut session, batch).end;
    session.settled(end);
    ack(&mut session);
    let (_, welcome) = resume(&mut session, 3);
    let told = (welcome.next_seq, refused(&welcome.rejected));
    assert_eq!(told, (10, vec![(5, 5)]), "1 is below what the client knows");
}

#[test]
fn a_ledger_without_a_connection_keeps_little() {
    let mut session = welcomed(Limits::default());
    let end = accept(&mut session, half_wrong(0, 1_000)).end;
    session.settled(end);
    let (_, welcome) = resume(&mut session, 0);
    let refused = refused(&welcome.rejected);
    assert_eq!((refused.len(), refused.last()), (256, Some(&(998, 998))));
}

#[test]
fn a_ledger_without_a_connection_keeps_what_nobody_was_told() {
    let mut session = welcomed(Limits::default());
    accept(&mut session, half_wrong(0, 1_000));
    session.settled(100);
    let mut ledger = session.detach().unwrap();
    // 50 of what is settled and 450 of what is not: the newest 256 are among the latter.
    ledger.settle(101);
    let (mut session, welcome) = next(ledger, 0, 0);
    assert_eq!((welcome.next_seq, refused(&welcome.rejected)), (101, vec![]));
    session.settled(1_000);
    assert_eq!(ack(&mut session).rejected.len(), 449);
    // Once all is settled, nobody has to be told for certain.
    let (mut session, _) = resume(&mut session, 0);
    accept(&mut session, half_wrong(1_000, 1_000));
    let mut ledger = session.detach().unwrap();
    ledger.settle(2_000);
    let (_, welcome) = next(ledger, 0, 0);
    assert_eq!((welcome.next_seq, welcome.rejected.len()), (2_000, 256));
}

#[test]
fn what_a_connection_left_unsettled_is_acknowledged_on_the_next() {
    let mut session = welcomed(Limits::default());
    accept(&mut session, half_wrong(0, 6));
    session.settled(2);
    let mut ledger = session.detach().unwrap();
    ledger.settle(3);
    ledger.settle(2);
    assert_eq!((ledger.settled(), ledger.accepted()), (3, 6));
    let (mut session, welcome) = next(ledger, 0, 2);
    assert_eq!((welcome.next_seq, welcome.credit), (3, 2));
    assert_eq!(refused(&welcome.rejected), [(0, 0), (2, 2)]);
    let again = accept(&mut session, half_wrong(3, 2));
    assert_eq!((again.duplicates, again.updates.len(), again.rejected.len(), again.end), (2, 0, 0, 6));
    assert!(session.ack(NOW, 0).is_none(), "a duplicate is not settled for being one");
    session.settled(6);
    let ack = ack(&mut session);
    assert_eq!((ack.next_seq, refused(&ack.rejected)), (6, vec![(4, 4)]));
}

#[test]
fn a_client_that_was_elsewhere_settles_what_waited_here() {
    let mut session = welcomed(Limits::default());
    accept(&mut session, updates(0, 6));
    let (mut session, welcome) = resume(&mut session, 4);
    assert_eq!(welcome.next_seq, 4);
    let again = accept(&mut session, updates(4, 3));
    assert_eq!((again.duplicates, again.updates.len()), (2, 1));
    // What was published here comes to its end later, and settles no more than that.
    session.settled(3);
    assert!(session.ack(NOW, 0).is_none());
    session.settled(6);
    assert_eq!(ack(&mut session).next_seq, 6);
}

#[test]
fn an_answer_for_another_connection_says_nothing_of_time() {
    let mut session = welcomed(Limits::default());
    accept(&mut session, updates(0, 6));
    let (mut session, _) = resume(&mut session, 0);
    accept(&mut session, updates(0, 3));
    session.settled(2);
    let keys = proto::Batch { new_keys: vec!["cart".into()], ..Default::default() };
    session.receive(&client(Frame::Batch(keys)), NOW + 9).unwrap();
    assert_eq!(ack(&mut session).times.unwrap().received_at_us, NOW, "keys are no update's");
    session.settled(5);
    assert_eq!(ack(&mut session).times, None, "a batch up to 5 may be under way");
    accept(&mut session, updates(3, 3));
    session.settled(6);
    assert!(ack(&mut session).times.is_some());
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
    session.attach(Ledger::new(SEED, 41), NOW, CREDIT);
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

//! What a page that goes away says, read by the relay's machine.

use super::{lost, welcome};
use crate::support::{NOW, SEED, config, connected, frames, write};
use atomwire_wire::emitter::{Emitter, Key, NewUpdate};
use atomwire_wire::relay::{Accepted, Event, Ledger, Limits, Session};
use atomwire_wire::{LostRange, LostReason, limits, proto};
use bytes::{Buf, Bytes};
use prost::encoding::decode_varint;

/// What browsers let a page say.
const ROOM: usize = 60 * 1024;

/// What the relay makes of a request: the batches, and the number of a `Bye`.
fn read(body: Vec<u8>, ledger: Option<Ledger>, limits: Limits) -> (Vec<Accepted>, Option<u64>) {
    let (mut body, mut ledger) = (Bytes::from(body), ledger);
    let (mut session, mut batches, mut bye) = (Session::new(limits), Vec::new(), None);
    while body.has_remaining() {
        let len = decode_varint(&mut body).unwrap();
        match session.receive(&body.split_to(len as usize), NOW).unwrap() {
            Event::Hello(hello) => {
                let new = || Ledger::new(SEED, hello.first_unacked_seq);
                session.attach(ledger.take().unwrap_or_else(new), NOW, limits::CREDIT);
            }
            Event::Batch(batch) => batches.push(batch),
            Event::Bye(made) => bye = Some(made),
            other => panic!("{other:?}"),
        }
    }
    (batches, bye)
}

fn numbers(batches: &[Accepted]) -> Vec<u64> {
    batches.iter().flat_map(|it| &it.updates).map(|update| update.seq).collect()
}

fn losses(batches: &[Accepted]) -> Vec<LostRange> {
    batches.iter().flat_map(|it| &it.lost).copied().collect()
}

fn pushed(count: u64, value: &str) -> Emitter {
    let mut emitter = Emitter::new(config());
    (0..count).for_each(|n| emitter.push(&write(n, value), NOW));
    emitter
}

#[test]
fn what_fits_goes_and_stays_pending() {
    let mut emitter = pushed(3, "1");
    emitter.lose(2, LostReason::NotSerializable);
    let body = emitter.last_request(ROOM, false, NOW).unwrap();
    let (batches, bye) = read(body, None, Limits::default());
    assert_eq!((numbers(&batches), bye), (vec![0, 1, 2], None));
    assert_eq!(losses(&batches), [LostRange { first: 3, last: 4, reason: LostReason::NotSerializable }]);
    // Nobody waits for an answer: the page comes back and asks.
    assert_eq!(emitter.stats().pending, 3);
    let mut emitter = connected(emitter, proto::Welcome { next_seq: 5, ..welcome(100) });
    emitter.hurry();
    assert_eq!(frames(&mut emitter, NOW), Vec::<Vec<u8>>::new());
    assert_eq!((emitter.stats().acknowledged, emitter.all_settled()), (3, true));
}

#[test]
fn what_does_not_fit_is_lost_when_the_page_goes_for_good() {
    let value = format!("{:?}", "x".repeat(1_000));
    let mut emitter = pushed(200, &value);
    let body = emitter.last_request(ROOM, true, NOW).unwrap();
    assert!(body.len() <= ROOM, "{} bytes", body.len());
    assert!(body.len() > ROOM / 2, "{} bytes", body.len());
    let (batches, bye) = read(body, None, Limits::default());
    let sent = numbers(&batches).len() as u64;
    assert_eq!(losses(&batches), [LostRange { first: sent, last: 199, reason: LostReason::PageClosed }]);
    assert_eq!((bye, lost(&emitter, LostReason::PageClosed)), (Some(200), 200 - sent));
    assert_eq!(emitter.stats().pending, sent);
}

#[test]
fn what_does_not_fit_stays_when_the_page_may_come_back() {
    let value = format!("{:?}", "x".repeat(1_000));
    let mut emitter = pushed(200, &value);
    let body = emitter.last_request(5_000, false, NOW).unwrap();
    assert!(body.len() <= 5_000, "{} bytes", body.len());
    let (batches, bye) = read(body, None, Limits::default());
    assert_eq!((numbers(&batches), losses(&batches), bye), (vec![0, 1, 2, 3], vec![], None));
    assert_eq!(emitter.stats().pending, 200);
    let mut emitter = connected(emitter, proto::Welcome { next_seq: 4, ..welcome(1_000) });
    emitter.hurry();
    assert_eq!(crate::support::batch(&frames(&mut emitter, NOW)[0]).first_seq, 4);
}

#[test]
fn any_room_is_kept_to() {
    let mut emitter = pushed(40, &"1".repeat(300));
    for n in 0..100 {
        emitter.intern(&format!("{n:0>200}")).unwrap();
    }
    for round in 0..40 {
        emitter.lose(1, LostReason::ALL[round % 6]);
    }
    for bytes in (700..6_000).step_by(37) {
        let body = emitter.last_request(bytes, false, NOW).unwrap();
        assert!(body.len() <= bytes, "{} of {bytes} bytes", body.len());
        read(body, None, Limits::default());
    }
}

#[test]
fn updates_whose_keys_do_not_fit_wait() {
    let mut emitter = Emitter::new(config());
    for n in 0..1_000 {
        let key = emitter.intern(&format!("{n:0>256}")).map(Key::Index).unwrap();
        emitter.push(&NewUpdate { key, ..write(n, "1") }, NOW);
    }
    let body = emitter.last_request(ROOM, true, NOW).unwrap();
    let (batches, bye) = read(body, None, Limits::default());
    assert!(batches.iter().all(|batch| batch.rejected.is_empty()), "every key came before its update");
    let sent = numbers(&batches).len() as u64;
    assert!((100..240).contains(&sent), "{sent} updates");
    assert_eq!((bye, lost(&emitter, LostReason::PageClosed)), (Some(1_000), 1_000 - sent));
}

#[test]
fn the_relays_limits_are_kept_to() {
    let offered = Limits { batch_updates: 2, ..Limits::default() };
    let limits = Some(proto::Limits { batch_updates: 2, ..Default::default() });
    let mut emitter = connected(pushed(8, "1"), proto::Welcome { limits, ..welcome(3) });
    assert_eq!(emitter.last_request(ROOM, false, NOW), None, "not beside an open socket");
    emitter.closed(NOW, 0.0);
    let (batches, bye) = read(emitter.last_request(ROOM, true, NOW).unwrap(), None, offered);
    assert!(batches.iter().all(|batch| batch.updates.len() <= 2));
    assert_eq!((numbers(&batches), bye), ((0..8).collect(), Some(8)));
}

#[test]
fn credit_that_a_stream_lacks_is_not_lacking_here() {
    let many = u64::from(limits::CREDIT) + 1;
    let mut emitter = connected(pushed(many, "1"), welcome(0));
    emitter.closed(NOW, 0.0);
    let body = emitter.last_request(usize::MAX, true, NOW).unwrap();
    let (batches, bye) = read(body, None, Limits::default());
    assert_eq!((numbers(&batches), bye), ((0..many - 1).collect(), Some(many)));
    assert_eq!(lost(&emitter, LostReason::PageClosed), 1);
}

#[test]
fn a_relay_that_had_it_all_hears_no_more_of_it() {
    let mut emitter = connected(pushed(3, "1"), welcome(100));
    emitter.hurry();
    let mut session = crate::support::welcomed(Limits::default());
    for frame in frames(&mut emitter, NOW) {
        session.receive(&frame.into(), NOW).unwrap();
    }
    session.settled(3);
    emitter.closed(NOW, 0.0);
    let body = emitter.last_request(ROOM, true, NOW).unwrap();
    let (batches, bye) = read(body, session.detach(), Limits::default());
    assert_eq!((numbers(&batches), losses(&batches), bye), (vec![], vec![], Some(3)));
    assert_eq!(batches.iter().map(|batch| batch.duplicates).sum::<u64>(), 3);
}

#[test]
fn a_page_that_has_nothing_to_say_says_nothing() {
    let mut emitter = Emitter::new(config());
    assert_eq!(emitter.last_request(ROOM, false, NOW), None);
    assert_eq!(emitter.last_request(ROOM, true, NOW), None, "no relay knows of it");
    let mut emitter = connected(pushed(1, "1"), proto::Welcome { next_seq: 1, ..welcome(100) });
    emitter.closed(NOW, 0.0);
    assert_eq!(emitter.last_request(ROOM, false, NOW), None);
    let (batches, bye) = read(emitter.last_request(ROOM, true, NOW).unwrap(), None, Limits::default());
    assert_eq!((numbers(&batches), bye), (vec![], Some(1)), "but that it is over");
}

#[test]
fn a_value_beyond_the_room_is_no_reason_to_stop_for_good() {
    let mut emitter = pushed(1, &"1".repeat(limits::VALUE_BYTES));
    emitter.push(&write(1, "1"), NOW);
    let (batches, bye) = read(emitter.last_request(ROOM, true, NOW).unwrap(), None, Limits::default());
    assert_eq!(losses(&batches), [LostRange { first: 0, last: 1, reason: LostReason::PageClosed }]);
    assert_eq!(bye, Some(2));
}

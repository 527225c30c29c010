//! The browser's machine: what it sends, when, and how it counts.

mod drop_oldest;
mod journal;
mod last_request;

use crate::support::{NOW, batch, config, connected, frames, server, write};
use atomwire_wire::emitter::{Config, Emitter, Event, Key, NewUpdate, Step};
use atomwire_wire::proto::{self, client_frame, server_frame::Frame};
use atomwire_wire::{LostReason, Micros, limits};
use prost::Message;

const MILLISECOND: Micros = 1_000;
const SECOND: Micros = 1_000_000;
/// As a shell's random numbers: the smallest, the largest.
const LEAST: f64 = 0.0;
const MOST: f64 = 1.0;

fn welcome(credit: u32) -> proto::Welcome {
    proto::Welcome { credit, heartbeat_interval_ms: 20_000, ..Default::default() }
}

fn ack(next_seq: u64, credit: u32) -> Vec<u8> {
    server(Frame::Ack(proto::Ack { next_seq, credit, ..Default::default() })).to_vec()
}

fn go_away(reason: proto::GoAwayReason, after: u32, jitter: u32) -> Vec<u8> {
    atomwire_wire::relay::go_away(reason, after, jitter, "why").to_vec()
}

fn lost(emitter: &Emitter, reason: LostReason) -> u64 {
    emitter.stats().lost[reason as usize - 1]
}

#[test]
fn what_one_click_writes_goes_together_and_soon() {
    let mut emitter = connected(Emitter::new(config()), welcome(100));
    emitter.push(&write(0, "1"), NOW);
    assert_eq!(emitter.step(NOW), Step::Wait(Some(NOW + 5 * MILLISECOND)));
    emitter.push(&write(1, "2"), NOW + 4 * MILLISECOND);
    let sent = frames(&mut emitter, NOW + 5 * MILLISECOND);
    assert_eq!(sent.iter().map(|it| batch(it).updates.len()).collect::<Vec<_>>(), [2]);
}

#[test]
fn a_page_that_writes_without_end_sends_five_frames_a_second() {
    let mut emitter = connected(Emitter::new(config()), welcome(2_000));
    let mut sent = 0;
    for millis in 0..1_000 {
        emitter.push(&write(millis, "1"), NOW + millis * MILLISECOND);
        sent += frames(&mut emitter, NOW + millis * MILLISECOND).len();
    }
    assert_eq!(sent, 5);
}

#[test]
fn hurry_sends_at_once() {
    let mut emitter = connected(Emitter::new(config()), welcome(100));
    emitter.push(&write(0, "1"), NOW);
    emitter.hurry();
    assert_eq!(frames(&mut emitter, NOW).len(), 1);
    emitter.push(&write(1, "2"), NOW);
    assert!(matches!(emitter.step(NOW), Step::Wait(_)), "only what was pending was in a hurry");
}

#[test]
fn a_clock_that_is_set_back_delays_nothing() {
    let mut emitter = connected(Emitter::new(config()), welcome(100));
    emitter.push(&write(0, "1"), NOW);
    let earlier = NOW - 3_600 * SECOND;
    emitter.clock_jumped();
    assert_eq!(frames(&mut emitter, earlier).len(), 1, "the update goes out");
    let Step::Wait(Some(ping_at)) = emitter.step(earlier) else { panic!("waits for the ping") };
    assert_eq!(ping_at, earlier + 20 * SECOND, "and a dead connection is noticed as soon as ever");
}

#[test]
fn a_clock_that_is_set_back_does_not_hold_up_the_next_batch() {
    let mut emitter = connected(Emitter::new(config()), welcome(100));
    emitter.push(&write(0, "1"), NOW);
    assert_eq!(frames(&mut emitter, NOW + SECOND).len(), 1);
    emitter.push(&write(1, "2"), NOW);
    frames(&mut emitter, NOW);
    assert_eq!(frames(&mut emitter, NOW + 200 * MILLISECOND).len(), 1);
}

#[test]
fn credit_is_not_overrun() {
    let mut emitter = connected(Emitter::new(config()), welcome(2));
    for n in 0..5 {
        emitter.push(&write(n, "1"), NOW);
    }
    emitter.hurry();
    assert_eq!(frames(&mut emitter, NOW).iter().map(|it| batch(it).updates.len()).sum::<usize>(), 2);
    emitter.receive(&ack(1, 2), NOW).unwrap();
    assert_eq!(frames(&mut emitter, NOW).iter().map(|it| batch(it).updates.len()).sum::<usize>(), 1);
}

#[test]
fn without_credit_a_client_waits() {
    let mut emitter = connected(Emitter::new(config()), welcome(0));
    emitter.push(&write(0, "1"), NOW);
    emitter.hurry();
    assert_eq!(emitter.step(NOW), Step::Wait(Some(NOW + 20 * SECOND)), "for a ping to be due");
    emitter.receive(&ack(0, 0), NOW + 15 * SECOND).unwrap();
    assert_eq!(emitter.step(NOW + 20 * SECOND), Step::Wait(Some(NOW + 35 * SECOND)), "the relay is alive");
    emitter.receive(&ack(0, 1), NOW + 20 * SECOND).unwrap();
    assert_eq!(frames(&mut emitter, NOW + 20 * SECOND).len(), 1);
    assert_eq!(emitter.stats().pending, 1, "and nothing is settled by that");
}

#[test]
fn what_is_lost_needs_no_credit() {
    let mut emitter = connected(Emitter::new(config()), welcome(0));
    emitter.lose(2, LostReason::QueueFull);
    emitter.push(&write(2, "1"), NOW);
    emitter.hurry();
    let sent = frames(&mut emitter, NOW);
    assert_eq!(
        sent.iter().map(|it| (batch(it).lost.len(), batch(it).updates.len())).collect::<Vec<_>>(),
        [(1, 0)]
    );
}

#[test]
fn an_answer_without_times_says_nothing_of_the_clock() {
    let mut emitter = Emitter::new(config());
    emitter.opened(NOW);
    let welcome = proto::Welcome { times: None, ..welcome(1) };
    emitter.receive(&server(Frame::Welcome(welcome)), NOW).unwrap();
    emitter.push(&write(0, "1"), NOW);
    emitter.hurry();
    assert_eq!(frames(&mut emitter, NOW).len(), 1);
    emitter.receive(&ack(1, 1), NOW).unwrap();
    assert_eq!(emitter.clock(), None);
}

#[test]
fn what_is_settled_stays_settled() {
    let mut emitter = Emitter::new(config());
    (0..5).for_each(|n| emitter.push(&write(n, "1"), NOW));
    let mut emitter = connected(emitter, welcome(100));
    emitter.receive(&ack(3, 100), NOW).unwrap();
    emitter.receive(&ack(1, 100), NOW).unwrap();
    emitter.closed(NOW, LEAST);
    let hello = proto::ClientFrame::decode(&emitter.opened(NOW)[..]).unwrap();
    let Some(client_frame::Frame::Hello(hello)) = hello.frame else { panic!("a hello") };
    assert_eq!((hello.first_unacked_seq, emitter.stats().acknowledged), (3, 3));
}

#[test]
fn a_full_queue_loses_the_newest() {
    let mut emitter = Emitter::new(Config { queue_updates: 2, ..config() });
    for n in 0..5 {
        emitter.push(&write(n, "1"), NOW);
    }
    assert_eq!((emitter.stats().pending, lost(&emitter, LostReason::QueueFull)), (2, 3));
    let mut emitter = connected(emitter, welcome(100));
    emitter.hurry();
    let sent = frames(&mut emitter, NOW);
    let expected = proto::LostRange { first: 2, last: 4, reason: LostReason::QueueFull as i32 };
    assert_eq!(batch(&sent[0]).lost, [expected]);
}

#[test]
fn what_the_protocol_cannot_carry_is_lost_as_too_large() {
    let mut emitter = Emitter::new(config());
    let (value, key) = ("1".repeat(limits::VALUE_BYTES + 1), "k".repeat(limits::KEY_BYTES + 1));
    emitter.push(&write(0, &value), NOW);
    emitter.push(&NewUpdate { key: Key::Inline(&key), ..write(1, "1") }, NOW);
    emitter.push(&NewUpdate { key: Key::Inline(""), ..write(2, "1") }, NOW);
    assert_eq!(emitter.stats().lost[LostReason::TooLarge as usize - 1], 3);
    assert_eq!(emitter.intern(&key), None);
}

#[test]
fn a_value_beyond_what_this_relay_takes_is_not_sent() {
    let limits = Some(proto::Limits { value_bytes: 100, ..Default::default() });
    let mut emitter = connected(Emitter::new(config()), proto::Welcome { limits, ..welcome(100) });
    emitter.push(&write(0, &"1".repeat(100)), NOW);
    emitter.push(&write(1, &"1".repeat(101)), NOW);
    assert_eq!((emitter.stats().pending, lost(&emitter, LostReason::TooLarge)), (1, 1));
    // Another relay may take more.
    emitter.closed(NOW, LEAST);
    let mut emitter = connected(emitter, welcome(100));
    emitter.push(&write(2, &"1".repeat(101)), NOW);
    assert_eq!(emitter.stats().pending, 2);
}

#[test]
fn a_page_that_loses_without_end_sends_five_frames_a_second() {
    let mut emitter = connected(Emitter::new(config()), welcome(100));
    let mut sent = 0;
    for millis in 0..1_000 {
        emitter.lose(1, LostReason::QueueFull);
        sent += frames(&mut emitter, NOW + millis * MILLISECOND).len();
    }
    assert_eq!(sent, 5);
}

#[test]
fn what_is_lost_while_a_relay_settles_nothing_is_one_range() {
    let patient = proto::Welcome { heartbeat_interval_ms: 3_600_000, ..welcome(100) };
    let mut emitter = connected(Emitter::new(config()), patient);
    for round in 0..300 {
        emitter.lose(1, LostReason::QueueFull);
        assert_eq!(frames(&mut emitter, NOW + round * 200 * MILLISECOND).len(), 1);
    }
    emitter.closed(NOW, LEAST);
    let mut emitter = connected(emitter, welcome(100));
    let expected = proto::LostRange { first: 0, last: 299, reason: LostReason::QueueFull as i32 };
    assert_eq!(batch(&frames(&mut emitter, NOW)[0]).lost, [expected]);
}

#[test]
fn lost_ranges_are_bounded_and_still_account_for_every_number() {
    let bound = 10;
    let mut emitter = Emitter::new(Config { queue_updates: bound, ..config() });
    let rounds = 5_000;
    for _ in 0..rounds {
        emitter.lose(1, LostReason::QueueFull);
        emitter.lose(1, LostReason::TooLarge);
    }
    assert_eq!(lost(&emitter, LostReason::QueueFull), rounds);
    assert_eq!(lost(&emitter, LostReason::TooLarge), rounds);
    let mut emitter = connected(emitter, welcome(100_000));
    let ranges: Vec<_> = frames(&mut emitter, NOW).iter().flat_map(|it| batch(it).lost).collect();
    assert!(ranges.len() <= 2 * bound, "{} ranges", ranges.len());
    let end = ranges.iter().fold(0, |end, range| {
        assert_eq!(range.first, end);
        range.last + 1
    });
    assert_eq!(end, 2 * rounds);
}

#[test]
fn every_frame_is_within_what_this_relay_takes() {
    let mut emitter = Emitter::new(config());
    for n in 0..limits::KEYS {
        emitter.intern(&format!("{n:0>256}")).unwrap();
    }
    let (small, large) = (format!("{:?}", "x".repeat(1_000)), format!("{:?}", "x".repeat(5_000)));
    for n in 0..200 {
        emitter.lose(1, LostReason::NotSerializable);
        let value = if n % 10 == 0 { &large } else { &small };
        let key = Key::Index(1023);
        emitter.push(&NewUpdate { key, ..write(2 * n + 1, value) }, NOW);
    }
    let offered = proto::Limits { frame_bytes: 4096, batch_updates: 2, value_bytes: 4096 };
    let mut emitter = connected(emitter, proto::Welcome { limits: Some(offered), ..welcome(1_000) });
    emitter.hurry();
    let sent = frames(&mut emitter, NOW);
    assert!(sent.iter().all(|frame| frame.len() <= 4096), "{:?}", sent.iter().map(Vec::len).max());
    let sent: Vec<_> = sent.iter().map(|frame| batch(frame)).collect();
    assert!(sent.iter().all(|batch| batch.updates.len() <= 2));
    assert_eq!(sent.iter().map(|batch| batch.updates.len()).sum::<usize>(), 180);
    assert_eq!(sent.iter().map(|batch| batch.new_keys.len()).sum::<usize>(), limits::KEYS);
    assert_eq!(lost(&emitter, LostReason::TooLarge), 20);
    emitter.receive(&ack(400, 1_000), NOW).unwrap();
    let stats = emitter.stats();
    assert_eq!((stats.created, stats.acknowledged, stats.pending), (400, 180, 0));
}

#[test]
fn keys_lost_ranges_and_an_update_share_a_frame() {
    for size in 2_000..3_500 {
        let mut emitter = Emitter::new(config());
        for n in 0..4 {
            emitter.intern(&format!("{n:0>256}")).unwrap();
        }
        for reason in LostReason::ALL.iter().cycle().take(20) {
            emitter.lose(1, *reason);
        }
        emitter.push(&write(20, &"1".repeat(size)), NOW);
        let limits = Some(proto::Limits { frame_bytes: 4096, ..Default::default() });
        let mut emitter = connected(emitter, proto::Welcome { limits, ..welcome(4096) });
        emitter.hurry();
        for frame in frames(&mut emitter, NOW) {
            assert!(frame.len() <= 4096, "{} bytes for a value of {size}", frame.len());
        }
    }
}

#[test]
fn the_largest_of_everything_fits_into_a_frame() {
    let mut emitter = Emitter::new(config());
    for n in 0..limits::KEYS {
        emitter.intern(&format!("{n:0>256}")).unwrap();
    }
    let value = format!("{:?}", "x".repeat(limits::VALUE_BYTES - 2));
    emitter.push(&NewUpdate { key: Key::Index(1023), ..write(0, &value) }, NOW);
    let mut emitter = connected(emitter, welcome(1_000));
    emitter.hurry();
    let sent = frames(&mut emitter, NOW);
    assert!(sent.iter().all(|frame| frame.len() <= limits::FRAME_BYTES));
    assert_eq!(sent.iter().map(|frame| batch(frame).updates.len()).sum::<usize>(), 1);
}

#[test]
fn keys_are_introduced_again_on_every_connection() {
    let mut emitter = Emitter::new(config());
    let index = emitter.intern("cart").unwrap();
    assert_eq!(emitter.intern("cart"), Some(index));
    emitter.push(&NewUpdate { key: Key::Index(index), ..write(0, "1") }, NOW);
    let mut emitter = connected(emitter, welcome(100));
    emitter.hurry();
    assert_eq!(batch(&frames(&mut emitter, NOW)[0]).new_keys, ["cart"]);
    emitter.closed(NOW, LEAST);
    let mut emitter = connected(emitter, welcome(100));
    emitter.hurry();
    let again = batch(&frames(&mut emitter, NOW)[0]);
    assert_eq!((again.new_keys.len(), again.first_seq, again.updates.len()), (1, 0, 1));
}

#[test]
fn a_silent_relay_is_pinged_and_then_given_up() {
    let mut emitter = connected(Emitter::new(config()), welcome(100));
    let due = NOW + 20 * SECOND;
    assert_eq!(emitter.step(NOW), Step::Wait(Some(due)));
    assert!(matches!(emitter.step(due), Step::Send(_)));
    assert_eq!(emitter.step(due), Step::Wait(Some(NOW + 40 * SECOND)));
    assert_eq!(emitter.step(NOW + 40 * SECOND), Step::Close);
}

#[test]
fn reconnects_spread_out() {
    let mut emitter = Emitter::new(config());
    let bounds: Vec<_> = (0..6).map(|_| emitter.closed(NOW, MOST).unwrap() / SECOND).collect();
    assert_eq!(bounds, [2, 4, 8, 16, 30, 30]);
    assert_eq!(emitter.closed(NOW, LEAST), Some(0));
    let mut emitter = connected(emitter, welcome(100));
    assert_eq!(emitter.closed(NOW + 10 * SECOND, MOST), Some(2 * SECOND), "a stable connection");
}

#[test]
fn a_relay_that_drains_says_when_to_come_back() {
    let mut emitter = connected(Emitter::new(config()), welcome(100));
    let frame = go_away(proto::GoAwayReason::Shutdown, 1_000, 500);
    assert_eq!(emitter.receive(&frame, NOW), Ok(Event::GoAway("why".into())));
    assert_eq!(emitter.closed(NOW, MOST), Some(1_500 * MILLISECOND));
}

#[test]
fn a_relay_that_refuses_the_session_ends_it() {
    use proto::GoAwayReason::{ProtocolError, Replaced, Unauthorized};
    for reason in [Replaced, ProtocolError, Unauthorized] {
        let mut emitter = connected(Emitter::new(config()), welcome(100));
        emitter.push(&write(0, "1"), NOW);
        emitter.receive(&go_away(reason, 0, 0), NOW).unwrap();
        assert_eq!(emitter.closed(NOW, MOST), None);
        assert_eq!((emitter.stats().pending, lost(&emitter, LostReason::Rejected)), (0, 1));
    }
}

#[test]
fn frames_and_fields_of_a_later_version_are_skipped() {
    let mut emitter = connected(Emitter::new(config()), welcome(100));
    // Field 9 of ServerFrame, a message whose field 1 is a string.
    assert_eq!(emitter.receive(b"\x4a\x03\x0a\x01x", NOW), Ok(Event::Continue));
    // Pong with a string at field 3, GoAway with a number at field 9.
    assert_eq!(emitter.receive(b"\x1a\x03\x1a\x01x", NOW), Ok(Event::Continue));
    assert_eq!(emitter.receive(b"\x22\x02\x48\x01", NOW), Ok(Event::GoAway(String::new())));
}

#[test]
fn more_rejected_ranges_than_the_protocol_has_are_malformed() {
    let range = proto::Rejected { first: 0, last: 0, ..Default::default() };
    let ack = proto::Ack { rejected: vec![range; limits::REJECTED_RANGES + 1], ..Default::default() };
    let mut emitter = connected(Emitter::new(config()), welcome(100));
    let error = emitter.receive(&server(Frame::Ack(ack)), NOW).unwrap_err();
    assert_eq!(error.to_string(), "malformed frame: more rejected ranges than the protocol allows");
}

#[test]
fn a_session_ends_when_everything_is_settled() {
    let mut emitter = connected(Emitter::new(config()), welcome(100));
    emitter.push(&write(0, "1"), NOW);
    emitter.end();
    assert_eq!(frames(&mut emitter, NOW).len(), 1, "the batch, without waiting for company");
    emitter.receive(&ack(1, 100), NOW).unwrap();
    let Step::Send(bye) = emitter.step(NOW) else { panic!("says bye") };
    assert_eq!(bye, [0x2a, 2, 8, 1], "after one update");
    assert_eq!(emitter.step(NOW), Step::Close);
}

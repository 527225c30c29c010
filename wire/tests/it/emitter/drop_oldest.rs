//! A full queue that loses the oldest: what the present is worth more than.

use super::{ack, lost, welcome};
use crate::support::{NOW, batch, config, connected, frames, write};
use atomwire_wire::LostReason;
use atomwire_wire::emitter::{Config, Emitter, WhenFull};
use atomwire_wire::proto;

fn emitter(queue_updates: usize, queue_bytes: usize) -> Emitter {
    let when_full = WhenFull::DropOldest;
    Emitter::new(Config { queue_updates, queue_bytes, when_full, ..config() })
}

fn push(emitter: &mut Emitter, numbers: std::ops::Range<u64>) {
    numbers.for_each(|n| emitter.push(&write(n, &n.to_string()), NOW));
}

/// The numbers of the updates, and the lost ranges, of all that is sent now.
fn sent(emitter: &mut Emitter) -> (Vec<u64>, Vec<(u64, u64)>) {
    emitter.hurry();
    let batches: Vec<_> = frames(emitter, NOW).iter().map(|frame| batch(frame)).collect();
    let updates = batches.iter().flat_map(|it| (it.first_seq..).take(it.updates.len())).collect();
    let full = proto::LostReason::QueueFull;
    let lost = batches.iter().flat_map(|it| &it.lost).inspect(|range| assert_eq!(range.reason(), full));
    (updates, lost.map(|range| (range.first, range.last)).collect())
}

#[test]
fn the_newest_are_kept_and_the_oldest_are_one_range() {
    let mut emitter = emitter(3, 1 << 20);
    push(&mut emitter, 0..10);
    assert_eq!((emitter.stats().pending, lost(&emitter, LostReason::QueueFull)), (3, 7));
    assert_eq!(sent(&mut connected(emitter, welcome(100))), (vec![7, 8, 9], vec![(0, 6)]));
}

#[test]
fn what_is_in_flight_is_never_called_lost() {
    let mut emitter = connected(emitter(3, 1 << 20), welcome(100));
    push(&mut emitter, 0..2);
    assert_eq!(sent(&mut emitter).0, [0, 1]);
    push(&mut emitter, 2..5);
    assert_eq!(sent(&mut emitter), (vec![4], vec![(2, 3)]));
    // Nothing else is left: the newest has no place.
    push(&mut emitter, 5..7);
    assert_eq!(sent(&mut emitter), (vec![], vec![(5, 6)]));
    emitter.receive(&ack(7, 100), NOW).unwrap();
    let stats = emitter.stats();
    assert_eq!((stats.acknowledged, lost(&emitter, LostReason::QueueFull)), (3, 4));
}

#[test]
fn what_was_sent_before_a_cut_is_kept_as_well() {
    let mut emitter = connected(emitter(3, 1 << 20), welcome(100));
    push(&mut emitter, 0..2);
    assert_eq!(sent(&mut emitter).0, [0, 1]);
    emitter.closed(NOW, 0.0);
    push(&mut emitter, 2..6);
    let mut emitter = connected(emitter, welcome(100));
    assert_eq!(sent(&mut emitter), (vec![0, 1, 5], vec![(2, 4)]));
}

#[test]
fn bytes_count_as_well_as_updates() {
    let mut emitter = emitter(100, 1_000);
    for n in 0..9 {
        emitter.push(&write(n, &"1".repeat(300)), NOW);
    }
    assert_eq!(emitter.stats().pending, 3);
    // Two of the three make room.
    emitter.push(&write(9, &"1".repeat(600)), NOW);
    assert_eq!(sent(&mut connected(emitter, welcome(100))), (vec![8, 9], vec![(0, 7)]));
}

#[test]
fn what_is_larger_than_the_queue_costs_nobody_else_their_place() {
    let mut emitter = emitter(100, 1_000);
    push(&mut emitter, 0..3);
    emitter.push(&write(3, &"1".repeat(1_000)), NOW);
    assert_eq!((emitter.stats().pending, lost(&emitter, LostReason::QueueFull)), (3, 1));
    assert_eq!(sent(&mut connected(emitter, welcome(100))), (vec![0, 1, 2], vec![(3, 3)]));
}

//! What outlives a page, and what the next one makes of it.

use super::{ack, lost, welcome};
use crate::support::{NOW, batch, config, connected, frames, write};
use atomwire_wire::emitter::{Emitter, Key, Malformed, NewUpdate, Step};
use atomwire_wire::{LostReason, limits, proto};
use proptest::prelude::*;

fn journal(emitter: &mut Emitter) -> Vec<Vec<u8>> {
    std::iter::from_fn(|| emitter.journal()).collect()
}

fn restore(keys: &[Box<str>], frames: &[Vec<u8>]) -> Result<Emitter, Malformed> {
    let frames: Vec<&[u8]> = frames.iter().map(|frame| &frame[..]).collect();
    Emitter::restore(config(), keys.to_vec(), &frames)
}

/// A page with updates, keys and losses; every frame of its journal holds three numbers.
fn page() -> (Emitter, Vec<Vec<u8>>) {
    let (mut emitter, mut kept) = (Emitter::new(config()), Vec::new());
    for n in 0..4 {
        let key = emitter.intern(&format!("atom-{n}")).map(Key::Index).unwrap();
        emitter.lose(1, LostReason::NotSerializable);
        emitter.push(&NewUpdate { key, ..write(3 * n + 1, "1") }, NOW);
        emitter.push(&write(3 * n + 2, "2"), NOW);
        kept.extend(journal(&mut emitter));
    }
    (emitter, kept)
}

/// All that it sends: new keys, updates as (number, value), lost ranges.
#[derive(Debug, Default, PartialEq)]
struct Sent {
    keys: Vec<String>,
    updates: Vec<(u64, proto::Update)>,
    lost: Vec<proto::LostRange>,
}

fn sent(emitter: Emitter) -> Sent {
    let mut emitter = connected(emitter, welcome(1_000));
    emitter.hurry();
    let mut sent = Sent::default();
    for frame in frames(&mut emitter, NOW) {
        let batch = batch(&frame);
        sent.keys.extend(batch.new_keys);
        sent.updates.extend((batch.first_seq..).zip(batch.updates));
        sent.lost.extend(batch.lost);
    }
    sent
}

fn balances(emitter: &Emitter) {
    let stats = emitter.stats();
    assert_eq!(stats.created, stats.acknowledged + stats.lost.iter().sum::<u64>() + stats.pending);
}

#[test]
fn the_next_page_says_what_this_one_would_have_said() {
    let (emitter, kept) = page();
    let restored = restore(emitter.keys(), &kept).unwrap();
    assert_eq!(restored.stats(), emitter.stats());
    assert_eq!(sent(restored), sent(emitter));
}

#[test]
fn what_is_settled_need_not_be_kept() {
    let (emitter, kept) = page();
    let mut emitter = connected(emitter, welcome(1_000));
    emitter.receive(&ack(3, 1_000), NOW).unwrap();
    assert_eq!(emitter.settled(), 3);
    let restored = restore(emitter.keys(), &kept[1..]).unwrap();
    assert_eq!((restored.settled(), restored.stats().created, restored.stats().pending), (3, 9, 6));
    emitter.closed(NOW, 0.0);
    assert_eq!(sent(restored), sent(emitter));
}

#[test]
fn what_is_missing_in_the_middle_is_lost() {
    let (emitter, mut kept) = page();
    kept.remove(1);
    let restored = restore(emitter.keys(), &kept).unwrap();
    assert_eq!((restored.stats().created, lost(&restored, LostReason::PageClosed)), (12, 3));
    balances(&restored);
    let range = proto::LostRange { first: 3, last: 5, reason: LostReason::PageClosed as i32 };
    assert!(sent(restored).lost.contains(&range));
}

#[test]
fn what_is_missing_at_the_end_was_never_made() {
    let (emitter, kept) = page();
    let restored = restore(emitter.keys(), &kept[..2]).unwrap();
    assert_eq!(restored.stats().created, 6);
    balances(&restored);
}

#[test]
fn a_relay_that_knows_more_than_was_kept_is_believed() {
    let (emitter, kept) = page();
    let restored = restore(emitter.keys(), &kept[..2]).unwrap();
    let mut restored = connected(restored, proto::Welcome { next_seq: 12, ..welcome(100) });
    let stats = restored.stats();
    assert_eq!((stats.created, stats.acknowledged, stats.pending), (6, 4, 0), "of its own six");
    balances(&restored);
    restored.end();
    assert_eq!(restored.step(NOW), Step::Send(vec![0x2a, 2, 8, 6]), "a goodbye after all that it knows of");
}

#[test]
fn what_is_there_twice_counts_once() {
    let (emitter, kept) = page();
    let twice: Vec<_> = kept.iter().flat_map(|frame| [frame.clone(), frame.clone()]).collect();
    let mut again = kept.clone();
    again.extend(kept.clone());
    for frames in [twice, again] {
        let restored = restore(emitter.keys(), &frames).unwrap();
        assert_eq!(restored.stats(), emitter.stats());
        balances(&restored);
    }
}

#[test]
fn keys_that_no_relay_takes_are_malformed() {
    let key = |len| "k".repeat(len).into_boxed_str();
    assert!(restore(&[key(limits::KEY_BYTES)], &[]).is_ok());
    assert!(restore(&[key(limits::KEY_BYTES + 1)], &[]).is_err());
    assert!(restore(&[key(0)], &[]).is_err());
    assert!(restore(&vec![key(1); limits::KEYS + 1], &[]).is_err());
}

#[test]
fn a_journal_goes_on_where_it_was() {
    let mut emitter = Emitter::new(config());
    assert_eq!(emitter.journal(), None);
    emitter.lose(1, LostReason::QueueFull);
    assert_eq!(journal(&mut emitter).len(), 1);
    // The range grows beyond what was written down.
    emitter.lose(1, LostReason::QueueFull);
    let range = |first, last| proto::LostRange { first, last, reason: LostReason::QueueFull as i32 };
    assert_eq!(batch(&journal(&mut emitter)[0]).lost, [range(1, 1)]);
    emitter.push(&write(2, "1"), NOW);
    let mut emitter = connected(emitter, welcome(100));
    assert_eq!(
        batch(&frames(&mut emitter, NOW + 5_000)[0]).lost,
        [range(0, 1)],
        "which is no reason to cut it"
    );
    let kept = batch(&journal(&mut emitter)[0]);
    assert_eq!((kept.first_seq, kept.updates.len()), (2, 1));
    emitter.receive(&ack(3, 100), NOW).unwrap();
    assert_eq!(emitter.journal(), None);
}

#[test]
fn a_long_journal_is_many_frames() {
    let mut emitter = Emitter::new(config());
    let value = "1".repeat(1_000);
    (0..500).for_each(|n| emitter.push(&write(n, &value), NOW));
    let kept = journal(&mut emitter);
    assert!(kept.len() > 5 && kept.iter().all(|frame| frame.len() < 70_000), "{} frames", kept.len());
    assert_eq!(restore(&[], &kept).unwrap().stats(), emitter.stats());
}

#[test]
fn numbers_beyond_the_end_are_malformed() {
    let update = proto::Update { key: "n".into(), ..Default::default() };
    for first_seq in [limits::SEQ_END, u64::MAX] {
        let batch = proto::Batch { first_seq, updates: vec![update.clone()], ..Default::default() };
        let frame = crate::support::client(proto::client_frame::Frame::Batch(batch));
        assert!(restore(&[], &[frame.to_vec()]).is_err(), "{first_seq}");
    }
}

#[test]
fn what_is_given_up_is_reported() {
    let (emitter, kept) = page();
    let mut restored = restore(emitter.keys(), &kept).unwrap();
    restored.give_up(LostReason::PageClosed);
    assert_eq!((restored.stats().pending, lost(&restored, LostReason::PageClosed)), (0, 8));
    balances(&restored);
    let sent = sent(restored);
    // What was lost already keeps its own reason.
    let ranges: Vec<_> = sent.lost.iter().map(|range| (range.first, range.last, range.reason)).collect();
    let (own, given_up) = (LostReason::NotSerializable as i32, LostReason::PageClosed as i32);
    let page = (0..4).flat_map(|n| [(3 * n, 3 * n, own), (3 * n + 1, 3 * n + 2, given_up)]);
    assert_eq!((sent.updates.len(), ranges), (0, page.collect()));
}

proptest! {
    #[test]
    fn damaged_bytes_never_panic(
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in any::<prop::sample::Index>(),
    ) {
        let (emitter, mut kept) = page();
        for (at, byte) in damage {
            let frame = at.index(kept.len());
            let at = at.index(kept[frame].len());
            kept[frame][at] = byte;
        }
        let last = kept.last_mut().unwrap();
        last.truncate(cut.index(last.len() + 1));
        if let Ok(mut restored) = restore(emitter.keys(), &kept) {
            balances(&restored);
            restored.opened(NOW);
            restored.give_up(LostReason::PageClosed);
            balances(&restored);
        }
    }
}

//! Ten thousand clients of one relay lose it at the same moment: how many knock in the same tenth of a second
//! once it is back.
//!
//! What a full jitter makes of it: try k follows the one before by a time uniform in 0..B(k), B(1) = b = 2 s,
//! doubled each time up to 30 s. Let T(k) be the sum of the first k. A relay that is back after d sees in a
//! short dt at d the share dt * sum over k of P(T(k-1) <= d < T(k-1) + B(k)) / B(k) of its clients, and never
//! more. For d <= b, where the first wait is not over yet, that is at the most
//!
//! ```text
//! (1 + P(T(1) <= b)/2 + P(T(2) <= b)/4 + P(T(3) <= b)/8 + …)/b = (1 + 1/2 + 1/16 + 1/384 + …)/b = 1.57/b
//! ```
//!
//! since P(T(k) <= b) is the simplex's b^k/k! over the product of the bounds. Beyond d = b the first term is
//! gone, and it only falls. So 10,000 clients are at the most 7,800 handshakes a second, at whatever moment
//! the relay is back. With b = 250 ms they would be 63,000.

use crate::simulation::rng::Rng;
use crate::support::{NOW, config, connected};
use atomwire_wire::emitter::Emitter;
use atomwire_wire::proto::GoAwayReason;
use atomwire_wire::relay::go_away;
use atomwire_wire::{Micros, proto};

const CLIENTS: u64 = 10_000;
const MILLISECOND: Micros = 1_000;
const SECOND: Micros = 1_000_000;
const SLOT: Micros = 100 * MILLISECOND;

/// How many clients arrive in each tenth of a second from the loss on, when the relay is back after `away`.
/// `farewell` is what it says before it goes, if it can say anything.
fn arrivals(away: Micros, farewell: Option<&[u8]>) -> Vec<usize> {
    let mut slots = Vec::new();
    for client in 0..CLIENTS {
        let mut rng = Rng::of(away, client);
        let welcome = proto::Welcome { credit: 100, ..Default::default() };
        let mut emitter = connected(Emitter::new(config()), welcome);
        // It had been connected for long.
        let lost_at = NOW + 3_600 * SECOND;
        if let Some(farewell) = farewell {
            emitter.receive(farewell, lost_at).unwrap();
        }
        let mut at = lost_at;
        loop {
            at += emitter.closed(at, rng.fraction()).unwrap();
            if at >= lost_at + away {
                break;
            }
        }
        let slot = ((at - lost_at) / SLOT) as usize;
        slots.resize(slots.len().max(slot + 1), 0);
        slots[slot] += 1;
    }
    assert_eq!(slots.iter().sum::<usize>() as u64, CLIENTS);
    slots
}

fn peak(slots: &[usize]) -> usize {
    slots.iter().copied().max().unwrap()
}

/// How many slots pass after `away` until so many in a hundred are back.
fn until(slots: &[usize], away: Micros, percent: usize) -> usize {
    let back = slots.iter().scan(0, |sum, slot| {
        *sum += slot;
        Some(*sum)
    });
    let slot = back.take_while(|back| *back < CLIENTS as usize * percent / 100).count();
    slot - (away / SLOT) as usize
}

#[test]
fn a_relay_that_dies_is_not_stormed_when_it_is_back() {
    // The formula at d, for ten thousand clients and a tenth of a second, and five standard deviations.
    for (away, expected) in [
        // 1/2 s, and P(T(1) <= 0.2 s) = 1/10 of 1/4 s.
        (200 * MILLISECOND, 525),
        // 1/4 s for all, P(T(2) <= 2 s) = 1/4 of 1/8 s, P(T(3) <= 2 s) = 1/48 of 1/16 s.
        (2 * SECOND, 283),
        // 1/30 s for all, in their fifth wait at the least, and as much for the share which that one was not
        // the last of: P(T(5) <= 30 s) = 1/2, P(T(6) <= 30 s) = 1/7, P(T(7) <= 30 s) = 1/35.
        (30 * SECOND, 56),
    ] {
        let slots = arrivals(away, None);
        let (most, deviation) = (peak(&slots), f64::from(expected).sqrt());
        assert!((most as f64) < f64::from(expected) + 5.0 * deviation, "{most} at once after {away} µs");
        assert!(slots.len() as u64 * SLOT <= away + 31 * SECOND, "nobody waits for longer than the bound");
    }
}

#[test]
fn no_moment_of_return_is_a_storm() {
    for tenths in (0..=40).step_by(5) {
        let most = peak(&arrivals(tenths * SLOT, None));
        assert!(most < 1_000, "{most} in a tenth of a second after {tenths} tenths");
    }
}

#[test]
fn a_short_outage_is_over_soon() {
    let away = 200 * MILLISECOND;
    // Nine in ten are in their first wait of up to 2 s, evenly: half are back in a second, all but those
    // who came too early in two.
    let slots = arrivals(away, None);
    assert!((8..=12).contains(&until(&slots, away, 50)), "{}", until(&slots, away, 50));
    assert!(until(&slots, away, 90) <= 20, "{}", until(&slots, away, 90));
}

#[test]
fn a_relay_that_drains_spreads_its_clients_itself() {
    // As the relay says it: a millisecond of jitter for every client that it has.
    let farewell = go_away(GoAwayReason::Shutdown, 0, CLIENTS as u32, "the relay is shutting down");
    // Another is there already, or takes over at once: ten seconds of a hundred each.
    let slots = arrivals(0, Some(&farewell));
    assert!(peak(&slots) < 150 && slots.len() == 100, "{} in {} slots", peak(&slots), slots.len());
    // Back after two seconds: a fifth came too early, and comes again with a first wait of up to 2 s, which
    // makes up to a hundred more.
    let most = peak(&arrivals(2 * SECOND, Some(&farewell)));
    assert!(most < 270, "{most}");
}

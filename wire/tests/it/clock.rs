//! The offset to the relay's clock.

use atomwire_wire::clock::{Clock, Exchange, Offset};

/// An exchange with a relay whose clock is `ahead`, which took `there` and `back` on its way.
fn exchange(ahead: i64, there: u64, back: u64) -> Exchange {
    let client_sent = 1_000_000_000_u64;
    let relay_received = (client_sent + there).wrapping_add_signed(ahead);
    Exchange {
        client_sent,
        relay_received,
        relay_sent: relay_received + 5,
        client_received: client_sent + there + 5 + back,
    }
}

#[test]
fn the_offset_is_within_its_error() {
    for (ahead, there, back) in
        [(0, 100, 100), (86_400_000_000, 10, 900), (-86_400_000_000, 900, 10), (7, 0, 0)]
    {
        let mut clock = Clock::default();
        clock.sample(exchange(ahead, there, back));
        let Offset { micros, error } = clock.offset().unwrap();
        assert!(micros.abs_diff(ahead) <= error, "{ahead}: {micros} ± {error}");
    }
}

#[test]
fn the_offset_is_held_while_nothing_contradicts_it() {
    let mut clock = Clock::default();
    clock.sample(exchange(5_000, 400, 600));
    let held = clock.offset();
    clock.sample(exchange(5_000, 300, 200));
    assert_eq!(clock.offset(), held, "a little better is not worth a move");
    clock.sample(exchange(5_000, 10, 10));
    assert_eq!(clock.offset(), Some(Offset { micros: 5_000, error: 10 }), "far better is");
}

#[test]
fn a_jump_of_either_clock_is_followed_at_once() {
    let mut clock = Clock::default();
    for ahead in [0, 3_600_000_000, -86_400_000_000, 30_000] {
        clock.sample(exchange(ahead, 10, 10));
        clock.sample(exchange(ahead, 20, 20));
        assert_eq!(clock.offset().unwrap().micros, ahead, "though the older exchanges were as quick");
    }
}

#[test]
fn a_drift_is_followed() {
    let mut clock = Clock::default();
    for second in 0..3_600 {
        // 100 ppm, at one exchange a second.
        let ahead = 100 * second;
        clock.sample(exchange(ahead, 150, 150));
        let Offset { micros, error } = clock.offset().unwrap();
        assert!(micros.abs_diff(ahead) <= 2 * error, "{micros} ± {error}, {ahead} ahead");
    }
}

#[test]
fn an_exchange_that_contradicts_itself_is_ignored() {
    let mut clock = Clock::default();
    let good = exchange(0, 10, 10);
    clock.sample(Exchange { client_received: good.client_sent - 1, ..good });
    clock.sample(Exchange { relay_sent: good.relay_received - 1, ..good });
    assert_eq!(clock.offset(), None);
}

#[test]
fn a_clock_that_was_set_forgets() {
    let mut clock = Clock::default();
    clock.sample(exchange(0, 10, 10));
    clock = Clock::new();
    assert_eq!(clock.offset(), None);
}

#[test]
fn the_extremes_of_time_do_no_harm() {
    let times = [0, 1, i64::MAX as u64, i64::MAX as u64 + 1, u64::MAX];
    let mut clock = Clock::default();
    for client_sent in times {
        for relay_received in times {
            for relay_sent in times {
                for client_received in times {
                    clock.sample(Exchange { client_sent, relay_received, relay_sent, client_received });
                }
            }
        }
    }
}

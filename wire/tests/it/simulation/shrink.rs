//! Makes a failing script short (delta debugging: Zeller and Hildebrandt, 2002).

use super::script::{Event, Script, What};
use std::time::{Duration, Instant};

/// How long it may take: a person waits for it.
const PATIENCE: Duration = Duration::from_secs(20);

/// The shortest script found that still `fails`.
pub(super) fn shrink(script: &Script, fails: impl Fn(&Script) -> bool) -> Script {
    let deadline = Instant::now() + PATIENCE;
    let fails = |events: &[Event]| {
        Instant::now() < deadline && fails(&Script { seed: script.seed, events: events.to_vec() })
    };
    let mut events = script.events.clone();
    loop {
        let before = events.clone();
        drop_chunks(&mut events, fails);
        lower_numbers(&mut events, fails);
        if events == before {
            return Script { seed: script.seed, events };
        }
    }
}

/// Leaves out halves, then quarters, down to single events.
fn drop_chunks(events: &mut Vec<Event>, fails: impl Fn(&[Event]) -> bool) {
    let mut size = events.len().div_ceil(2);
    while size > 0 {
        let mut at = 0;
        while at < events.len() {
            let mut fewer = events.clone();
            fewer.drain(at..(at + size).min(events.len()));
            if fails(&fewer) { *events = fewer } else { at += size }
        }
        size /= 2;
    }
}

/// Shorter pauses, fewer writes.
fn lower_numbers(events: &mut [Event], fails: impl Fn(&[Event]) -> bool) {
    for at in 0..events.len() {
        while matches!(events[at].what, What::Pause | What::Write | What::Lose) && events[at].number > 1 {
            let mut less = events.to_vec();
            less[at].number /= 2;
            if !fails(&less) {
                break;
            }
            events.copy_from_slice(&less);
        }
    }
}

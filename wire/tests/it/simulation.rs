//! Both machines in a simulated world: pages that write, hide, close, die and are restored; two relays behind
//! a load balancer that restart, drain and forget; a network that delays, stalls, cuts and swallows; requests
//! that come late, twice or never; clocks that are set; on each bus a subscriber that may be overtaken, and a consumer
//! that keeps the books, stands still and dies. Relays settle what the bus has taken or what the consumer has confirmed
//! (`bus::Rules`), each in a third of the worlds.
//!
//! Everything follows from a script, and a script from its seed. Every event draws from a stream of its own,
//! so that a script from which events were left out tells the same story otherwise.
//!
//! ```text
//! ATOMWIRE_SEED=42 cargo test -p atomwire-wire simulation -- --nocapture    tells the story of one world
//! ATOMWIRE_SCRIPT='42; 3 write 1; …' (likewise)                             and of a shortened one
//! ATOMWIRE_SEEDS=1000000 cargo test --release -p atomwire-wire simulation   visits more of them
//! ```

mod books;
mod browser;
mod bus;
mod life;
mod link;
mod readers;
mod relay;
pub(crate) mod rng;
mod script;
mod seeds;
mod shrink;
mod summary;
mod truth;
mod world;

use script::Script;
use std::cell::RefCell;
use std::sync::Once;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::{env, panic, thread};
use summary::Summary;
use world::World;

/// Worlds visited by default: under a minute of a debug build on two cores.
const SEEDS: u64 = 10_000;

thread_local! {
    /// While a world is visited, where and why it broke; else panics are printed as ever.
    static BROKEN: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Lives through `script`; the error is what broke, beginning with the place.
fn visit(script: &Script) -> Result<Summary, String> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let print = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            let visiting = BROKEN.with_borrow_mut(|broken| broken.as_mut().map(|it| *it = info.to_string()));
            if visiting.is_none() {
                print(info);
            }
        }));
    });
    BROKEN.set(Some(String::new()));
    let summary = panic::catch_unwind(|| World::live(script, false));
    let broken = BROKEN.take().unwrap_or_default();
    summary.map_err(|_| broken)
}

/// The file and line at which something broke.
fn place(broken: &str) -> &str {
    broken.lines().next().unwrap_or_default()
}

/// Shortens a script that breaks, and says all that is needed to see it again.
fn report(script: &Script, broken: &str) -> String {
    let same = |script: &Script| visit(script).is_err_and(|again| place(&again) == place(broken));
    let short = shrink::shrink(script, same);
    let why = visit(&short).expect_err("it broke a moment ago");
    let lines: Vec<_> = short.events.iter().map(|event| format!("    {event}")).collect();
    format!(
        "world {seed} breaks: {why}\n\n\
         {count} of its {all} events are enough (stream, what, how much):\n{lines}\n\n\
         ATOMWIRE_SEED={seed} cargo test -p atomwire-wire simulation -- --nocapture\n\
         ATOMWIRE_SCRIPT='{short}' cargo test -p atomwire-wire simulation -- --nocapture\n",
        seed = script.seed,
        lines = lines.join("\n"),
        count = short.events.len(),
        all = script.events.len(),
    )
}

/// What is asked for by name, if anything is.
fn asked() -> Option<Script> {
    let script = env::var("ATOMWIRE_SCRIPT").ok().map(|text| text.parse().unwrap());
    script.or_else(|| number("ATOMWIRE_SEED").map(Script::of))
}

fn number(variable: &str) -> Option<u64> {
    env::var(variable).ok().map(|text| text.parse().unwrap())
}

#[test]
fn every_update_is_accounted_for_in_every_world() {
    if let Some(script) = asked() {
        World::live(&script, true);
        return;
    }
    for (script, about) in seeds::KNOWN {
        let script: Script = script.parse().unwrap();
        if let Err(broken) = visit(&script) {
            panic!("{about}\n{}", report(&script, &broken));
        }
    }
    let (seeds, next, broken) =
        (number("ATOMWIRE_SEEDS").unwrap_or(SEEDS), AtomicU64::new(0), AtomicBool::new(false));
    let work = || {
        let mut seen = Summary::default();
        while let seed @ 0.. = next.fetch_add(1, Ordering::Relaxed)
            && seed < seeds
            && !broken.load(Ordering::Relaxed)
        {
            let script = Script::of(seed);
            match visit(&script) {
                Ok(summary) => seen += summary,
                Err(why) => {
                    // One is enough to look at.
                    broken.store(true, Ordering::Relaxed);
                    return Err((script, why));
                }
            }
        }
        Ok(seen)
    };
    let mut seen = Summary::default();
    let found: Vec<_> = thread::scope(|scope| {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let workers: Vec<_> = (0..cores).map(|_| scope.spawn(work)).collect();
        workers.into_iter().map(|worker| worker.join().unwrap()).collect()
    });
    for part in found {
        match part {
            Ok(summary) => seen += summary,
            Err((script, why)) => panic!("{}", report(&script, &why)),
        }
    }
    seen.assert_everything_happened();
}

#[test]
fn a_world_follows_from_its_script() {
    for seed in 0..10 {
        let script = Script::of(seed);
        assert_eq!(visit(&script), visit(&script));
        assert_eq!(script.to_string().parse(), Ok(script));
    }
}

#[test]
fn a_script_that_breaks_is_shortened() {
    use script::What::{Cut, Pause, Write};
    let script = (0..100).map(Script::of).find(|script| script.events.len() > 150).unwrap();
    // As if a cut after at least ten writes broke something.
    let breaks = |script: &Script| {
        let cut = script.events.iter().position(|event| event.what == Cut);
        let writes = script.events.iter().take(cut.unwrap_or(0)).filter(|event| event.what == Write);
        writes.map(|event| event.number).sum::<u64>() >= 10
    };
    assert!(breaks(&script));
    let short = shrink::shrink(&script, breaks);
    assert!(breaks(&short) && short.events.iter().all(|event| event.what != Pause), "{short}");
    assert!(short.events.len() <= 11, "{short}");
}

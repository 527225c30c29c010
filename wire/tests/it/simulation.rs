//! Both machines in a simulated world: one browser, one relay, a network between them that delays, cuts
//! and swallows, a bus that drops, a relay that restarts and forgets. Everything follows from one seed.
//!
//! ```text
//! ATOMWIRE_SEED=42 cargo test -p atomwire-wire simulation -- --nocapture    tells the story of one world
//! ATOMWIRE_SEEDS=1000000 cargo test --release -p atomwire-wire simulation   visits more of them
//! ```

mod account;
mod rng;
mod world;

use account::Summary;
use std::{env, thread};
use world::World;

/// Worlds visited by default: a few seconds of a debug build.
const SEEDS: u64 = 2_000;

/// Says which world failed.
struct Seed(u64);

impl Drop for Seed {
    #[expect(clippy::print_stderr, reason = "the one thing that a failing simulation must tell")]
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("this was world {0}: replay it with ATOMWIRE_SEED={0} and -- --nocapture", self.0);
        }
    }
}

fn visit(seed: u64) -> World {
    let _seed = Seed(seed);
    let mut world = World::new(seed, env::var_os("ATOMWIRE_SEED").is_some());
    world.live();
    world.rest();
    world
}

fn number(variable: &str) -> Option<u64> {
    env::var(variable).ok().map(|text| text.parse().unwrap())
}

#[test]
fn every_update_is_accounted_for_in_every_world() {
    if let Some(seed) = number("ATOMWIRE_SEED") {
        visit(seed);
        return;
    }
    let mut seen = Summary::default();
    for seed in 0..number("ATOMWIRE_SEEDS").unwrap_or(SEEDS) {
        seen += visit(seed).account.summary;
    }
    seen.assert_everything_happened();
}

#[test]
fn a_world_follows_from_its_seed() {
    for seed in 0..10 {
        assert_eq!(visit(seed).account.summary, visit(seed).account.summary);
    }
}

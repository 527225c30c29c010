//! How often what happened: a simulation in which nothing goes wrong proves nothing.

use std::collections::BTreeMap;
use std::ops::AddAssign;

/// What must have happened in some world.
const EVERYTHING: [&str; 42] = [
    "acknowledged",
    "refused",
    "too large for this relay",
    "too large",
    "queue full",
    "oldest dropped",
    "duplicates",
    "repeats",
    "missed for good",
    "consumers overtaken",
    "subscribers overtaken",
    "consumers halted",
    "consumers killed",
    "withheld credit",
    "left in the link",
    "settled after its connection",
    "drains with somebody behind",
    "crashes before a confirmation",
    "connections",
    "refused connections",
    "pings",
    "cuts",
    "silences",
    "stalls",
    "switches",
    "crashes",
    "drains",
    "forgotten",
    "replaced",
    "borrowed",
    "requests",
    "late requests",
    "repeated requests",
    "requests that never came",
    "requests beyond the limits",
    "left for good",
    "noted",
    "restored",
    "kept frames missing",
    "kept frames twice",
    "known beyond what was kept",
    "starts",
];

#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Summary(BTreeMap<&'static str, u64>);

impl Summary {
    pub(super) fn add(&mut self, what: &'static str, count: u64) {
        debug_assert!(EVERYTHING.contains(&what), "{what}");
        *self.0.entry(what).or_default() += count;
    }

    pub(super) fn assert_everything_happened(&self) {
        for what in EVERYTHING {
            assert!(self.0.get(what).is_some_and(|count| *count > 0), "no world had any {what}");
        }
    }
}

impl AddAssign for Summary {
    fn add_assign(&mut self, other: Self) {
        for (what, count) in other.0 {
            self.add(what, count);
        }
    }
}

//! What a session's losses may take of the ledger topic: told at once while they are few, merged and told later
//! when they are many, so that no session pushes what others say out of the window.

use crate::losses::Losses;
use std::time::Duration;
use tokio::time::Instant;

/// What one range costs a session in time: 64 a second, some 3 KB on the ledger topic.
const COST: Duration = Duration::from_micros(15_625);

/// What a session may have told ahead of that: 256 ranges, which is what one batch can bring.
const BURST: Duration = Duration::from_secs(4);

/// Ranges in one message of the ledger topic (`wire/PROTOCOL.md`, section 13).
const RANGES: usize = 1024;

/// The losses of one session that the bus was not told of yet. They hold up its acknowledgements, and so its
/// credit: with what lies between them, there are never more than twice the credit of them.
#[derive(Debug)]
pub(super) struct Reports {
    /// Each ascending.
    untold: [Losses; 2],
    paid_until: Instant,
}

impl Reports {
    /// Those of a session that has paid for what it told until `paid_until`.
    pub(super) fn new(paid_until: Instant) -> Self {
        let none = |place| Losses { place, ranges: Vec::new() };
        Self { untold: [none("browser"), none("relay")], paid_until }
    }

    /// Takes `losses`, which come after all others of their place. Adjacent ranges of one reason become one;
    /// while the session tells more than it may, adjacent ranges of any do, under the reason of the first.
    pub(super) fn add(&mut self, losses: Losses, now: Instant) {
        let merge_all = self.due() > now;
        let Some(untold) = self.untold.iter_mut().find(|it| it.place == losses.place) else { return };
        for range in losses.ranges {
            match untold.ranges.last_mut() {
                Some(last) if last.last + 1 == range.first && (merge_all || last.reason == range.reason) => {
                    last.last = range.last;
                }
                _ => untold.ranges.push(range),
            }
        }
    }

    /// The lowest number that was not told yet.
    pub(super) fn first(&self) -> Option<u64> {
        self.untold.iter().filter_map(|it| it.ranges.first()).map(|range| range.first).min()
    }

    /// From when on the rest may be told.
    pub(super) fn due(&self) -> Instant {
        self.paid_until.checked_sub(BURST).unwrap_or(self.paid_until)
    }

    /// Until when this session has paid.
    pub(super) fn paid_until(&self) -> Instant {
        self.paid_until
    }

    /// Everything untold, in messages of at most 1,024 ranges.
    pub(super) fn take(&mut self, now: Instant) -> Vec<Losses> {
        let mut told = Vec::new();
        for Losses { place, ranges } in &mut self.untold {
            self.paid_until = self.paid_until.max(now) + COST * ranges.len() as u32;
            while !ranges.is_empty() {
                let ranges = ranges.drain(..ranges.len().min(RANGES)).collect();
                told.push(Losses { place, ranges });
            }
        }
        told
    }
}

#[cfg(test)]
mod tests {
    use super::Reports;
    use crate::losses::{Losses, Range};
    use proptest::collection::vec;
    use proptest::prelude::*;
    use std::time::Duration;
    use tokio::time::Instant;

    fn lost(ranges: Vec<Range>) -> Losses {
        Losses { place: "browser", ranges }
    }

    fn one(number: u64, reason: &'static str) -> Losses {
        lost(vec![Range { first: number, last: number, reason }])
    }

    fn told(reports: &mut Reports, now: Instant) -> Vec<(u64, u64, &'static str)> {
        let ranges = reports.take(now).into_iter().flat_map(|it| it.ranges);
        ranges.map(|it| (it.first, it.last, it.reason)).collect()
    }

    #[test]
    fn reasons_are_kept_apart_while_there_are_few() {
        let now = Instant::now();
        let mut reports = Reports::new(now);
        for (number, reason) in [(0, "a"), (1, "a"), (2, "b"), (4, "b")] {
            reports.add(one(number, reason), now);
        }
        assert_eq!(reports.first(), Some(0));
        assert_eq!(told(&mut reports, now), [(0, 1, "a"), (2, 2, "b"), (4, 4, "b")]);
        assert_eq!(reports.first(), None);
    }

    #[test]
    fn many_wait_and_are_merged() {
        let now = Instant::now();
        let mut reports = Reports::new(now);
        let many = (0..1100).map(|it| Range { first: 2 * it, last: 2 * it, reason: "a" }).collect();
        reports.add(lost(many), now);
        let messages = reports.take(now);
        assert!(messages.iter().map(|it| it.ranges.len()).eq([1024, 76]));
        assert!(reports.due() > now + Duration::from_secs(10));
        for (number, reason) in [(3000, "a"), (3001, "b"), (3002, "c"), (3004, "c")] {
            reports.add(one(number, reason), now);
        }
        let due = reports.due();
        assert_eq!(told(&mut reports, due), [(3000, 3002, "a"), (3004, 3004, "c")]);
    }

    proptest! {
        #[test]
        fn no_number_is_told_twice_or_never(steps in vec((0..3_u64, 1..5_u64, 0..3_usize, 0..3000_u64), 0..200)) {
            let mut now = Instant::now();
            let mut reports = Reports::new(now);
            let (mut next, mut expected, mut seen) = (0, Vec::new(), Vec::new());
            for (gap, count, reason, wait_ms) in steps {
                let first = next + gap;
                next = first + count;
                expected.extend(first..next);
                let range = Range { first, last: next - 1, reason: ["a", "b", "c"][reason] };
                reports.add(lost(vec![range]), now);
                now += Duration::from_millis(wait_ms);
                if reports.due() <= now {
                    seen.extend(told(&mut reports, now));
                }
            }
            seen.extend(told(&mut reports, now));
            let numbers: Vec<u64> = seen.into_iter().flat_map(|(first, last, _)| first..=last).collect();
            prop_assert_eq!(numbers, expected);
        }
    }
}

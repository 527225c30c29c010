//! What really happened to every update, against which both machines' own accounts are held.

use atomwire_wire::LostReason;
use atomwire_wire::emitter::Stats;
use atomwire_wire::proto;
use atomwire_wire::relay::Accepted;
use std::collections::VecDeque;
use std::ops::AddAssign;

/// How a ledger's dealings with an update ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    OnTheBus,
    Published,
    Refused,
}

/// One update, as somebody sees it who sees everything.
#[derive(Debug, Default)]
struct Fate {
    key: String,
    value: Option<String>,
    /// The emitter gave it up.
    lost: bool,
    /// A relay heard that it is lost.
    reported: bool,
    /// What each ledger that accepted it did with it. A ledger is forgotten when the relay restarts, so
    /// there may be several.
    verdicts: Vec<(usize, Verdict)>,
}

/// How often what happened.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Summary {
    pub(super) acknowledged: u64,
    pub(super) refused: u64,
    pub(super) given_up: u64,
    pub(super) queue_full: u64,
    pub(super) duplicates: u64,
    pub(super) repeats: u64,
    pub(super) bus_drops: u64,
    pub(super) connections: u64,
    pub(super) cuts: u64,
    pub(super) silences: u64,
    pub(super) restarts: u64,
    pub(super) drains: u64,
    pub(super) pings: u64,
}

impl Summary {
    fn counts(&mut self) -> [(&'static str, &mut u64); 13] {
        [
            ("acknowledged", &mut self.acknowledged),
            ("refused", &mut self.refused),
            ("given up", &mut self.given_up),
            ("queue full", &mut self.queue_full),
            ("duplicates", &mut self.duplicates),
            ("repeats", &mut self.repeats),
            ("bus drops", &mut self.bus_drops),
            ("connections", &mut self.connections),
            ("cuts", &mut self.cuts),
            ("silences", &mut self.silences),
            ("restarts", &mut self.restarts),
            ("drains", &mut self.drains),
            ("pings", &mut self.pings),
        ]
    }

    /// A simulation in which nothing goes wrong proves nothing.
    pub(super) fn assert_everything_happened(mut self) {
        for (name, count) in self.counts() {
            assert!(*count > 0, "no world had any {name}");
        }
    }
}

impl AddAssign for Summary {
    fn add_assign(&mut self, mut other: Self) {
        for ((_, sum), (_, count)) in self.counts().into_iter().zip(other.counts()) {
            *sum += *count;
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct Account {
    fates: Vec<Fate>,
    /// The numbers that the emitter must call pending.
    pending: VecDeque<u64>,
    pub(super) summary: Summary,
}

impl Account {
    pub(super) fn created(&self) -> u64 {
        self.fates.len() as u64
    }

    /// An update was made; the emitter's stats say whether it was taken.
    pub(super) fn pushed(&mut self, key: &str, value: Option<&str>, before: Stats, after: Stats) {
        let lost = after.pending == before.pending;
        if !lost {
            self.pending.push_back(self.created());
        }
        self.summary.queue_full +=
            after.lost[LostReason::QueueFull as usize - 1] - before.lost[LostReason::QueueFull as usize - 1];
        let (key, value) = (key.to_owned(), value.map(str::to_owned));
        self.fates.push(Fate { key, value, lost, ..Fate::default() });
        self.balance(after);
    }

    pub(super) fn lost(&mut self, count: u64, after: Stats) {
        self.fates.extend((0..count).map(|_| Fate { lost: true, ..Fate::default() }));
        self.balance(after);
    }

    /// The emitter sent a batch: what it calls lost in there and was pending, it has given up.
    pub(super) fn sent(&mut self, batch: &proto::Batch, after: Stats) {
        for range in &batch.lost {
            for seq in range.first..=range.last {
                if let Ok(at) = self.pending.binary_search(&seq) {
                    assert_eq!(range.reason(), proto::LostReason::TooLarge, "only what no frame can hold");
                    self.pending.remove(at);
                    self.fates[seq as usize].lost = true;
                    self.summary.given_up += 1;
                }
            }
        }
        self.balance(after);
    }

    /// A ledger that had accepted everything below `next` took a batch.
    pub(super) fn accepted(
        &mut self,
        ledger: usize,
        next: u64,
        batch: &proto::Batch,
        accepted: &Accepted,
        value_bytes: usize,
    ) {
        let (fresh, rejected) = (accepted.updates.len() as u64, accepted.rejected.len() as u64);
        let received = batch.updates.len() as u64;
        assert_eq!(received, fresh + rejected + accepted.duplicates, "every update received has one fate");
        let lost: u64 = accepted.lost.iter().map(|range| range.last - range.first + 1).sum();
        assert_eq!(fresh + rejected + lost, accepted.end - next, "the numbers run on without a hole");
        self.summary.duplicates += accepted.duplicates;

        for range in &accepted.lost {
            for seq in range.first..=range.last {
                let fate = &mut self.fates[seq as usize];
                assert!(fate.lost, "update {seq} is reported lost and is not");
                fate.reported = true;
            }
        }
        let mut updates = accepted.updates.iter().peekable();
        for seq in (batch.first_seq..batch.first_seq + received).filter(|seq| *seq >= next) {
            let fate = &mut self.fates[seq as usize];
            assert!(fate.verdicts.iter().all(|(by, _)| *by != ledger), "update {seq} was accepted twice");
            // What was settled comes again only to a relay that has forgotten it.
            let open = self.pending.binary_search(&seq).is_ok() || fate.lost;
            assert!(open || !fate.verdicts.is_empty(), "update {seq} was settled without a relay");
            self.summary.repeats += u64::from(!fate.verdicts.is_empty());
            let update = updates.next_if(|update| update.seq == seq);
            let value = fate.value.as_deref();
            let good = value.is_none_or(|value| value.len() <= value_bytes && !value.contains("no JSON"));
            assert_eq!(update.is_some(), good, "update {seq} is judged by what is in it");
            if let Some(update) = update {
                assert_eq!((&*update.key, update.value.as_deref()), (&*fate.key, value.map(str::as_bytes)));
            }
            fate.verdicts.push((ledger, if good { Verdict::OnTheBus } else { Verdict::Refused }));
        }
        assert!(updates.next().is_none(), "updates come in the order of their numbers");
    }

    /// The bus took or dropped an update.
    pub(super) fn settled(&mut self, ledger: usize, seq: u64, verdict: Verdict) {
        let of_ledger = self.fates[seq as usize].verdicts.iter_mut().find(|(by, _)| *by == ledger);
        of_ledger.expect("accepted before it was published").1 = verdict;
        self.summary.bus_drops += u64::from(verdict == Verdict::Refused);
    }

    /// The emitter heard from `ledger`.
    pub(super) fn heard(&mut self, ledger: usize, before: Stats, after: Stats) {
        let rejected = |stats: Stats| stats.lost[LostReason::Rejected as usize - 1];
        let (acknowledged, refused) =
            (after.acknowledged - before.acknowledged, rejected(after) - rejected(before));
        let mut truth = (0, 0);
        for seq in self.pending.drain(..(acknowledged + refused) as usize) {
            match self.fates[seq as usize].verdicts.iter().find(|(by, _)| *by == ledger) {
                Some((_, Verdict::Published)) => truth.0 += 1,
                Some((_, Verdict::Refused)) => truth.1 += 1,
                other => panic!("update {seq} was settled while it was {other:?}"),
            }
        }
        assert_eq!((acknowledged, refused), truth, "acknowledged is published, rejected is refused");
        self.summary.acknowledged += acknowledged;
        self.summary.refused += refused;
        self.balance(after);
    }

    /// The invariant of the emitter's account, at every step.
    fn balance(&self, stats: Stats) {
        assert_eq!(stats.created, self.created());
        assert_eq!(stats.pending, self.pending.len() as u64);
        let lost: u64 = stats.lost.iter().sum();
        assert_eq!(stats.created, stats.acknowledged + lost + stats.pending, "{stats:?}");
    }

    /// With a healthy link nothing stays open.
    pub(super) fn close(&self) {
        assert!(self.pending.is_empty(), "{:?}", self.pending);
        for (seq, fate) in self.fates.iter().enumerate() {
            if fate.lost {
                assert!(fate.reported, "update {seq} is lost and no relay heard of it");
            } else {
                let settled = fate.verdicts.iter().filter(|(_, verdict)| *verdict != Verdict::OnTheBus);
                assert!(settled.count() > 0, "update {seq} was never settled: {fate:?}");
            }
        }
    }
}

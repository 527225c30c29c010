//! What really happened to every update of one session, against which both machines' own accounts and the
//! consumer's books are held; and an emitter's queue as its documentation has it, which says what its account
//! must be.

use super::books::Place;
use super::summary::Summary;
use atomwire_wire::emitter::{Config, Stats, WhenFull};
use atomwire_wire::relay::Accepted;
use atomwire_wire::{LostReason, limits, proto};
use std::collections::{BTreeSet, VecDeque};

/// How a ledger's dealings with an update ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Published,
    Refused,
}

/// One update, as somebody sees it who sees everything.
#[derive(Debug, Default)]
pub(super) struct Fate {
    key: String,
    value: Option<String>,
    /// Bytes that it takes in the queue.
    len: usize,
    /// The emitter gave it up.
    lost: Option<LostReason>,
    /// It was in a frame, and may have arrived.
    sent: bool,
    /// An emitter heard that it is settled, or may have reported it lost.
    settled: bool,
    /// An earlier page gave it up, and may have said so: it stays settled, whatever becomes of its row.
    given_up: bool,
    /// What each ledger that accepted it did with it. Ledgers are forgotten, so there may be several.
    verdicts: Vec<(u64, Verdict)>,
    missed: Missed,
}

/// Whether what a relay had to say of an update was missed: the relay ended before, or the bus overtook the consumer.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Missed {
    #[default]
    No,
    /// It was not settled, and comes again while there is somebody to send it.
    Open,
    /// It was settled.
    Settled,
}

#[derive(Debug)]
pub(super) struct Truth {
    config: Config,
    fates: Vec<Fate>,
    /// The numbers that the emitter must call pending.
    pending: VecDeque<u64>,
    /// What its account must be.
    stats: Stats,
    /// Everything below was sent by this emitter.
    ever_sent: u64,
    /// The largest value that the relay last heard of takes.
    pub(super) value_bytes: usize,
    /// An earlier page's, sent by a later one.
    pub(super) restored: bool,
    /// The number after the last that was kept for it.
    pub(super) kept: u64,
    /// The page went without a word, or its last word may not have arrived.
    pub(super) gone: bool,
    /// The message that this session is over was missed.
    pub(super) end_missed: bool,
}

/// An update as the app makes it.
pub(super) struct Made<'a> {
    pub(super) key: &'a str,
    pub(super) value: Option<&'a str>,
    /// As the protocol has it: its size decides whether there is room.
    pub(super) encoded: &'a proto::Update,
}

impl Fate {
    /// Its page is gone, and another speaks for it.
    fn give_up(&mut self) {
        self.given_up |= self.lost.is_some();
        self.settled |= self.given_up;
    }
}

impl Truth {
    pub(super) fn new(config: &Config) -> Self {
        Self {
            config: config.clone(),
            fates: Vec::new(),
            pending: VecDeque::new(),
            stats: Stats::default(),
            ever_sent: 0,
            value_bytes: limits::VALUE_BYTES,
            restored: false,
            kept: 0,
            gone: false,
            end_missed: false,
        }
    }

    pub(super) fn created(&self) -> u64 {
        self.fates.len() as u64
    }

    pub(super) fn fate(&self, seq: u64) -> &Fate {
        &self.fates[seq as usize]
    }

    // The emitter.

    /// An update was made: it is pending, or something is lost.
    pub(super) fn pushed(&mut self, made: &Made<'_>, summary: &mut Summary) {
        let seq = self.created();
        let len = proto::Batch { updates: vec![made.encoded.clone()], ..Default::default() };
        let len = prost::Message::encoded_len(&len);
        let (key, value) = (made.key.to_owned(), made.value.map(str::to_owned));
        self.fates.push(Fate { key, value, len, ..Fate::default() });
        self.stats.created += 1;
        if made.value.is_some_and(|value| value.len() > self.value_bytes) {
            summary.add("too large", 1);
            return self.count_lost(seq, LostReason::TooLarge);
        }
        let first_unsent = match self.config.when_full {
            WhenFull::DropNewest => self.pending.len(),
            WhenFull::DropOldest => self.pending.partition_point(|seq| *seq < self.ever_sent),
        };
        let bytes =
            |of: &Self, to: usize| -> usize { of.pending.iter().take(to).map(|seq| of.fate(*seq).len).sum() };
        let fits = |of: &Self, to: usize| {
            to < of.config.queue_updates && bytes(of, to) + len <= of.config.queue_bytes
        };
        if !fits(self, first_unsent) {
            summary.add("queue full", 1);
            return self.count_lost(seq, LostReason::QueueFull);
        }
        while !fits(self, self.pending.len()) {
            let oldest = self.pending.remove(first_unsent).unwrap();
            self.stats.pending -= 1;
            summary.add("oldest dropped", 1);
            self.count_lost(oldest, LostReason::QueueFull);
        }
        self.stats.pending += 1;
        self.pending.push_back(seq);
    }

    pub(super) fn lost(&mut self, count: u64, reason: LostReason) {
        for _ in 0..count {
            self.fates.push(Fate::default());
            self.stats.created += 1;
            self.count_lost(self.created() - 1, reason);
        }
    }

    fn count_lost(&mut self, seq: u64, reason: LostReason) {
        self.fates[seq as usize].lost = Some(reason);
        self.stats.lost[reason as usize - 1] += 1;
    }

    /// The emitter made a batch: what it calls lost in there and was pending, it has given up.
    pub(super) fn sent(&mut self, batch: &proto::Batch, frame_bytes: usize, summary: &mut Summary) {
        for range in &batch.lost {
            for seq in range.first..=range.last {
                if let Ok(at) = self.pending.binary_search(&seq) {
                    // The reason may be another, when a full list had it join its neighbours.
                    assert!(self.fate(seq).len > frame_bytes / 2, "update {seq} fits into a frame");
                    self.pending.remove(at);
                    self.stats.pending -= 1;
                    self.count_lost(seq, LostReason::TooLarge);
                    summary.add("too large for this relay", 1);
                }
                self.ever_sent = self.ever_sent.max(seq + 1);
            }
        }
        for seq in (batch.first_seq..).take(batch.updates.len()) {
            assert!(self.pending.binary_search(&seq).is_ok(), "update {seq} is sent and was not pending");
            self.fates[seq as usize].sent = true;
            self.ever_sent = self.ever_sent.max(seq + 1);
        }
    }

    /// A last request was made, which ended at `end`: what came next, and no frame of `frame_bytes` holds, may have
    /// been given up, though no range of it was told. With `for_good` the rest is lost.
    pub(super) fn left(&mut self, end: u64, frame_bytes: usize, for_good: bool, stats: Stats) {
        let too_large = LostReason::TooLarge as usize - 1;
        let next = self.pending.partition_point(|seq| *seq < end);
        while self.stats.lost[too_large] < stats.lost[too_large] {
            let seq = self.pending.remove(next).expect("what is given up was pending");
            assert!(self.fate(seq).len > frame_bytes / 2, "update {seq} fits into a frame");
            self.stats.pending -= 1;
            self.count_lost(seq, LostReason::TooLarge);
        }
        if for_good {
            for seq in self.pending.split_off(next) {
                self.stats.pending -= 1;
                self.count_lost(seq, LostReason::PageClosed);
            }
        }
    }

    /// The emitter heard from the ledger `ledger`, whose next number is `next_seq`.
    pub(super) fn heard(
        &mut self,
        ledger: u64,
        next_seq: u64,
        rejected: &[proto::Rejected],
        summary: &mut Summary,
    ) {
        while self.pending.front().is_some_and(|seq| *seq < next_seq) {
            let seq = self.pending.pop_front().unwrap();
            self.stats.pending -= 1;
            let fate = &mut self.fates[seq as usize];
            let named = rejected.iter().any(|range| (range.first..=range.last).contains(&seq));
            match fate.verdicts.iter().find(|(by, _)| *by == ledger) {
                Some((_, Verdict::Published)) => {
                    assert!(!named, "update {seq} is refused and published");
                    self.stats.acknowledged += 1;
                    summary.add("acknowledged", 1);
                }
                Some((_, Verdict::Refused)) if named => {
                    self.stats.lost[LostReason::Rejected as usize - 1] += 1;
                    summary.add("refused", 1);
                }
                // An earlier page's doing: it heard so from another ledger, or gave it up.
                None | Some((_, Verdict::Refused)) if fate.settled => self.stats.acknowledged += 1,
                other => panic!("update {seq} was settled while it was {other:?}"),
            }
            fate.settled = true;
        }
        self.ever_sent = self.ever_sent.max(next_seq);
    }

    /// The next page goes on with these frames.
    pub(super) fn restored(&mut self, frames: &[proto::Batch]) {
        self.restored = true;
        self.pending.clear();
        self.stats = Stats::default();
        let mut next = None;
        for (first, last, reason) in frames.iter().flat_map(pieces) {
            let from = *next.get_or_insert(first);
            for seq in from..=last {
                self.stats.created += 1;
                let fate = &mut self.fates[seq as usize];
                // The earlier page may have given up, and reported, what it had written down.
                fate.give_up();
                fate.lost = if seq < first { Some(LostReason::PageClosed) } else { reason };
                if let Some(reason) = fate.lost {
                    self.stats.lost[reason as usize - 1] += 1;
                } else {
                    self.stats.pending += 1;
                    self.pending.push_back(seq);
                }
            }
            next = next.max(Some(last + 1));
        }
        self.ever_sent = 0;
        self.kept = next.unwrap_or(0);
    }

    /// The next page speaks for this session: from `settled` to `end` everything is lost, as far as it knows.
    pub(super) fn noted(&mut self, settled: u64, end: u64, reason: LostReason) {
        self.restored = true;
        self.pending.clear();
        self.stats = Stats { created: end - settled, ..Stats::default() };
        for seq in settled..end {
            self.fates[seq as usize].give_up();
            self.count_lost(seq, reason);
        }
        self.ever_sent = 0;
        self.kept = end;
        // Whoever comes after a page that counted to its end closes its books to the end.
        self.gone = end < self.created();
    }

    /// The emitter's account, at every step.
    pub(super) fn balance(&self, stats: Stats) {
        assert_eq!(stats, self.stats, "the emitter's account is not the truth");
        let lost: u64 = stats.lost.iter().sum();
        assert_eq!(stats.created, stats.acknowledged + lost + stats.pending, "{stats:?}");
    }

    // The relay.

    /// A ledger that had accepted everything below `next` took a batch.
    pub(super) fn accepted(
        &mut self,
        ledger: u64,
        next: u64,
        batch: &proto::Batch,
        accepted: &Accepted,
        value_bytes: usize,
        summary: &mut Summary,
    ) {
        let rejected: BTreeSet<_> = accepted.rejected.iter().flat_map(|it| it.first..=it.last).collect();
        let (received, fresh) = (batch.updates.len() as u64, accepted.updates.len() + rejected.len());
        assert_eq!(received, fresh as u64 + accepted.duplicates, "every update received has one fate");
        let lost: u64 = accepted.lost.iter().map(|range| range.last - range.first + 1).sum();
        assert_eq!(fresh as u64 + lost, accepted.end - next, "the numbers run on without a hole");
        summary.add("duplicates", accepted.duplicates);

        for range in &accepted.lost {
            for seq in range.first..=range.last {
                let fate = &mut self.fates[seq as usize];
                // An earlier page may have given up more than was written down.
                assert!(fate.lost.is_some() || self.restored, "update {seq} is reported lost and is not");
            }
        }
        let mut updates = accepted.updates.iter().peekable();
        for seq in (batch.first_seq..batch.first_seq + received).filter(|seq| *seq >= next) {
            let fate = &mut self.fates[seq as usize];
            assert!(fate.verdicts.iter().all(|(by, _)| *by != ledger), "update {seq} was accepted twice");
            if let Some(reason @ (LostReason::QueueFull | LostReason::TooLarge)) = fate.lost {
                // A relay with larger frames may have had it before, or have it in a request under way.
                let sent = reason == LostReason::TooLarge && fate.sent;
                assert!(sent || self.restored, "update {seq} is lost as {} and published", reason.name());
            }
            summary.add("repeats", u64::from(!fate.verdicts.is_empty()));
            let update = updates.next_if(|update| update.seq == seq);
            let value = fate.value.as_deref();
            let good = value.is_none_or(|value| value.len() <= value_bytes && !value.contains("no JSON"));
            assert_eq!(update.is_some(), good, "update {seq} is judged by what is in it");
            assert_eq!(rejected.contains(&seq), !good, "update {seq} is named");
            if let Some(update) = update {
                assert_eq!((&*update.key, update.value.as_deref()), (&*fate.key, value.map(str::as_bytes)));
            }
            fate.verdicts.push((ledger, if good { Verdict::Published } else { Verdict::Refused }));
        }
        assert!(updates.next().is_none(), "updates come in the order of their numbers");
    }

    /// Whether the ledger has published `seq`, and nobody else has a loss to tell of it.
    pub(super) fn is_published_only(&self, ledger: Option<u64>, seq: u64) -> bool {
        let fate = self.fate(seq);
        fate.lost.is_none()
            && !fate.given_up
            && fate.verdicts.iter().any(|(by, _)| Some(*by) == ledger)
            && fate.verdicts.iter().all(|(_, verdict)| *verdict == Verdict::Published)
    }

    /// Nobody heard what a relay had to say of these numbers.
    pub(super) fn missed(&mut self, first: u64, last: u64, how: Missed) {
        for fate in &mut self.fates[first as usize..=last as usize] {
            fate.missed = fate.missed.max(how);
        }
    }

    // The books.

    /// Whether only a message that was missed tells of `seq`.
    pub(super) fn is_missed(&self, seq: u64) -> bool {
        match self.fate(seq).missed {
            Missed::No => false,
            Missed::Open => self.gone || self.end_missed,
            Missed::Settled => true,
        }
    }

    pub(super) fn check_row(&self, seq: u64, row: &(String, Option<String>)) {
        let fate = self.fate(seq);
        assert_eq!((&row.0, &row.1), (&fate.key, &fate.value), "the row of update {seq}");
        assert!(
            fate.verdicts.iter().any(|(_, verdict)| *verdict == Verdict::Published),
            "row {seq}: {fate:?}"
        );
    }

    pub(super) fn check_loss(&self, seq: u64, place: Place) {
        let fate = self.fate(seq);
        let refused = fate.verdicts.iter().any(|(_, verdict)| *verdict == Verdict::Refused);
        let true_ = match place {
            Place::Relay => refused,
            Place::Browser => fate.lost.is_some() || self.restored,
        };
        assert!(true_, "update {seq} is in the books as lost by the {place:?}: {fate:?}");
        // Acknowledged is what the bus took, so that a row, or what was missed, tells of it.
        let published = fate.verdicts.iter().any(|(_, verdict)| *verdict == Verdict::Published);
        assert!(
            !published || fate.missed == Missed::Settled || fate.lost.is_some() || self.restored || refused,
            "{seq}: {fate:?}"
        );
    }
}

/// A batch's runs of numbers, ascending: updates, or lost for a reason.
fn pieces(batch: &proto::Batch) -> Vec<(u64, u64, Option<LostReason>)> {
    let reason = |range: &proto::LostRange| LostReason::ALL.into_iter().find(|it| *it as i32 == range.reason);
    let lost = batch.lost.iter().map(|range| (range.first, range.last, reason(range)));
    let updates = (batch.first_seq..).take(batch.updates.len()).map(|seq| (seq, seq, None));
    let mut pieces: Vec<_> = lost.chain(updates).collect();
    pieces.sort_unstable_by_key(|(first, ..)| *first);
    pieces
}

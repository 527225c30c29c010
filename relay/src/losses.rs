//! Updates that will never be on the bus: as the ledger topic, the metrics and the trace tell of them.

use atomwire_wire::LostRange;
use atomwire_wire::proto::RejectReason;
use atomwire_wire::relay::RejectedRange;

/// What one place lost.
#[derive(Debug)]
pub(crate) struct Losses {
    /// `browser`, which gave them up, or `relay`, which refused them.
    pub(crate) place: &'static str,
    /// Ascending.
    pub(crate) ranges: Vec<Range>,
}

/// Updates `first` to `last`, both included.
#[derive(Debug)]
pub(crate) struct Range {
    pub(crate) first: u64,
    pub(crate) last: u64,
    pub(crate) reason: &'static str,
}

impl Losses {
    /// What a browser says that it lost.
    pub(crate) fn of_browser(ranges: &[LostRange]) -> Self {
        let range = |it: &LostRange| Range { first: it.first, last: it.last, reason: it.reason.name() };
        Self { place: "browser", ranges: ranges.iter().map(range).collect() }
    }

    /// What the relay refused.
    pub(crate) fn of_relay(ranges: &[RejectedRange]) -> Self {
        let range = |it: &RejectedRange| Range { first: it.first, last: it.last, reason: name(it.reason) };
        Self { place: "relay", ranges: ranges.iter().map(range).collect() }
    }
}

impl Range {
    /// How many updates it holds.
    pub(crate) fn updates(&self) -> u64 {
        self.last - self.first + 1
    }
}

fn name(reason: RejectReason) -> &'static str {
    match reason {
        RejectReason::Unspecified => "unspecified",
        RejectReason::InvalidJson => "invalid_json",
        RejectReason::TooLarge => "too_large",
        RejectReason::InvalidKey => "invalid_key",
        RejectReason::InvalidContext => "invalid_context",
    }
}

//! Traces are sampled once, here, and by their id alone, so that every span of a trace meets the same
//! fate without a word from the browser.

use crate::config::Sampler;
use opentelemetry::trace::TraceFlags;

/// The threshold of OpenTelemetry's consistent probability sampling: the least significant 56 bits of
/// the trace id are the trace's random value, sampled when at or above the rejection threshold.
/// (<https://opentelemetry.io/docs/specs/otel/trace/tracestate-probability-sampling/>)
const RANGE: f64 = (1_u64 << 56) as f64;

pub(super) fn sample(sampler: &Sampler, trace_id: [u8; 16], parent: Option<TraceFlags>) -> bool {
    if let Some(flags) = parent.filter(|_| sampler.parent_based) {
        return flags.is_sampled();
    }
    let value = u128::from_be_bytes(trace_id) as u64 & ((1 << 56) - 1);
    value as f64 >= (1.0 - sampler.ratio) * RANGE
}

#[cfg(test)]
mod tests {
    use super::sample;
    use crate::config::Sampler;
    use opentelemetry::trace::TraceFlags;

    #[test]
    fn an_explicit_parent_decides() {
        let sampler = Sampler { parent_based: true, ratio: 0.0 };
        assert!(sample(&sampler, [1; 16], Some(TraceFlags::SAMPLED)));
        assert!(!sample(&Sampler { ratio: 1.0, ..sampler }, [1; 16], Some(TraceFlags::default())));
    }

    #[test]
    fn the_ratio_is_the_share_of_the_trace_ids() {
        let sampler = Sampler { parent_based: true, ratio: 0.25 };
        let ids = (0..=255_u8).map(|byte| [byte; 16]);
        assert_eq!(ids.filter(|id| sample(&sampler, *id, None)).count(), 64);
    }
}

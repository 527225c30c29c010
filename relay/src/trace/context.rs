//! W3C trace context as text (<https://www.w3.org/TR/trace-context-2/>), on OpenTelemetry's types.
//!
//! OpenTelemetry's own propagator clears the random flag (0x02) on its way in and out, which level 2 of
//! the recommendation wants kept; so the 55 characters are read and written here.

use opentelemetry::trace::{SpanId, TraceFlags, TraceId, TraceState};
use std::fmt::Write as _;

/// The random flag of level 2: the trace id's last seven bytes are random.
pub(crate) const RANDOM: TraceFlags = TraceFlags::new(0x02);

/// The length of version 00.
const LENGTH: usize = 55;

/// A parent in another process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TraceParent {
    pub(crate) trace_id: TraceId,
    pub(crate) span_id: SpanId,
    pub(crate) flags: TraceFlags,
}

/// Reads a `traceparent`; none when it is malformed, which restarts the trace (section 4.3).
pub(crate) fn parse(text: &str) -> Option<TraceParent> {
    let bytes = text.as_bytes();
    let head = bytes.get(..LENGTH)?;
    let version = hex::<1>(&head[..2])?;
    // Version 00 ends here; a later one may go on after a dash.
    let ends =
        if version == [0] { bytes.len() == LENGTH } else { matches!(bytes.get(LENGTH), None | Some(b'-')) };
    let dashes = [2, 35, 52].into_iter().all(|at| head[at] == b'-');
    if version == [0xff] || !ends || !dashes {
        return None;
    }
    let trace_id = TraceId::from_bytes(hex(&head[3..35])?);
    let span_id = SpanId::from_bytes(hex(&head[36..52])?);
    // Only the two flags that are defined are passed on (section 4.2.3.3).
    let flags = TraceFlags::new(hex::<1>(&head[53..])?[0] & 0x03);
    let valid = trace_id != TraceId::INVALID && span_id != SpanId::INVALID;
    valid.then_some(TraceParent { trace_id, span_id, flags })
}

/// Reads a `tracestate`; a malformed one is dropped (section 4.3).
pub(crate) fn parse_state(text: &str) -> String {
    text.parse::<TraceState>().map(|state| state.header()).unwrap_or_default()
}

/// Appends a `traceparent` of version 00.
pub(crate) fn write(into: &mut String, trace_id: [u8; 16], span_id: [u8; 8], flags: TraceFlags) {
    let (trace_id, span_id) = (u128::from_be_bytes(trace_id), u64::from_be_bytes(span_id));
    // Writing into a String cannot fail.
    let _ = write!(into, "00-{trace_id:032x}-{span_id:016x}-{:02x}", flags.to_u8());
}

/// Lower-case hexadecimal only, as section 3.2 has it.
fn hex<const N: usize>(text: &[u8]) -> Option<[u8; N]> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::{parse, parse_state, write};
    use proptest::prelude::*;

    const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

    #[test]
    fn what_is_valid_is_read() {
        for (flags, kept) in [("00", 0), ("01", 1), ("02", 2), ("03", 3), ("ff", 3)] {
            let parent = parse(&format!("00-{TRACE}-b7ad6b7169203331-{flags}")).expect("valid");
            assert_eq!(parent.flags.to_u8(), kept);
            assert_eq!(parent.trace_id.to_string(), TRACE);
        }
        assert!(parse(&format!("cc-{TRACE}-b7ad6b7169203331-01-what-the-future-brings")).is_some());
    }

    #[test]
    fn what_is_malformed_is_not() {
        let zeros = "0".repeat(32);
        for text in [
            String::new(),
            format!("00-{TRACE}-b7ad6b7169203331"),
            format!("00-{TRACE}-b7ad6b7169203331-01-more"),
            format!("cc-{TRACE}-b7ad6b7169203331-01.more"),
            format!("ff-{TRACE}-b7ad6b7169203331-01"),
            format!("00-{zeros}-b7ad6b7169203331-01"),
            format!("00-{TRACE}-0000000000000000-01"),
            format!("00-{}-b7ad6b7169203331-01", TRACE.to_uppercase()),
            format!("00_{TRACE}-b7ad6b7169203331-01"),
        ] {
            assert_eq!(parse(&text), None, "{text}");
        }
    }

    #[test]
    fn a_malformed_tracestate_is_dropped() {
        assert_eq!(parse_state("rojo=1,congo=2"), "rojo=1,congo=2");
        assert_eq!(parse_state("no pairs here"), "");
    }

    proptest! {
        #[test]
        fn anything_may_come(text in ".{0,80}") {
            if let Some(parent) = parse(&text) {
                let mut written = String::new();
                write(&mut written, parent.trace_id.to_bytes(), parent.span_id.to_bytes(), parent.flags);
                prop_assert_eq!(parse(&written), Some(parent));
            }
        }
    }
}

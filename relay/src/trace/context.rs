//! W3C trace context as text (<https://www.w3.org/TR/trace-context-2/>), on OpenTelemetry's types.
//!
//! OpenTelemetry's own propagator clears the random flag (0x02) on its way in and out, which level 2 of
//! the recommendation wants kept; so the 55 characters are read and written here.

use crate::payload::push_hex;
use atomwire_wire::limits;
use opentelemetry::trace::{SpanId, TraceFlags, TraceId};
use std::collections::HashSet;

/// The random flag of level 2: the trace id's last seven bytes are random.
pub(crate) const RANDOM: TraceFlags = TraceFlags::new(0x02);

/// The length of version 00.
const LENGTH: usize = 55;

/// Members of a `tracestate` (section 3.3.1.1).
const STATE_MEMBERS: usize = 32;

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

/// Reads a `tracestate`, without its spaces and empty members; one that is malformed, or longer than what
/// section 3.3.1.5 asks for, is dropped as a whole (section 4.3). OpenTelemetry's own reader takes any character
/// into a value, and cuts what is too many.
pub(crate) fn parse_state(text: &str) -> String {
    if text.len() > limits::TRACESTATE_BYTES {
        return String::new();
    }
    let members = text.split(',').map(|member| member.trim_matches([' ', '\t']));
    let members: Vec<_> = members.filter(|member| !member.is_empty()).collect();
    let keys: HashSet<_> = members.iter().filter_map(|member| state_key(member)).collect();
    let valid = keys.len() == members.len() && members.len() <= STATE_MEMBERS;
    if valid { members.join(",") } else { String::new() }
}

/// The key of a valid member of a `tracestate` (section 3.3.1.3).
fn state_key(member: &str) -> Option<&str> {
    let (key, value) = member.split_once('=')?;
    let letter = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9');
    let key_byte = |byte: u8| letter(byte) || matches!(byte, b'_' | b'-' | b'*' | b'/' | b'@');
    let value_byte = |byte: u8| matches!(byte, b' '..=b'~') && !matches!(byte, b',' | b'=');
    let fits = |text: &str| (1..=256).contains(&text.len());
    let valid = fits(key)
        && fits(value)
        && key.bytes().next().is_some_and(letter)
        && key.bytes().all(key_byte)
        && value.bytes().all(value_byte);
    valid.then_some(key)
}

/// Appends a `traceparent` of version 00.
pub(crate) fn write(into: &mut String, trace_id: [u8; 16], span_id: [u8; 8], flags: TraceFlags) {
    into.push_str("00-");
    push_hex(into, &trace_id);
    into.push('-');
    push_hex(into, &span_id);
    into.push('-');
    push_hex(into, &[flags.to_u8()]);
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
    fn a_tracestate_is_read_to_the_letter() {
        let members = |count: usize| (0..count).map(|it| format!("k{it}=v")).collect::<Vec<_>>().join(",");
        let long = |key: usize, value: usize| format!("{}={}", "k".repeat(key), "v".repeat(value));
        for valid in ["rojo=1,congo=2", "0a_-*/@z=~!", "fw529a3039@dt=FfB", "k= a b", &members(32)] {
            assert_eq!(parse_state(valid), valid);
        }
        assert_eq!(parse_state(&long(256, 255)), long(256, 255));
        assert_eq!(parse_state(&long(255, 256)), long(255, 256));
        assert_eq!(parse_state(" a=1\t,,\t, b=2 ,"), "a=1,b=2");
        for empty in ["", " ", ",", "\t,"] {
            assert_eq!(parse_state(empty), "");
        }
        for malformed in [
            "no pairs here",
            "a",
            "=1",
            "a=",
            "a=1,b",
            "a=1=2",
            "A=1",
            "_a=1",
            "@a=1",
            "a b=1",
            "a =1",
            "a=1,b=2,a=3",
            "a=1\r\nb: 2",
            "a=1\u{0}",
            "a=1\t2",
            "a=\u{7f}",
            "a=ü",
            "ü=1",
            &members(33),
            &long(257, 1),
            &long(1, 257),
            &format!("{},b={}", long(1, 255), "v".repeat(253)),
        ] {
            assert_eq!(parse_state(malformed), "", "{malformed}");
        }
    }

    proptest! {
        #[test]
        fn what_is_read_is_read_again(text in "([a-z0-9@]{1,2}=?[ -~]?,?[ \t]?|.){0,40}") {
            let read = parse_state(&text);
            prop_assert!(read.len() <= text.len());
            prop_assert_eq!(parse_state(&read), read);
        }

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

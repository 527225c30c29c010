//! Lowercase hexadecimal, both ways, and the one W3C text that carries a parent.

use atomwire_wire::ParentContext;

const DIGITS: &[u8; 16] = b"0123456789abcdef";

pub(crate) fn encode(bytes: &[u8]) -> String {
    bytes
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .map(|digit| char::from(DIGITS[digit as usize]))
        .collect()
}

/// Reads `00-<trace id>-<span id>-<flags>`; none for anything that W3C Trace Context forbids.
pub(crate) fn traceparent(text: &str) -> Option<ParentContext> {
    let mut parts = text.split('-');
    let [Some("00"), Some(trace), Some(span), Some(flags), None] = std::array::from_fn(|_| parts.next())
    else {
        return None;
    };
    let (trace_id, span_id, [flags]) = (decode(trace)?, decode(span)?, decode(flags)?);
    let valid = trace_id != [0; 16] && span_id != [0; 8];
    valid.then(|| ParentContext { trace_id, span_id, flags, local: false, tracestate: String::new() })
}

fn decode<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    if text.len() != 2 * N {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(bytes)
}

fn digit(byte: u8) -> Option<u8> {
    DIGITS.iter().position(|digit| *digit == byte).map(|value| value as u8)
}

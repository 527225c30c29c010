//! What the store keeps at most. Every limit is named in the error of whoever meets it.

/// Bounds of a [`TraceStore`](crate::TraceStore); all sizes are in bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Estimated memory of all traces together; the oldest traces make room for new ones.
    pub max_bytes: usize,
    /// Spans kept of one trace; further ones are refused.
    pub max_spans_per_trace: usize,
    /// One span as it is kept (with attributes, events, links); a heavier one is refused.
    pub max_span_bytes: usize,
    /// Each string of a span (names, attribute keys and values, messages); a longer one is cut.
    pub max_string_bytes: usize,
    /// One OTLP request, both as it comes and inflated; a larger one is refused.
    pub max_request_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            // About 50,000 spans of a kilobyte: an afternoon of clicking through an app.
            max_bytes: 64 << 20,
            // A page can still draw this many rows at once.
            max_spans_per_trace: 2_000,
            max_span_bytes: 256 << 10,
            max_string_bytes: 8 << 10,
            // gRPC's own default, and eight times an SDK's usual batch of 512 spans of a kilobyte.
            max_request_bytes: 4 << 20,
        }
    }
}

//! Spans of other instrumentations, of which some are wrong: a collector refuses what they would travel with.

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::Span;

/// Takes out of `request` what a collector would refuse; the answer is how many spans are left, and how many
/// were wrong.
pub(super) fn check(request: &mut ExportTraceServiceRequest) -> (u64, u64) {
    let (mut left, mut wrong) = (0, 0);
    request.resource_spans.retain_mut(|resource_spans| {
        resource_spans.scope_spans.retain_mut(|scope_spans| {
            let before = scope_spans.spans.len();
            scope_spans.spans.retain(is_right);
            left += scope_spans.spans.len() as u64;
            wrong += (before - scope_spans.spans.len()) as u64;
            !scope_spans.spans.is_empty()
        });
        !resource_spans.scope_spans.is_empty()
    });
    (left, wrong)
}

/// Ids as OTLP's `trace.proto` has them, and times that fit where receivers keep them: 63 bits.
fn is_right(span: &Span) -> bool {
    let times = [span.start_time_unix_nano, span.end_time_unix_nano]
        .into_iter()
        .chain(span.events.iter().map(|event| event.time_unix_nano));
    is_id::<16>(&span.trace_id)
        && is_id::<8>(&span.span_id)
        && (span.parent_span_id.is_empty() || span.parent_span_id.len() == 8)
        && span.links.iter().all(|link| is_id::<16>(&link.trace_id) && is_id::<8>(&link.span_id))
        && times.into_iter().all(|time| i64::try_from(time).is_ok())
}

fn is_id<const N: usize>(id: &[u8]) -> bool {
    id.len() == N && id != [0; N]
}

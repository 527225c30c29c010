//! One OTLP request into the store: spans one by one, the good ones kept, the others named.

use std::fmt::Write;
use std::sync::Arc;

use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
};

use crate::limits::Limits;
use crate::span::{Source, Span, SpanError};
use crate::store::Store;

/// A request checked and packed, outside of the store's lock.
pub(crate) struct Packed {
    spans: Vec<PackedSpan>,
    cuts: u64,
}

struct PackedSpan {
    /// Where in the request: resource spans, scope spans, span.
    place: [usize; 3],
    span: Result<(crate::id::TraceId, Span), SpanError>,
    source: Arc<Source>,
}

pub(crate) fn pack(request: &ExportTraceServiceRequest, limits: &Limits) -> Packed {
    let mut packed = Packed { spans: Vec::new(), cuts: 0 };
    for (r, resource_spans) in request.resource_spans.iter().enumerate() {
        for (s, scope_spans) in resource_spans.scope_spans.iter().enumerate() {
            let (resource, scope) = (resource_spans.resource.as_ref(), scope_spans.scope.as_ref());
            let source = Arc::new(Source::pack(resource, scope, limits));
            for (i, span) in scope_spans.spans.iter().enumerate() {
                let span = Span::pack(span, limits).map(|(trace_id, span, cuts)| {
                    packed.cuts += cuts;
                    (trace_id, span)
                });
                packed.spans.push(PackedSpan { place: [r, s, i], span, source: Arc::clone(&source) });
            }
        }
    }
    packed
}

/// Stores what fits; the response names the first span refused and why.
pub(crate) fn keep(packed: Packed, store: &mut Store) -> ExportTraceServiceResponse {
    store.count_cuts(packed.cuts);
    let total = packed.spans.len();
    let mut refused = 0;
    let mut message = String::new();
    for PackedSpan { place: [r, s, i], span, source } in packed.spans {
        let kept = match span {
            Ok((trace_id, span)) => store.insert(trace_id, span, &source),
            Err(error) => {
                store.count_refused();
                Err(error)
            }
        };
        if let Err(error) = kept {
            refused += 1;
            if message.is_empty() {
                let place = format_args!("resource_spans[{r}].scope_spans[{s}].spans[{i}]");
                // Writing to a String cannot fail.
                let _ = write!(message, "{place}: {error}");
            }
        }
    }
    if refused == 0 {
        return ExportTraceServiceResponse { partial_success: None };
    }
    let error_message = format!("refused {refused} of {total} spans; the first is {message}");
    ExportTraceServiceResponse {
        partial_success: Some(ExportTracePartialSuccess { rejected_spans: refused, error_message }),
    }
}

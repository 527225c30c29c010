//! Requests that a collector refuses, in two.

use crate::trace::batch::Request;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message as _;
use std::ops::Range;

/// The spans of `request` in two requests; none where it has only one.
pub(super) fn halves(request: &Request) -> Option<[Request; 2]> {
    let middle = request.spans / 2;
    let all = ExportTraceServiceRequest::decode(request.bytes.clone()).ok().filter(|_| middle > 0)?;
    Some([only(all.clone(), 0..middle), only(all, middle..request.spans)])
}

/// `request` with those spans only whose numbers are in `kept`.
fn only(mut request: ExportTraceServiceRequest, kept: Range<u64>) -> Request {
    let mut number = 0;
    request.resource_spans.retain_mut(|resource_spans| {
        resource_spans.scope_spans.retain_mut(|scope_spans| {
            scope_spans.spans.retain(|_| {
                number += 1;
                kept.contains(&(number - 1))
            });
            !scope_spans.spans.is_empty()
        });
        !resource_spans.scope_spans.is_empty()
    });
    Request { bytes: request.encode_to_vec().into(), spans: kept.end - kept.start }
}

#[cfg(test)]
mod tests {
    use super::halves;
    use crate::trace::batch::Request;
    use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
    use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
    use proptest::prelude::*;
    use prost::Message as _;

    fn request(groups: &[usize]) -> Request {
        let mut names = 0..;
        let resource_spans = groups.iter().map(|count| {
            let span = |name: u32| Span { name: name.to_string(), ..Span::default() };
            let spans = names.by_ref().take(*count).map(span).collect();
            let scope_spans = vec![ScopeSpans { spans, ..ScopeSpans::default() }];
            ResourceSpans { scope_spans, ..ResourceSpans::default() }
        });
        let request = ExportTraceServiceRequest { resource_spans: resource_spans.collect() };
        Request { bytes: request.encode_to_vec().into(), spans: groups.iter().sum::<usize>() as u64 }
    }

    fn names(request: &Request) -> Vec<String> {
        let decoded = ExportTraceServiceRequest::decode(request.bytes.clone()).expect("OTLP");
        let scopes = decoded.resource_spans.into_iter().flat_map(|it| it.scope_spans);
        scopes.flat_map(|it| it.spans).map(|it| it.name).collect()
    }

    proptest! {
        #[test]
        fn halves_are_the_whole(groups in proptest::collection::vec(1_usize..9, 1..6)) {
            let whole = request(&groups);
            match halves(&whole) {
                None => prop_assert_eq!(whole.spans, 1),
                Some([first, second]) => {
                    prop_assert!(first.spans.abs_diff(second.spans) <= 1);
                    let both: Vec<_> = [&first, &second].into_iter().flat_map(names).collect();
                    prop_assert_eq!(both, names(&whole));
                    for half in [first, second] {
                        prop_assert_eq!(names(&half).len() as u64, half.spans);
                    }
                }
            }
        }
    }
}

//! Memory stays bounded, and nothing is dropped without being counted.

use atomwire_trace_view::{Limits, Stats, TraceStore};
use proptest::prelude::*;

use crate::support::{View, pluck, request, span, text_attribute, trace_id};

/// Every span received is in exactly one place.
#[track_caller]
fn assert_balanced(stats: &Stats) {
    let kept = stats.spans as u64;
    assert_eq!(stats.received, kept + stats.replaced + stats.evicted_spans + stats.refused, "{stats:?}");
    assert!(stats.bytes <= stats.max_bytes, "{stats:?}");
}

proptest! {
    #[test]
    fn a_flood_never_passes_the_limit(
        max_bytes in 0_usize..60_000,
        max_spans_per_trace in 1_usize..5,
        // Trace, span, service, size of an attribute.
        spans in prop::collection::vec((1..12_u8, 0..6_u8, 0..4_u8, 0..6_000_usize), 0..120),
    ) {
        let limits = Limits { max_bytes, max_spans_per_trace, max_span_bytes: 5_000, ..Limits::default() };
        let store = TraceStore::new(limits);
        for (trace, id, service, size) in spans {
            let mut span = span(trace, id);
            span.attributes = vec![text_attribute("ballast", &"x".repeat(size))];
            store.ingest(&request(&format!("service {service}"), vec![span]));
            assert_balanced(&store.stats());
        }
    }
}

#[tokio::test]
async fn evicts_the_oldest_traces() {
    let view = View::start(Limits { max_bytes: 40_000, ..Limits::default() }).await;
    for trace in 1..=200 {
        view.store.ingest(&request("web", vec![span(trace, 1), span(trace, 2)]));
    }
    let stats = view.store.stats();
    assert_balanced(&stats);
    assert!(stats.evicted_traces > 0 && stats.traces > 10, "{stats:?}");
    let list = view.list("limit=1000").await;
    let newest: Vec<_> = (1..=200).rev().take(stats.traces).map(trace_id).collect();
    assert_eq!(pluck(&list["traces"], "traceId"), newest);
}

#[test]
fn a_growing_trace_evicts_others_but_not_itself() {
    let store = TraceStore::new(Limits { max_bytes: 20_000, ..Limits::default() });
    store.ingest(&request("web", vec![span(1, 1)]));
    store.ingest(&request("web", vec![span(2, 1)]));
    let mut refused = 0;
    for id in 2..=100 {
        let response = store.ingest(&request("web", vec![span(1, id)]));
        if let Some(partial) = response.partial_success {
            refused += partial.rejected_spans as u64;
            assert!(partial.error_message.contains("max_bytes = 20000"), "{}", partial.error_message);
        }
    }
    let stats = store.stats();
    assert_balanced(&stats);
    assert_eq!((stats.traces, stats.evicted_traces, stats.refused), (1, 1, refused));
    assert!(refused > 0 && stats.spans > 10, "{stats:?}");
}

#[test]
fn refuses_spans_past_a_limit_and_names_it() {
    let limits = Limits { max_spans_per_trace: 2, max_span_bytes: 2_000, ..Limits::default() };
    let store = TraceStore::new(limits);
    let mut heavy = span(2, 1);
    heavy.attributes = vec![text_attribute("ballast", &"x".repeat(2_000))];
    let message = |span| store.ingest(&request("web", vec![span])).partial_success.map(|it| it.error_message);
    assert_eq!(message(span(1, 1)), None);
    assert_eq!(message(span(1, 2)), None);
    assert!(message(span(1, 3)).unwrap().ends_with("its trace has max_spans_per_trace = 2 spans already"));
    assert!(message(heavy).unwrap().ends_with("more than max_span_bytes = 2000"));
    // The same span again is no new one, and takes no more room.
    let bytes = store.stats().bytes;
    assert_eq!(message(span(1, 2)), None);
    let stats = store.stats();
    assert_eq!(stats.bytes, bytes);
    assert_balanced(&stats);
    assert_eq!((stats.spans, stats.replaced, stats.refused), (2, 1, 2));
}

#[tokio::test]
async fn cuts_long_strings_between_characters() {
    let view = View::start(Limits { max_string_bytes: 10, ..Limits::default() }).await;
    let mut long = span(1, 1);
    long.name = "€€€€€".into();
    long.attributes = vec![text_attribute("k", &"x".repeat(11)), text_attribute("short", "0123456789")];
    view.store.ingest(&request("a service with a long name", vec![long]));
    let trace = view.get(&format!("/traces/api/traces/{}", trace_id(1))).await.json();
    let span = &trace["spans"][0];
    assert_eq!(span["name"], "€€€");
    assert_eq!(span["detail"]["attributes"][0]["value"], "xxxxxxxxxx");
    assert_eq!(span["detail"]["attributes"][1]["value"], "0123456789");
    assert_eq!(span["detail"]["cutStrings"], 2);
    assert_eq!(trace["sources"][0]["service"], "a service ");
    assert_eq!(view.store.stats().cut_strings, 2);
}

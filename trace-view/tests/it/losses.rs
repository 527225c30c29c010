//! Updates that were lost: a line in the list, and a sum beside every trace of their session.

use atomwire_trace_view::Limits;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use serde_json::{Value as Json, json};

use crate::support::{View, attribute, pluck, request, span, text_attribute, trace_id};

const SESSION: &str = "5e55105e55105e55105e55105e55105e";

/// An update's span, of a session.
fn update(trace: u8, session: &str) -> Span {
    Span { attributes: vec![text_attribute("atomwire.session.id", session)], ..span(trace, 1) }
}

/// A span as the relay makes one for a range of lost updates.
fn loss(trace: u8, session: &str, range: [i64; 2], place: &str, reason: &str) -> Span {
    let mut loss = update(trace, session);
    loss.attributes.extend([
        attribute("atomwire.lost.first", Value::IntValue(range[0])),
        attribute("atomwire.lost.last", Value::IntValue(range[1])),
        text_attribute("atomwire.lost.place", place),
        text_attribute("atomwire.lost.reason", reason),
    ]);
    loss
}

async fn view_of(spans: Vec<Span>) -> View {
    let view = View::start(Limits::default()).await;
    view.store.ingest(&request("web", spans));
    view
}

async fn trace(view: &View, trace: u8) -> Json {
    view.get(&format!("/traces/api/traces/{}", trace_id(trace))).await.json()
}

#[tokio::test]
async fn the_list_says_what_was_lost() {
    let view = view_of(vec![update(1, SESSION), loss(2, SESSION, [13, 17], "browser", "queue_full")]).await;
    let expected = json!({ "first": 13, "last": 17, "place": "browser", "reason": "queue_full" });
    assert_eq!(pluck(&view.list("").await["traces"], "loss"), [expected.clone(), json!(null)]);
    assert_eq!(trace(&view, 2).await["spans"][0]["loss"], expected);
    assert_eq!(view.store.stats().lost_updates, 5);
    for (query, expected) in [
        ("losses=only", &[2][..]),
        ("losses=without", &[1]),
        ("losses=only&service=web", &[2]),
        ("losses=only&key=cart", &[]),
    ] {
        let list = view.list(query).await;
        let expected: Vec<_> = expected.iter().copied().map(trace_id).collect();
        assert_eq!(pluck(&list["traces"], "traceId"), expected, "{query}");
        assert_eq!(list["matching"], expected.len(), "{query}");
    }
    let refused = view.get("/traces/api/traces?losses=some").await;
    assert_eq!(refused.status, 400);
    assert!(refused.text().contains("losses: unknown variant `some`"), "{}", refused.text());
}

#[tokio::test]
async fn a_trace_says_what_its_session_lost_so_far() {
    let other = "0f".repeat(16);
    let view = view_of(vec![
        update(1, SESSION),
        loss(2, SESSION, [3, 5], "browser", "queue_full"),
        loss(3, SESSION, [8, 9], "relay", "invalid_json"),
        loss(4, &other, [0, 0], "browser", "too_large"),
    ])
    .await;
    view.store.ingest(&request("web", vec![loss(5, SESSION, [11, 12], "browser", "queue_full")]));
    let kind = |place, reason, updates, trace| json!({ "place": place, "reason": reason, "updates": updates, "traceId": trace_id(trace) });
    let kinds = json!([kind("browser", "queue_full", 5, 5), kind("relay", "invalid_json", 2, 3)]);
    let expected = json!([{ "id": SESSION, "lost": kinds }]);
    // The loss's own trace says it, too.
    for id in [1, 2, 5] {
        assert_eq!(trace(&view, id).await["sessions"], expected, "trace {id}");
    }
    // Spans of two sessions in one trace, the second of which has lost nothing.
    let innocent = "77".repeat(16);
    let second = Span { span_id: vec![2; 8], ..update(6, &innocent) };
    view.store.ingest(&request("web", vec![update(6, &other), second]));
    let lost = json!([kind("browser", "too_large", 1, 4)]);
    let expected = json!([{ "id": other, "lost": lost }, { "id": innocent, "lost": [] }]);
    assert_eq!(trace(&view, 6).await["sessions"], expected);
    view.store.ingest(&request("web", vec![span(7, 1)]));
    assert_eq!(trace(&view, 7).await["sessions"], json!([]));
}

#[tokio::test]
async fn a_loss_changes_the_open_traces_of_its_session() {
    let view = view_of(vec![update(1, SESSION), update(2, &"0f".repeat(16))]).await;
    let versions =
        async || (trace(&view, 1).await["version"].clone(), trace(&view, 2).await["version"].clone());
    assert_eq!(versions().await, (json!(1), json!(2)));
    view.store.ingest(&request("web", vec![loss(3, SESSION, [1, 1], "browser", "queue_full")]));
    assert_eq!(versions().await, (json!(3), json!(2)));
}

#[tokio::test]
async fn a_loss_that_comes_again_is_counted_once() {
    let again = loss(2, SESSION, [1, 3], "browser", "queue_full");
    let view = view_of(vec![again.clone(), again]).await;
    assert_eq!(trace(&view, 2).await["sessions"][0]["lost"][0]["updates"], 3);
    assert_eq!(view.store.stats().lost_updates, 3);
}

#[tokio::test]
async fn the_sums_outlast_the_traces_of_the_losses() {
    let view = View::start(Limits { max_bytes: 20_000, ..Limits::default() }).await;
    view.store.ingest(&request("web", vec![loss(1, SESSION, [1, 7], "browser", "queue_full")]));
    for id in 2..=100 {
        view.store.ingest(&request("web", vec![update(id, SESSION)]));
    }
    let expected = json!([{ "place": "browser", "reason": "queue_full", "updates": 7, "traceId": null }]);
    assert_eq!(trace(&view, 100).await["sessions"][0]["lost"], expected);
    assert_eq!(view.list("losses=only").await["matching"], 0);
}

#[tokio::test]
async fn what_contradicts_itself_is_an_ordinary_span() {
    let odd: [(&str, Span); 9] = [
        ("reversed", loss(1, SESSION, [9, 8], "browser", "queue_full")),
        ("negative", loss(1, SESSION, [-5, 8], "browser", "queue_full")),
        ("beyond 2^53", loss(1, SESSION, [0, 1 << 53], "browser", "queue_full")),
        ("largest", loss(1, SESSION, [i64::MIN, i64::MAX], "browser", "queue_full")),
        ("no place", loss(1, SESSION, [1, 2], "", "queue_full")),
        ("no reason", loss(1, SESSION, [1, 2], "browser", "")),
        ("no session", loss(1, "", [1, 2], "browser", "queue_full")),
        ("strange session", loss(1, "<b>me</b>", [1, 2], "browser", "queue_full")),
        ("text for a number", {
            let mut span = loss(1, SESSION, [1, 2], "browser", "queue_full");
            span.attributes[1] = text_attribute("atomwire.lost.first", "1");
            span
        }),
    ];
    for (what, span) in odd {
        let view = view_of(vec![span]).await;
        assert_eq!(view.list("").await["traces"][0]["loss"], json!(null), "{what}");
        for session in trace(&view, 1).await["sessions"].as_array().unwrap() {
            assert_eq!(session["lost"], json!([]), "{what}");
        }
        assert_eq!(view.store.stats().lost_updates, 0, "{what}");
    }
}

#[tokio::test]
async fn endless_kinds_and_sessions_take_no_endless_memory() {
    let view = View::start(Limits::default()).await;
    let everything = [0, (1 << 53) - 1];
    for kind in 0..3_000_u64 {
        let reason = format!("<img src=x onerror=alert({kind})> {}", "€".repeat(100));
        // A trace takes 2,000 spans.
        let mut loss = loss(1 + (kind / 1_500) as u8, SESSION, everything, "browser", &reason);
        loss.span_id = u64::to_be_bytes(kind + 1).to_vec();
        view.store.ingest(&request("web", vec![loss]));
    }
    let kinds = trace(&view, 1).await["sessions"][0]["lost"].clone();
    assert_eq!(kinds.as_array().unwrap().len(), 17);
    assert_eq!(kinds[0]["reason"], "<img src=x onerror=alert(0)> €");
    assert_eq!((&kinds[16]["place"], &kinds[16]["reason"]), (&json!("other"), &json!("other")));
    // The sums stop where 64 bits do.
    assert_eq!((&kinds[0]["updates"], &kinds[16]["updates"]), (&json!(1_u64 << 53), &json!(u64::MAX)));
    assert_eq!(view.store.stats().lost_updates, u64::MAX);

    // The session whose last loss is the oldest makes room.
    for session in 1..=1_024 {
        let loss = loss(3, &format!("{session:032x}"), [1, 1], "relay", "too_large");
        let span_id = u64::to_be_bytes(session).to_vec();
        view.store.ingest(&request("web", vec![Span { span_id, ..loss }]));
    }
    assert_eq!(trace(&view, 1).await["sessions"], json!([{ "id": SESSION, "lost": [] }]));
    let lost = pluck(&trace(&view, 3).await["sessions"], "lost");
    assert!(lost.len() == 1_024 && lost.iter().all(|kinds| kinds[0]["updates"] == 1));
}

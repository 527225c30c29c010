use super::support::{Emitter, RELAY, Stats};
use wasm_bindgen_test::wasm_bindgen_test;

/// Nobody listens on the discard port of a test machine.
const NOBODY: &str = "ws://127.0.0.1:9/v1/stream";

fn stats(state: &str, created: u64, acknowledged: u64, pending: u64, lost: &[(&str, u64)]) -> Stats {
    let lost = lost.iter().map(|(reason, count)| ((*reason).into(), *count)).collect();
    Stats { state: state.into(), created, acknowledged, pending, lost }
}

#[wasm_bindgen_test]
async fn without_a_relay_updates_wait_and_it_is_tried_again() {
    let mut emitter = Emitter::start(NOBODY);
    assert_eq!(emitter.stats(), stats("connecting", 0, 0, 0, &[]));
    emitter.write("cart", "1");
    emitter.write("cart", "2");
    // It is told at each try: to tell people once is its host's part.
    let tries = |count| emitter.diagnostics.borrow().len() >= count;
    assert_eq!(emitter.until(|_| tries(2)).await, stats("waiting", 2, 0, 2, &[]));
    assert!(emitter.diagnostics.borrow().iter().all(|kind| kind == "disconnected"));
}

#[wasm_bindgen_test]
fn an_abandoned_session_loses_what_is_pending_and_what_comes() {
    let mut emitter = Emitter::start(NOBODY);
    emitter.write("cart", "1");
    emitter.session.lose(2, "queue_full");
    emitter.session.abandon(false);
    emitter.write("cart", "2");
    assert_eq!(emitter.stats(), stats("stopped", 4, 0, 0, &[("page_closed", 2), ("queue_full", 2)]));
}

#[wasm_bindgen_test]
fn an_address_that_is_none_fails_at_once() {
    let mut emitter = Emitter::start("ws://[");
    emitter.write("cart", "1");
    assert_eq!(emitter.stats(), stats("failed", 1, 0, 0, &[("emitter_failed", 1)]));
    assert_eq!(*emitter.diagnostics.borrow(), ["invalid_url", "emitter_failed"]);
}

#[wasm_bindgen_test]
fn a_key_is_interned_once_and_an_update_over_the_limit_is_too_large() {
    let mut emitter = Emitter::start(NOBODY);
    assert_eq!(emitter.session.intern("a"), Some(0));
    assert_eq!(emitter.session.intern("b"), Some(1));
    assert_eq!(emitter.session.intern("a"), Some(0));
    assert_eq!(emitter.session.intern(&"k".repeat(257)), None);
    emitter.write(&"k".repeat(257), "1");
    emitter.write("a", &"1".repeat(256 * 1024 + 1));
    assert_eq!(emitter.stats().lost["too_large"], 2);
}

#[wasm_bindgen_test]
fn a_trace_id_is_32_digits_and_its_own() {
    let emitter = Emitter::start(NOBODY);
    let (one, two) = (emitter.session.trace_id(0.0), emitter.session.trace_id(1.0));
    assert!(one.len() == 32 && one.bytes().all(|digit| b"0123456789abcdef".contains(&digit)), "{one}");
    assert_ne!(one, two);
    assert_eq!(emitter.session.trace_id(0.0), one);
}

#[wasm_bindgen_test]
async fn the_relay_acknowledges_every_update_and_hears_the_end() {
    let Some(relay) = RELAY else { return };
    let mut emitter = Emitter::start(relay);
    for value in 0..1_000 {
        emitter.write("cart", &value.to_string());
    }
    emitter.session.hurry();
    let settled = emitter.until(|stats| stats.pending == 0).await;
    assert_eq!(settled, stats("connected", 1_000, 1_000, 0, &[]));
    emitter.session.end();
    assert_eq!(emitter.until(|stats| stats.state == "stopped").await, stats("stopped", 1_000, 1_000, 0, &[]));
    assert!(emitter.diagnostics.borrow().is_empty());
}

#[wasm_bindgen_test]
async fn the_relay_refuses_what_is_no_json() {
    let Some(relay) = RELAY else { return };
    let mut emitter = Emitter::start(relay);
    emitter.write("cart", "1");
    emitter.write("cart", "{");
    emitter.write("cart", "2");
    let settled = emitter.until(|stats| stats.pending == 0).await;
    assert_eq!(settled, stats("connected", 3, 2, 0, &[("rejected", 1)]));
}

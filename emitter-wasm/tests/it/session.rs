use super::support::{
    ACKNOWLEDGED, LOST, PAGE_CLOSED, PENDING, QUEUE_FULL, REJECTED, Session, TOO_LARGE, taken,
};
use atomwire_emitter::{abandon, count, ids, lose};
use wasm_bindgen_test::wasm_bindgen_test;

#[wasm_bindgen_test]
async fn the_relay_acknowledges_every_update_and_hears_the_end() {
    let mut session = Session::start();
    for value in 0..1_000 {
        session.write("cart", &value.to_string());
    }
    assert_eq!(count(PENDING), 1_000.0);
    session.settle(true).await;
    assert_eq!((count(PENDING), count(ACKNOWLEDGED)), (0.0, 1_000.0));
}

#[wasm_bindgen_test]
async fn the_relay_refuses_what_is_no_json() {
    let mut session = Session::start();
    for value in ["1", "{", "2"] {
        session.write("cart", value);
    }
    session.settle(false).await;
    assert_eq!((count(ACKNOWLEDGED), count(LOST + REJECTED)), (2.0, 1.0));
}

#[wasm_bindgen_test]
async fn texts_are_cut_between_their_characters() {
    let mut session = Session::start();
    for text in ["é", "漢字", "𝄞𝄞", "a𝄞é漢"] {
        // A byte more or less, and it were no JSON.
        session.write(text, &format!("\"{text}\""));
    }
    session.settle(false).await;
    assert_eq!(count(ACKNOWLEDGED), 4.0);
}

#[wasm_bindgen_test]
async fn what_the_queue_cannot_hold_is_lost_and_the_rest_arrives() {
    let mut session = Session::start();
    let value = format!("\"{}\"", "x".repeat(100_000));
    for _ in 0..50 {
        session.write("cart", &value);
    }
    let (pending, lost) = (count(PENDING), count(LOST + QUEUE_FULL));
    assert_eq!((pending, pending + lost), (41.0, 50.0), "of 4 MiB");
    session.settle(false).await;
    assert_eq!(count(ACKNOWLEDGED), pending);
}

#[wasm_bindgen_test]
fn what_the_protocol_cannot_carry_is_too_large() {
    let mut session = Session::start();
    session.write(&"k".repeat(257), "1");
    session.write("", "1");
    session.write("a", &"1".repeat(256 * 1024 + 1));
    assert_eq!((count(LOST + TOO_LARGE), count(PENDING)), (3.0, 0.0));
}

#[wasm_bindgen_test]
fn an_abandoned_session_loses_what_is_pending() {
    let mut session = Session::start();
    session.write("cart", "1");
    lose(2.0, QUEUE_FULL);
    abandon(PAGE_CLOSED);
    assert_eq!((count(PENDING), count(LOST + QUEUE_FULL), count(LOST + PAGE_CLOSED)), (0.0, 2.0, 1.0));
}

#[wasm_bindgen_test]
fn ids_are_a_positions_own() {
    let _session = Session::start();
    let at = |position| {
        ids(position);
        taken(24)
    };
    assert_ne!(at(0.0), at(1.0));
    assert_eq!(at(0.0), at(0.0));
}

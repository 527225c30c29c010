//! Any client can speak the plain contract; `gloo-net` is one that shares nothing with the emitter.

use super::support::RELAY;
use futures_util::{SinkExt as _, StreamExt as _};
use gloo_net::websocket::Message;
use gloo_net::websocket::futures::WebSocket;
use js_sys::JSON;
use serde::Deserialize;
use wasm_bindgen_test::wasm_bindgen_test;

#[derive(Debug, Deserialize, PartialEq)]
struct Answer {
    error: Wrong,
}

#[derive(Debug, Deserialize, PartialEq)]
struct Wrong {
    field: String,
    limit: Option<f64>,
}

#[wasm_bindgen_test]
async fn a_text_message_is_an_update_and_a_wrong_one_is_answered_with_what_is_wrong() {
    let mut socket = WebSocket::open(RELAY).expect("the relay's address is one");
    for text in [r#"{"key":"cart","value":[1,2]}"#, r#"{"key":"","value":3}"#] {
        socket.send(Message::Text(text.into())).await.expect("an open socket takes a message");
    }
    // The first is fine, and nothing is said about it: the one answer is about the second.
    let Some(Ok(Message::Text(answer))) = socket.next().await else { panic!("no answer") };
    let answer = JSON::parse(&answer).expect("JSON");
    let answer: Answer = serde_wasm_bindgen::from_value(answer).expect("an error");
    assert_eq!(answer.error, Wrong { field: "key".into(), limit: Some(256.0) });
}

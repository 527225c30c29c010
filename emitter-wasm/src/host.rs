//! What the shell asks of the JavaScript around it.

use js_sys::Function;
use wasm_bindgen::prelude::*;
use web_sys::WebSocket;

#[wasm_bindgen]
extern "C" {
    /// The face that owns a [`Session`](crate::Session). None of its functions may call back into the
    /// module, nor into the app: what they have to tell the app, they queue.
    #[derive(Debug)]
    pub type Host;

    /// Wraps what the shell hands to the browser as a callback. A trap leaves the module unusable, so the
    /// wrapper catches it, and calls nothing any more afterwards.
    #[wasm_bindgen(method)]
    pub fn guard(this: &Host, callback: &Function) -> Function;

    /// Something that a person should know.
    #[wasm_bindgen(method)]
    pub fn diagnose(this: &Host, kind: &str, message: &str);

    /// The socket in use, for the host to close after a trap.
    #[wasm_bindgen(method, setter)]
    pub fn set_socket(this: &Host, socket: Option<&WebSocket>);
}

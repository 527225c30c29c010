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

    /// Something that a person should know. Losses come under the name of their reason, without words.
    #[wasm_bindgen(method)]
    pub fn diagnose(this: &Host, kind: &str, message: &str);

    /// Sends the body of a last request (PROTOCOL.md, section 11), which outlives the page.
    #[wasm_bindgen(method)]
    pub fn post(this: &Host, body: &[u8]);

    /// The browser knows that the relay cannot be reached.
    #[wasm_bindgen(method, getter)]
    pub fn offline(this: &Host) -> bool;

    /// What this page leaves behind is kept for the next one, which goes on with the session. Whoever keeps
    /// it also decides whether a page that comes back may go on: it calls `resume`.
    #[wasm_bindgen(method, getter)]
    pub fn kept(this: &Host) -> bool;

    /// The socket in use, for the host to close after a trap.
    #[wasm_bindgen(method, setter)]
    pub fn set_socket(this: &Host, socket: Option<&WebSocket>);
}

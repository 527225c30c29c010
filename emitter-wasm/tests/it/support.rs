//! A session as JavaScript drives it: the crate's functions, and its memory by address.

use atomwire_emitter as module;
use futures_util::{SinkExt as _, StreamExt as _};
use gloo_net::websocket::Message;
use gloo_net::websocket::futures::WebSocket;
use js_sys::{ArrayBuffer, Date, Float64Array, Math, Uint8Array, WebAssembly};
use wasm_bindgen::JsCast as _;

/// The relay under test, `ws://host:port/v1/stream`.
pub(crate) const RELAY: &str =
    env!("ATOMWIRE_TEST_RELAY", "these tests talk to a relay: npm run test:wasm --workspace atomwire");

const SUBPROTOCOL: &str = "atomwire.v1";
const RESOURCE: &str = "service.name\0wasm-pack\0";

/// Numbers of the account.
pub(crate) const ACKNOWLEDGED: u32 = 1;
pub(crate) const PENDING: u32 = 2;
/// Those of a reason of loss: this and the reason.
pub(crate) const LOST: u32 = 2;
/// Reasons of loss.
pub(crate) const QUEUE_FULL: u32 = 1;
pub(crate) const TOO_LARGE: u32 = 2;
pub(crate) const PAGE_CLOSED: u32 = 4;
pub(crate) const REJECTED: u32 = 5;

/// The one session of this crate's instance.
pub(crate) struct Session {
    positions: f64,
}

impl Session {
    pub(crate) fn start() -> Self {
        let seed: Vec<u8> = (0..32).map(|_| (Math::random() * 256.0) as u8).collect();
        put(&seed);
        module::start(10_000, 4 << 20, false);
        Self { positions: 0.0 }
    }

    /// A write of `value` to the atom `key`, which travels in full.
    pub(crate) fn write(&mut self, key: &str, value: &str) {
        let text = [key, value].concat();
        let units = |text: &str| text.encode_utf16().count() as f64;
        put(text.as_bytes());
        let (now, none) = (now(), -1.0);
        let about = [none, units(key), none, 0.0, 0.0, units(value), 0.0];
        let when = [self.positions, now - 500.0, now, none, none];
        let numbers: Vec<f64> = about.into_iter().chain(when).collect();
        Float64Array::new_with_byte_offset_and_length(&buffer(), module::output(), 12).copy_from(&numbers);
        module::push(text.len() as u32, units(&text) as u32, 1);
        self.positions += 1.0;
    }

    /// Connects, says what there is to say, and goes on until that is settled. With `end` it says `Bye`, too.
    pub(crate) async fn settle(&mut self, end: bool) {
        let mut socket =
            WebSocket::open_with_protocol(RELAY, SUBPROTOCOL).expect("the relay's address is one");
        put(RESOURCE.as_bytes());
        let hello = taken(module::opened(now(), RESOURCE.len() as u32, 0));
        socket.send(Message::Bytes(hello)).await.expect("an open socket takes a frame");
        module::hurry(end);
        loop {
            let mut step = module::step(now());
            while step < 0.0 {
                let frame = taken(-step as u32);
                socket.send(Message::Bytes(frame)).await.expect("an open socket takes a frame");
                step = module::step(now());
            }
            if step == 0.0 || !end && module::count(PENDING) == 0.0 {
                break;
            }
            let Some(Ok(Message::Bytes(frame))) = socket.next().await else { panic!("the relay hung up") };
            put(&frame);
            assert_eq!(module::receive(frame.len() as u32, now()), 0, "an answer");
        }
        socket.close(None, None).expect("an open socket closes");
        module::closed(now(), 0.0);
    }
}

fn buffer() -> ArrayBuffer {
    let memory: WebAssembly::Memory = wasm_bindgen::memory().unchecked_into();
    memory.buffer().unchecked_into()
}

/// Writes what the next call takes.
fn put(bytes: &[u8]) {
    view(module::input(), bytes.len() as u32).copy_from(bytes);
}

/// Reads what a call gave.
pub(crate) fn taken(length: u32) -> Vec<u8> {
    view(module::output(), length).to_vec()
}

fn view(at: u32, length: u32) -> Uint8Array {
    Uint8Array::new_with_byte_offset_and_length(&buffer(), at, length)
}

fn now() -> f64 {
    Date::now() * 1_000.0
}

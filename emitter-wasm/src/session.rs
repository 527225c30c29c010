//! The face of the module: plain numbers and strings, one crossing a write.

use crate::Host;
use crate::hex;
use crate::shell::{Record, Shell};
use atomwire_wire::LostReason;
use js_sys::{Object, Reflect};
use std::cell::RefCell;
use std::rc::Rc;
use wasm_bindgen::prelude::*;

/// One session with a relay, from the first connection through every reconnect to its end.
#[wasm_bindgen]
pub struct Session(Rc<RefCell<Shell>>);

#[wasm_bindgen]
impl Session {
    /// Starts a session and connects. `resource` holds OpenTelemetry resource attributes, keys and values
    /// alternating, a NUL after each; `token` is empty where the relay asks for none.
    ///
    /// # Errors
    /// When there is no page to live in: no `window`, no `performance`, no `crypto`.
    #[wasm_bindgen(constructor)]
    pub fn new(host: Host, url: String, token: String, resource: &str) -> Result<Session, JsValue> {
        Shell::start(host, url, token, resource).map(Self)
    }

    /// The index of `key` for `record`; none once the protocol's table of keys is full.
    pub fn intern(&self, key: &str) -> Option<u32> {
        self.0.borrow_mut().intern(key)
    }

    /// Takes one atom write.
    ///
    /// - `key_index`, or `key` in full where `intern` gave none.
    /// - `position`: the span's position in this session's id stream.
    /// - `start` and `duration` in milliseconds, `start` on the scale of `performance.now()`.
    /// - `value`: JSON text, none where JSON cannot hold the value.
    /// - `error_type`, `error_message`: of a write that failed.
    /// - `traceparent`: the app's own span above this trace, as W3C writes it.
    /// - `root`, `parent`: positions of the trace's first span and of this span's parent in this session;
    ///   none where the span has no parent in this session.
    #[expect(clippy::too_many_arguments, reason = "an object would cost a crossing for each of its fields")]
    pub fn record(
        &self,
        key_index: Option<u32>,
        key: Option<String>,
        position: f64,
        start: f64,
        duration: f64,
        value: Option<String>,
        error_type: Option<String>,
        error_message: Option<String>,
        traceparent: Option<String>,
        root: Option<f64>,
        parent: Option<f64>,
    ) {
        self.0.borrow_mut().record(&Record {
            key_index,
            key: key.unwrap_or_default(),
            position: position as u64,
            start,
            duration,
            value,
            error: error_type.map(|kind| (kind, error_message.unwrap_or_default())),
            above: traceparent.and_then(|text| hex::traceparent(&text)),
            local: root.zip(parent).map(|(root, parent)| (root as u64, parent as u64)),
        });
    }

    /// Creates `count` updates that are lost already, for a reason that `stats` names.
    pub fn lose(&self, count: u32, reason: &str) {
        let reason = LostReason::ALL.into_iter().find(|known| known.name() == reason);
        self.0.borrow_mut().lose(u64::from(count), reason.unwrap_or(LostReason::EmitterFailed));
    }

    /// The trace id that a root span at `position` has, in hexadecimal.
    pub fn trace_id(&self, position: f64) -> String {
        self.0.borrow_mut().trace_id(position as u64)
    }

    /// `{ state, created, acknowledged, pending, lost: { [reason]: count } }`, where `lost` holds the
    /// reasons that occurred.
    pub fn stats(&self) -> Object {
        let shell = self.0.borrow();
        let stats = shell.stats();
        let (object, lost) = (Object::new(), Object::new());
        for (reason, count) in LostReason::ALL.into_iter().zip(stats.lost).filter(|(_, count)| *count > 0) {
            set(&lost, reason.name(), &(count as f64).into());
        }
        set(&object, "state", &shell.state().into());
        set(&object, "created", &(stats.created as f64).into());
        set(&object, "acknowledged", &(stats.acknowledged as f64).into());
        set(&object, "pending", &(stats.pending as f64).into());
        set(&object, "lost", &lost);
        object
    }

    /// Sends what is pending now instead of waiting for company.
    pub fn hurry(&self) {
        self.0.borrow_mut().hurry();
    }

    /// Ends the session once everything pending is settled.
    pub fn end(&self) {
        self.0.borrow_mut().end();
    }

    /// Ends the session now; what is pending is lost as `page_closed`.
    pub fn abandon(&self) {
        self.0.borrow_mut().abandon();
    }
}

fn set(object: &Object, key: &str, value: &JsValue) {
    // A plain object takes any property.
    let _ = Reflect::set(object, &key.into(), value);
}

//! The face of the module: plain numbers and strings, one crossing a write.

use crate::Host;
use crate::hex;
use crate::shell::{Record, Shell};
use atomwire_wire::LostReason;
use atomwire_wire::emitter::{Config, Emitter, WhenFull};
use js_sys::{Object, Reflect, Uint8Array};
use std::cell::RefCell;
use std::rc::Rc;
use wasm_bindgen::prelude::*;

/// One session with a relay, from the first connection through every reconnect to its end.
#[wasm_bindgen]
pub struct Session(Rc<RefCell<Shell>>);

#[wasm_bindgen]
impl Session {
    /// Starts a session and connects; or goes on with what an earlier page `left` of its own, and ends it
    /// once all of that is settled.
    ///
    /// - `token` is empty where the relay asks for none.
    /// - `resource`: OpenTelemetry resource attributes, keys and values alternating, a NUL after each.
    /// - `identity`: 48 random bytes, the session's id and its seed.
    /// - `max_updates`, `max_bytes`: what may be pending; `drop_oldest` says what is lost beyond that.
    /// - `keys`: in the order in which `intern` was asked for them.
    /// - `frames`: what `journal` gave, in that order; some of the oldest or newest may be missing.
    /// - `end`: the number of updates that the page made, as far as it could say.
    /// - `expired`: they are reported lost as `page_closed` instead of sent.
    ///
    /// # Errors
    /// When there is no page to live in (no `window`, no `performance`), or when `frames` are not what
    /// `journal` gave.
    #[wasm_bindgen(constructor)]
    #[expect(clippy::too_many_arguments, reason = "an object would cost code for each of its fields")]
    pub fn new(
        host: Host,
        url: String,
        token: String,
        resource: &str,
        identity: &[u8],
        max_updates: u32,
        max_bytes: u32,
        drop_oldest: bool,
        left: bool,
        keys: Vec<String>,
        frames: Vec<Uint8Array>,
        end: f64,
        expired: bool,
    ) -> Result<Session, JsValue> {
        let (id, seed) = identity.split_first_chunk().ok_or("no session id")?;
        let config = Config {
            session_id: *id,
            id_seed: seed.try_into().map_err(|_| "no id seed")?,
            resource: attributes(resource),
            token,
            queue_updates: max_updates as usize,
            queue_bytes: max_bytes as usize,
            when_full: if drop_oldest { WhenFull::DropOldest } else { WhenFull::DropNewest },
        };
        if !left {
            return Shell::start(host, url, Emitter::new(config), false).map(Self);
        }
        let keys = keys.into_iter().map(String::into_boxed_str).collect();
        let frames: Vec<Vec<u8>> = frames.into_iter().map(|frame| frame.to_vec()).collect();
        let frames: Vec<&[u8]> = frames.iter().map(Vec::as_slice).collect();
        let mut machine = Emitter::restore(config, keys, &frames).map_err(|malformed| malformed.0)?;
        let restored = machine.settled() + machine.stats().created;
        machine.lose((end as u64).saturating_sub(restored), LostReason::PageClosed);
        if expired {
            machine.give_up(LostReason::PageClosed);
        }
        machine.end();
        Shell::start(host, url, machine, true).map(Self)
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

    /// Ends the session now, with a last request or without a word; what is pending is lost as `page_closed`.
    pub fn abandon(&self, last_request: bool) {
        self.0.borrow_mut().abandon(last_request);
    }

    /// Connects again, once the page is back from where its host has kept the session (see [`Host`]).
    pub fn resume(&self) {
        self.0.borrow_mut().resume();
    }

    /// What was made since the last call, in a form that `restore` takes; it may take several calls until
    /// there is nothing more.
    pub fn journal(&self) -> Option<Vec<u8>> {
        self.0.borrow_mut().journal()
    }

    /// Every number below this is settled, and need not be kept any longer.
    pub fn settled(&self) -> f64 {
        self.0.borrow().settled() as f64
    }
}

/// Keys and values, alternating, a NUL after each.
fn attributes(mut text: &str) -> Vec<(String, String)> {
    let mut attributes = Vec::new();
    while let Some((key, rest)) = text.split_once('\0') {
        let Some((value, rest)) = rest.split_once('\0') else { break };
        attributes.push((key.to_owned(), value.to_owned()));
        text = rest;
    }
    attributes
}

fn set(object: &Object, key: &str, value: &JsValue) {
    // A plain object takes any property.
    let _ = Reflect::set(object, &key.into(), value);
}

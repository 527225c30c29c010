//! The only place that touches the module's face.

use atomwire_emitter::{Host, Session};
use js_sys::{Function, Object, Promise, Reflect};
use serde::Deserialize;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;

/// The relay under test, `ws://host:port/v1/stream`.
pub(crate) const RELAY: Option<&str> = option_env!("ATOMWIRE_TEST_RELAY");

/// What `Session::stats` gives to JavaScript.
#[derive(Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub(crate) struct Stats {
    pub(crate) state: String,
    pub(crate) created: u64,
    pub(crate) acknowledged: u64,
    pub(crate) pending: u64,
    pub(crate) lost: BTreeMap<String, u64>,
}

/// A session whose host lets everything through and remembers diagnostics.
pub(crate) struct Emitter {
    pub(crate) session: Session,
    pub(crate) diagnostics: Rc<RefCell<Vec<String>>>,
    position: f64,
}

impl Emitter {
    pub(crate) fn start(url: &str) -> Self {
        let diagnostics = Rc::new(RefCell::new(Vec::new()));
        let host = Object::new();
        let guard = Closure::<dyn Fn(Function) -> Function>::new(|callback| callback);
        let seen = Rc::clone(&diagnostics);
        let diagnose = Closure::<dyn Fn(String, String)>::new(move |kind, _| seen.borrow_mut().push(kind));
        Reflect::set(&host, &"guard".into(), &guard.into_js_value()).expect("a plain object");
        Reflect::set(&host, &"diagnose".into(), &diagnose.into_js_value()).expect("a plain object");
        for kind in ["offline", "kept"] {
            Reflect::set(&host, &kind.into(), &false.into()).expect("a plain object");
        }
        let resource = "service.name\0wasm-pack\0";
        let mut identity = [0; 48];
        identity.fill_with(|| (js_sys::Math::random() * 256.0) as u8);
        let host = host.unchecked_into::<Host>();
        let session = Session::new(
            host,
            url.into(),
            String::new(),
            resource,
            &identity,
            10_000,
            4 << 20,
            false,
            false,
            Vec::new(),
            Vec::new(),
            0.0,
            false,
        )
        .expect("a browser has what a session needs");
        Self { session, diagnostics, position: 0.0 }
    }

    pub(crate) fn write(&mut self, key: &str, value: &str) {
        let index = self.session.intern(key);
        let inline = index.is_none().then(|| key.into());
        let (position, value) = (self.position, Some(value.into()));
        self.position += 1.0;
        self.session.record(index, inline, position, 1.0, 0.5, value, None, None, None, None, None);
    }

    pub(crate) fn stats(&self) -> Stats {
        serde_wasm_bindgen::from_value(self.session.stats().into()).expect("stats are a plain object")
    }

    /// Waits until the stats are so. The browser's callbacks run meanwhile.
    pub(crate) async fn until(&self, condition: impl Fn(&Stats) -> bool) -> Stats {
        loop {
            let stats = self.stats();
            if condition(&stats) {
                return stats;
            }
            next_turn().await;
        }
    }
}

impl Drop for Emitter {
    fn drop(&mut self) {
        self.session.abandon(false);
    }
}

async fn next_turn() {
    let turn = Promise::new(&mut |resolve, _| {
        let window = web_sys::window().expect("a browser has a window");
        window.set_timeout_with_callback_and_timeout_and_arguments_0(&resolve, 5).expect("a callback");
    });
    JsFuture::from(turn).await.expect("a timer does not fail");
}

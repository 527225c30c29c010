//! The page around a session: its events, and the one timer.

use atomwire_wire::Micros;
use js_sys::Function;
use wasm_bindgen::prelude::*;
use web_sys::{Document, EventTarget, Window};

/// What tells us about the page's life.
const WINDOW_EVENTS: [&str; 3] = ["pagehide", "pageshow", "online"];
const DOCUMENT_EVENTS: [&str; 3] = ["visibilitychange", "freeze", "resume"];

pub(crate) struct Page {
    window: Window,
    document: Option<Document>,
    /// Takes every event, and the timer: the guarded form of `_handler`, which it keeps alive.
    on_event: Function,
    _handler: Closure<dyn FnMut(JsValue)>,
    timer: Option<(i32, Micros)>,
}

impl Page {
    pub(crate) fn new(window: Window, on_event: Function, handler: Closure<dyn FnMut(JsValue)>) -> Self {
        let document = window.document();
        Self { window, document, on_event, _handler: handler, timer: None }
    }

    pub(crate) fn hidden(&self) -> bool {
        self.document.as_ref().is_some_and(Document::hidden)
    }

    /// Begins to hear of the page's life.
    pub(crate) fn listen(&self) {
        self.each(|target, kind| self.watch(target, kind));
    }

    /// Hears no more of it.
    pub(crate) fn leave(&self) {
        self.each(|target, kind| self.ignore(target, kind));
    }

    fn each(&self, act: impl Fn(&EventTarget, &str)) {
        for kind in WINDOW_EVENTS {
            act(&self.window, kind);
        }
        for kind in DOCUMENT_EVENTS {
            if let Some(document) = &self.document {
                act(document, kind);
            }
        }
    }

    pub(crate) fn watch(&self, target: &EventTarget, kind: &str) {
        // It throws only where the callback is no function.
        let _ = target.add_event_listener_with_callback(kind, &self.on_event);
    }

    pub(crate) fn ignore(&self, target: &EventTarget, kind: &str) {
        let _ = target.remove_event_listener_with_callback(kind, &self.on_event);
    }

    /// Sets the timer, unless it comes sooner anyway.
    pub(crate) fn wake_by(&mut self, at: Micros, now: Micros) {
        if self.timer.is_none_or(|(_, armed)| armed > at) {
            self.arm(at, now);
        }
    }

    /// Sets the timer.
    pub(crate) fn arm(&mut self, at: Micros, now: Micros) {
        if self.timer.is_some_and(|(_, armed)| armed == at) {
            return;
        }
        self.disarm();
        let millis = at.saturating_sub(now).div_ceil(1_000);
        let millis = i32::try_from(millis).unwrap_or(i32::MAX);
        self.timer = self
            .window
            .set_timeout_with_callback_and_timeout_and_arguments_0(&self.on_event, millis)
            .ok()
            .map(|id| (id, at));
    }

    pub(crate) fn disarm(&mut self) {
        if let Some((id, _)) = self.timer.take() {
            self.window.clear_timeout_with_handle(id);
        }
    }

    /// The timer has come.
    pub(crate) fn woken(&mut self) {
        self.timer = None;
    }
}

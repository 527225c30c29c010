//! A client of the binary contract: the emitter's own machine on a socket.

use super::{Relay, now_us, raw::Raw, within};
use atomwire_wire::emitter::{Config, Emitter, Event, Key, NewUpdate, Stats, Step, WhenFull};
use std::time::Duration;
use tokio::time::sleep;

pub(crate) struct Session {
    pub(crate) emitter: Emitter,
    socket: Option<Raw>,
    /// Why the relay sent it away.
    pub(crate) sent_away: Option<String>,
}

impl Session {
    /// Session number `id`, with no connection.
    pub(crate) fn new(id: u8) -> Self {
        let config = Config {
            id_seed: [id; 32],
            resource: vec![("service.name".into(), "shop".into())],
            token: String::new(),
            queue_updates: 100_000,
            queue_bytes: 64 << 20,
            when_full: WhenFull::DropNewest,
        };
        Self::with(config)
    }

    pub(crate) fn with(config: Config) -> Self {
        Self { emitter: Emitter::new(config), socket: None, sent_away: None }
    }

    pub(crate) async fn connected(relay: &Relay, id: u8) -> Self {
        let mut session = Self::new(id);
        session.connect(relay).await;
        session
    }

    pub(crate) async fn connect(&mut self, relay: &Relay) {
        let mut socket = Raw::connect(relay).await;
        socket.send_message(self.emitter.opened(now_us())).await;
        self.socket = Some(socket);
    }

    /// The connection is gone, without a word.
    pub(crate) fn disconnect(&mut self) {
        self.socket = None;
        self.emitter.closed(now_us(), 0.0);
    }

    /// Writes `value`, which takes a microsecond.
    pub(crate) fn write(&mut self, key: &str, value: &str) {
        let key = self.emitter.intern(key).map_or(Key::Inline(key), Key::Index);
        let position = self.emitter.stats().created;
        let start = now_us() - 1;
        let (error, parent) = (None, None);
        self.push(&NewUpdate {
            key,
            start,
            duration: 1,
            value: Some(value),
            altered: false,
            error,
            parent,
            position,
        });
    }

    pub(crate) fn push(&mut self, update: &NewUpdate<'_>) {
        self.emitter.push(update, now_us());
    }

    /// Lets the machine have its way until nothing is pending.
    pub(crate) async fn settled(&mut self) {
        self.until(|stats| stats.pending == 0).await;
        assert_eq!(self.sent_away, None);
    }

    pub(crate) async fn until(&mut self, right: impl Fn(Stats) -> bool) {
        within("the session", async { while !right(self.emitter.stats()) && self.step().await {} }).await;
        assert!(right(self.emitter.stats()), "{:?}, {:?}", self.emitter.stats(), self.sent_away);
    }

    /// Lets the machine have its way until the connection ends.
    pub(crate) async fn run(&mut self) {
        within("the session's end", async { while self.step().await {} }).await;
    }

    /// One step; false when the connection has ended.
    async fn step(&mut self) -> bool {
        let Some(socket) = &mut self.socket else { return false };
        let wait = match self.emitter.step(now_us()) {
            Step::Send(frame) => {
                socket.send_message(frame).await;
                return true;
            }
            Step::Close => None,
            Step::Wait(at) => {
                Some(at.map_or(Duration::MAX, |at| Duration::from_micros(at - now_us().min(at))))
            }
        };
        if let Some(wait) = wait {
            let frame = tokio::select! {
                frame = socket.message() => frame,
                () = sleep(wait) => return true,
            };
            if let Some(frame) = frame {
                if let Event::GoAway(message) = self.emitter.receive(&frame, now_us()).unwrap() {
                    self.sent_away = Some(message);
                }
                return true;
            }
        }
        self.disconnect();
        false
    }
}

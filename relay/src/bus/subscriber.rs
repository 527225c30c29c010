//! One subscriber: what it asks for, sent from the ring at its own pace.

use super::Bus;
use super::connection::{Connection, Gone};
use super::listener::Stream;
use super::ring::Position;
use super::window::of_interest;
use atomwire_wire::zmtp::{Event, Limits, Role};
use futures_util::FutureExt as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What a subscriber may say: topics have 256 bytes at the most, and those of a template are many.
const LIMITS: Limits = Limits { message_bytes: 1024, message_parts: 4, subscriptions: 65_536 };

/// Sends one subscriber what it wants, until it is gone, or the bus has ended and everything is with it.
pub(super) async fn serve(bus: Bus, stream: Stream, name: String) {
    let connection = tokio::select! {
        connection = Connection::open(stream, Role::Publisher, LIMITS) => connection,
        () = bus.0.ended.cancelled() => return,
    };
    let Ok(connection) = connection else { return };
    let mut subscriber = Subscriber::join(&bus, connection);
    let sent = tokio::select! {
        sent = subscriber.run() => sent,
        () = bus.0.cut.cancelled() => Err(Gone),
    };
    if sent.is_err() && bus.0.ended.is_cancelled() {
        let (messages, bytes) = subscriber.behind();
        // Who hangs up with everything in hand lacks nothing.
        if messages > 0 {
            bus.0.behind.fetch_add(1, Ordering::Relaxed);
            tracing::warn!(subscriber = name, messages, bytes, "it has not taken the last messages");
        }
    }
}

struct Subscriber<'a> {
    bus: &'a Bus,
    connection: Connection,
    /// Everything before it is with the system, which delivers it.
    cursor: Position,
    /// The cursor, for who wants to know how far behind it is.
    lag: Arc<AtomicU64>,
    /// What it has subscribed to, as counted.
    subscriptions: i64,
    /// It has missed messages since it last had everything.
    overtaken: bool,
}

impl<'a> Subscriber<'a> {
    fn join(bus: &'a Bus, connection: Connection) -> Self {
        let cursor = bus.lock().ring.end();
        let lag = Arc::new(AtomicU64::new(cursor.bytes));
        bus.cursors().push(Arc::clone(&lag));
        bus.0.metrics.bus_subscribers.inc();
        Self { bus, connection, cursor, lag, subscriptions: 0, overtaken: false }
    }

    async fn run(&mut self) -> Result<(), Gone> {
        loop {
            // Asked for before the look: what is published in between is heard of.
            let mut appended = std::pin::pin!(self.bus.0.appended.notified());
            appended.as_mut().enable();
            // So was this: the last message is published before it is said that it was the last.
            let ended = self.bus.0.ended.is_cancelled();
            if self.send().await? {
                // Who is never at rest is heard as well.
                if let Some(said) = self.connection.read().now_or_never() {
                    said?;
                    self.heed().await?;
                }
                continue;
            }
            if ended {
                return self.connection.finish().await;
            }
            let said = tokio::select! {
                biased;
                said = self.connection.read() => Some(said),
                () = appended => None,
                () = self.bus.0.ended.cancelled() => None,
            };
            match said {
                Some(said) => {
                    said?;
                    self.heed().await?;
                }
                // Who else has something to publish does so first: it goes out together.
                None => tokio::task::yield_now().await,
            }
        }
    }

    /// Sends some of what it does not have yet; false when there is nothing.
    async fn send(&mut self) -> Result<bool, Gone> {
        let (mut chunks, mut next) = (Vec::new(), self.cursor);
        let missed = self.bus.lock().ring.read(&mut next, &mut chunks);
        let wanted = self.connection.subscriptions();
        if missed > 0 && !wanted.is_empty() {
            self.bus.0.metrics.bus_missed.inc_by(missed);
            if !std::mem::replace(&mut self.overtaken, true) {
                tracing::warn!(missed, "a subscriber is too slow: it sees by relay.seq what it misses");
            }
        }
        let some = !chunks.is_empty();
        self.overtaken &= some;
        if !wanted.matches_all() {
            chunks = chunks.iter().flat_map(|chunk| of_interest(chunk, wanted)).map(|it| it.1).collect();
        }
        self.connection.send(chunks).await?;
        self.cursor = next;
        self.lag.store(self.cursor.bytes, Ordering::Relaxed);
        Ok(some)
    }

    async fn heed(&mut self) -> Result<(), Gone> {
        for event in self.connection.events().await? {
            let more = match event {
                Event::Subscribed(_) => 1,
                Event::Cancelled(_) => -1,
                _ => 0,
            };
            self.subscriptions += more;
            self.bus.0.metrics.bus_subscriptions.inc_by(more);
        }
        Ok(())
    }

    /// Messages and bytes that it does not have yet.
    fn behind(&self) -> (u64, u64) {
        let end = self.bus.lock().ring.end();
        (end.messages - self.cursor.messages, end.bytes - self.cursor.bytes)
    }
}

impl Drop for Subscriber<'_> {
    fn drop(&mut self) {
        self.bus.cursors().retain(|lag| !Arc::ptr_eq(lag, &self.lag));
        self.bus.0.metrics.bus_subscribers.dec();
        self.bus.0.metrics.bus_subscriptions.dec_by(self.subscriptions);
    }
}

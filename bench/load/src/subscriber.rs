//! A subscriber of the bus that counts, and times what it gets.

use crate::Result;
use crate::clock::now_us;
use crate::connection::VALUE_START;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread::JoinHandle;
use tokio::sync::Semaphore;

/// How soon the thread notices that it is to end, in milliseconds.
const PATIENCE_MS: i32 = 100;

/// Messages that make their places in the window together.
const PLACES: u64 = 64;

struct Shared {
    received: AtomicU64,
    /// Missing by `relay.seq`.
    missing: AtomicU64,
    last_at: AtomicU64,
    /// Latencies of what was written from here on are kept.
    from: AtomicU64,
    stop: AtomicBool,
    window: Arc<Semaphore>,
}

/// A SUB socket on a thread of its own.
pub(crate) struct Subscriber {
    shared: Arc<Shared>,
    thread: JoinHandle<zmq::Result<Vec<u32>>>,
}

impl Subscriber {
    /// Connects to `bus` and subscribes for updates.
    pub(crate) fn start(bus: &str) -> Result<Self> {
        let socket = zmq::Context::new().socket(zmq::SUB)?;
        socket.set_rcvtimeo(PATIENCE_MS)?;
        socket.set_subscribe(b"atom-updates")?;
        socket.connect(bus)?;
        let shared = Arc::new(Shared {
            received: AtomicU64::new(0),
            missing: AtomicU64::new(0),
            last_at: AtomicU64::new(0),
            from: AtomicU64::new(u64::MAX),
            stop: AtomicBool::new(false),
            window: Arc::new(Semaphore::new(0)),
        });
        let theirs = Arc::clone(&shared);
        Ok(Self { shared, thread: std::thread::spawn(move || receive(&socket, &theirs)) })
    }

    /// Messages so far.
    pub(crate) fn received(&self) -> u64 {
        self.shared.received.load(Relaxed)
    }

    /// Messages missing so far by the relay's count.
    pub(crate) fn missing(&self) -> u64 {
        self.shared.missing.load(Relaxed)
    }

    /// Room for so many updates on their way from now on: what arrives makes place, what is lost does not.
    pub(crate) fn window(&self, updates: usize) -> Arc<Semaphore> {
        let window = Arc::clone(&self.shared.window);
        window.forget_permits(window.available_permits());
        window.add_permits(updates);
        window
    }

    /// When the newest message came, in microseconds since the epoch.
    pub(crate) fn last_at(&self) -> u64 {
        self.shared.last_at.load(Relaxed)
    }

    /// Keeps the latencies of what is written from now on.
    pub(crate) fn time_from(&self, now: u64) {
        self.shared.from.store(now, Relaxed);
    }

    /// Ends; the answer is the latencies in microseconds, ascending.
    pub(crate) fn stop(self) -> Result<Vec<u32>> {
        self.shared.stop.store(true, Relaxed);
        let mut latencies = self.thread.join().map_err(|_| "the subscriber panicked")??;
        latencies.sort_unstable();
        Ok(latencies)
    }
}

fn receive(socket: &zmq::Socket, shared: &Shared) -> zmq::Result<Vec<u32>> {
    let (mut latencies, mut next_seq, mut message) = (Vec::new(), None, zmq::Message::new());
    while !shared.stop.load(Relaxed) {
        match socket.recv(&mut message, 0) {
            Ok(()) => {}
            Err(zmq::Error::EAGAIN) => continue,
            Err(error) => return Err(error),
        }
        socket.recv(&mut message, 0)?;
        let now = now_us();
        if let Some(seq) = relay_seq(&message) {
            shared.missing.fetch_add(seq - next_seq.unwrap_or(seq), Relaxed);
            next_seq = Some(seq + 1);
        }
        if let Some(written) = written_at(&message)
            && written >= shared.from.load(Relaxed)
        {
            latencies.push(now.saturating_sub(written) as u32);
        }
        shared.last_at.store(now, Relaxed);
        if shared.received.fetch_add(1, Relaxed) % PLACES == PLACES - 1 {
            shared.window.add_permits(PLACES as usize);
        }
    }
    Ok(latencies)
}

/// The number at the end of a relay's payload: `…"seq":123}}`.
fn relay_seq(payload: &[u8]) -> Option<u64> {
    let digits = payload.strip_suffix(b"}}")?;
    let start = digits.iter().rposition(|byte| !byte.is_ascii_digit())? + 1;
    std::str::from_utf8(&digits[start..]).ok()?.parse().ok()
}

/// The time with which each value begins.
fn written_at(payload: &[u8]) -> Option<u64> {
    let time = payload.strip_prefix(VALUE_START.as_bytes())?.get(..16)?;
    std::str::from_utf8(time).ok()?.parse().ok()
}

/// The value below which `share` of `sorted` lies; zero of nothing.
pub(crate) fn percentile(sorted: &[u32], share: f64) -> f64 {
    let at = (sorted.len() as f64 * share) as usize;
    sorted.get(at.min(sorted.len().saturating_sub(1))).map_or(0.0, |value| f64::from(*value))
}

//! The bus: one libzmq XPUB on a thread of its own, fed through a queue that is bounded in bytes.
//!
//! A full queue makes [`Bus::publish`] wait, so that a slow bus slows the sockets down and not the
//! memory up. What was asked for together is answered together, in order, by [`Settled`].

mod replay;
mod sockopt;
mod thread;

use crate::config::{SlowSubscribers, Topic};
use crate::metrics::Metrics;
use crate::trace::{Record, Resource, Spans};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use thiserror::Error;
use tokio::sync::Semaphore;
use tokio::sync::mpsc::UnboundedSender;

/// Bytes that may wait for the bus thread: half a second at 100,000 updates of 640 bytes a second.
const QUEUE_BYTES: usize = 32 * 1024 * 1024;

/// The topic of what was lost, and of beginnings and ends.
const LEDGER_TOPIC: &str = "atomwire.ledger";

/// One update on its way out.
#[derive(Debug)]
pub(crate) struct Message {
    /// Its number in the session.
    pub(crate) seq: u64,
    /// The atom's key, for a templated topic.
    pub(crate) key: Arc<str>,
    /// The payload's JSON up to where `relay.seq` goes.
    pub(crate) payload: Vec<u8>,
    /// Its spans, when its trace is sampled.
    pub(crate) record: Option<Box<Record>>,
}

/// What is published together.
#[derive(Debug, Default)]
pub(crate) struct Job {
    pub(crate) messages: Vec<Message>,
    /// Payloads for the ledger topic, up to where `relay.seq` goes.
    pub(crate) notes: Vec<Vec<u8>>,
    /// Whom to tell, and the number after the last that this job accounts for.
    pub(crate) settle: Option<(Origin, u64)>,
}

/// The session that a job's messages come from.
#[derive(Debug, Clone)]
pub(crate) struct Origin {
    pub(crate) session: Arc<str>,
    /// Of the browser's spans.
    pub(crate) resource: Resource,
    pub(crate) settled: UnboundedSender<Settled>,
}

/// The bus has done with a job.
#[derive(Debug)]
pub(crate) struct Settled {
    /// Every update below this number is out.
    pub(crate) end: u64,
    /// But for these, ascending.
    pub(crate) dropped: Vec<u64>,
}

/// The bus could not be opened.
#[derive(Debug, Error)]
#[error("cannot bind {setting} to {endpoint}: {source}")]
pub(crate) struct BindError {
    setting: &'static str,
    endpoint: String,
    source: zmq::Error,
}

/// What the thread needs.
pub(crate) struct BusConfig {
    pub(crate) bus: String,
    pub(crate) replay: String,
    pub(crate) replay_bytes: usize,
    pub(crate) topic: Topic,
    pub(crate) slow_subscribers: SlowSubscribers,
    pub(crate) relay_id: String,
}

/// A handle to the bus thread; clones share it.
#[derive(Clone)]
pub(crate) struct Bus {
    queue: mpsc::Sender<(Job, usize)>,
    room: Arc<Semaphore>,
}

/// The bus thread itself, and where it listens.
pub(crate) struct BusThread {
    pub(crate) bus: String,
    pub(crate) replay: String,
    thread: JoinHandle<()>,
}

impl BusThread {
    /// Waits until everything published is out or the linger time is over. Every [`Bus`] must be gone.
    pub(crate) fn join(self) {
        // A panic of that thread aborts the process; there is no other way to fail.
        let _ = self.thread.join();
    }
}

impl Bus {
    /// Binds both sockets and starts the thread.
    pub(crate) fn start(
        config: BusConfig,
        metrics: Arc<Metrics>,
        spans: Spans,
    ) -> Result<(Self, BusThread), BindError> {
        let sockets = thread::Sockets::bind(&config)?;
        let (bus, replay) = (sockets.bus_endpoint.clone(), sockets.replay_endpoint.clone());
        let (queue, jobs) = mpsc::channel();
        let room = Arc::new(Semaphore::new(QUEUE_BYTES));
        let publisher = thread::Publisher::new(config, sockets, metrics, spans, Arc::clone(&room));
        let thread = std::thread::Builder::new().name("bus".into()).spawn(move || publisher.run(&jobs));
        let thread = thread.unwrap_or_else(|error| unreachable!("a thread at startup: {error}"));
        Ok((Self { queue, room }, BusThread { bus, replay, thread }))
    }

    /// Bytes that wait for the bus thread.
    pub(crate) fn queued(&self) -> usize {
        QUEUE_BYTES - self.room.available_permits()
    }

    /// Hands `job` over, as soon as the queue has room.
    pub(crate) async fn publish(&self, job: Job) {
        let weight = job.weight().min(QUEUE_BYTES);
        if let Ok(room) = self.room.acquire_many(weight as u32).await {
            room.forget();
            // The thread ends only once every handle is gone.
            let _ = self.queue.send((job, weight));
        }
    }
}

impl Job {
    /// What it takes in memory, roughly: the bytes, and what surrounds them.
    fn weight(&self) -> usize {
        let record = |record: &Option<Box<Record>>| record.as_ref().map_or(0, |record| record.weight());
        let messages = self.messages.iter().map(|it| it.payload.capacity() + 64 + record(&it.record));
        64 + messages.sum::<usize>() + self.notes.iter().map(|note| note.len() + 32).sum::<usize>()
    }
}

//! What every connection shares.

use crate::bus::Bus;
use crate::metrics::Metrics;
use crate::sessions::Sessions;
use crate::trace::Spans;
use std::sync::Arc;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Open WebSocket connections. At about 8 KB each with its session, 1 GB.
pub(crate) const CONNECTIONS: usize = 131_072;

/// The relay, as a connection sees it.
pub(crate) struct Relay {
    /// New at each start: 16 hexadecimal characters.
    pub(crate) id: String,
    pub(crate) bus: Bus,
    pub(crate) spans: Spans,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) sessions: Arc<Sessions>,
    pub(crate) token: Option<String>,
    /// Values go onto spans.
    pub(crate) dev: bool,
    /// Cancelled when the relay begins to drain.
    pub(crate) draining: CancellationToken,
    /// Cancelled when whoever is still there then has had time enough.
    pub(crate) cut: CancellationToken,
    pub(crate) connections: Arc<Semaphore>,
    pub(crate) tasks: TaskTracker,
}

impl Relay {
    /// Runs what a drain waits for. It may be cut off at any point where it waits; the answer is then none.
    pub(crate) fn spawn<F>(&self, task: F) -> JoinHandle<Option<F::Output>>
    where
        F: Future<Output: Send> + Send + 'static,
    {
        // In a box, or what waits beside it takes the task's size three times.
        self.tasks.spawn(self.cut.clone().run_until_cancelled_owned(Box::pin(task)))
    }

    /// Whether `token` is the one that the operator asks for, if any is; compared in constant time.
    pub(crate) fn admits(&self, token: &str) -> bool {
        let Some(wanted) = &self.token else { return true };
        let pairs = wanted.bytes().zip(token.bytes());
        let difference = pairs.fold(wanted.len() ^ token.len(), |sum, (a, b)| sum | usize::from(a ^ b));
        difference == 0
    }
}

//! The end: stop accepting, send clients away, last messages out, last spans out, within a deadline.

use crate::relay::Relay;
use crate::trace::ExportThread;
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// For each of the three: clients, messages, spans. Together less than the 30 seconds after which
/// Kubernetes kills.
const DEADLINE: Duration = Duration::from_secs(8);

/// Cancels `draining` at the first SIGTERM or SIGINT, and ends the process at the second.
pub(crate) fn on_signal(draining: CancellationToken) -> JoinHandle<()> {
    let open = |kind| signal(kind).unwrap_or_else(|error| unreachable!("a signal at startup: {error}"));
    let (mut term, mut int) = (open(SignalKind::terminate()), open(SignalKind::interrupt()));
    tokio::spawn(async move {
        either(&mut term, &mut int).await;
        tracing::info!("draining; a second signal ends at once");
        draining.cancel();
        either(&mut term, &mut int).await;
        tracing::warn!("ending at once");
        std::process::exit(1);
    })
}

async fn either(term: &mut Signal, int: &mut Signal) {
    tokio::select! {
        _ = term.recv() => {}
        _ = int.recv() => {}
    }
}

/// Waits for the connections, the bus and the exporter, in this order, and says what was left. Clients that
/// take longer are cut off: none of them keeps the last messages back, or makes an end a failure.
pub(crate) async fn drain(relay: Arc<Relay>, exporter: Option<ExportThread>) {
    relay.tasks.close();
    let clients = timeout(DEADLINE, relay.tasks.wait()).await.is_ok();
    relay.cut.cancel();
    relay.tasks.wait().await;
    let metrics = Arc::clone(&relay.metrics);
    let subscribers_behind = relay.bus.end(DEADLINE).await;
    // The last handle to the exporter, which ends when it has done what is queued.
    drop(relay);
    let spans = match exporter {
        Some(exporter) => {
            let ended = tokio::task::spawn_blocking(|| exporter.join());
            timeout(DEADLINE, ended).await.is_ok_and(|dropped| dropped.is_ok_and(|spans| spans == 0))
        }
        None => true,
    };
    tracing::info!(
        clients_drained = clients,
        messages_drained = subscribers_behind == 0,
        subscribers_behind,
        spans_drained = spans,
        received = metrics.received.get(),
        published = metrics.published.get(),
        dropped = metrics.dropped(),
        duplicate = metrics.duplicates.get(),
        spans_exported = metrics.spans_exported.get(),
        "ended"
    );
    if !(subscribers_behind == 0 && spans) {
        // Whoever did not keep the deadline is not waited for, and what is not out is lost.
        std::process::exit(1);
    }
}

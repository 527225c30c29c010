//! An in-memory OTLP receiver and one page that shows its traces while they arrive.
//!
//! [`TraceStore`] is the whole of it: feed it by OTLP/gRPC ([`serve_otlp_grpc`]), by OTLP/HTTP
//! ([`serve_otlp_http`] or [`otlp_http_router`]) or directly ([`ingest`]), and mount [`router`] to look
//! at what came in. It is made for a developer's own machine: nothing is written to disk, memory is
//! bounded by [`Limits`], and whatever is dropped is counted and shown.
//!
//! [`serve_otlp_grpc`]: TraceStore::serve_otlp_grpc
//! [`serve_otlp_http`]: TraceStore::serve_otlp_http
//! [`otlp_http_router`]: TraceStore::otlp_http_router
//! [`ingest`]: TraceStore::ingest
//! [`router`]: TraceStore::router

mod api;
mod attributes;
mod id;
mod ingest;
mod limits;
mod local;
mod loss;
mod otlp_grpc;
mod otlp_http;
mod page;
mod span;
mod store;

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use tokio::net::TcpListener;
use tokio::sync::watch;

pub use limits::Limits;
pub use store::Stats;

/// A bounded store of traces; clones share it.
#[derive(Clone)]
pub struct TraceStore {
    shared: Arc<Shared>,
}

struct Shared {
    limits: Limits,
    store: Mutex<store::Store>,
    /// What the pages' live streams wait on.
    changes: watch::Sender<Change>,
    /// One permit for each live stream.
    streams: Arc<tokio::sync::Semaphore>,
}

/// The newest thing that happened; older ones need not be known to fetch the present state.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Change {
    Version(u64),
    Closed,
}

/// A receiver stopped for another reason than its shutdown future.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// The OTLP/HTTP server failed.
    #[error("the OTLP/HTTP receiver failed")]
    Http(#[source] io::Error),
    /// The OTLP/gRPC server failed.
    #[error("the OTLP/gRPC receiver failed")]
    Grpc(#[source] tonic::transport::Error),
}

impl TraceStore {
    /// An empty store.
    pub fn new(limits: Limits) -> Self {
        let store = Mutex::new(store::Store::new(limits.clone()));
        let changes = watch::Sender::new(Change::Version(0));
        let streams = Arc::new(tokio::sync::Semaphore::new(api::MAX_STREAMS));
        Self { shared: Arc::new(Shared { limits, store, changes, streams }) }
    }

    /// The page and its JSON API, all under `/traces`.
    ///
    /// Requests must name the host as `localhost` or by an IP address: otherwise any website could read
    /// the traces by pointing its own name at this machine (DNS rebinding).
    pub fn router(&self) -> Router {
        page::router().merge(api::router(self.clone())).layer(axum::middleware::from_fn(local::require_host))
    }

    /// OTLP/HTTP: `POST /v1/traces`, and `/v1/metrics` and `/v1/logs`, which are accepted and discarded.
    ///
    /// Takes protobuf and JSON, plain or gzip; web pages from this machine may post (CORS).
    pub fn otlp_http_router(&self) -> Router {
        otlp_http::router(self.clone())
    }

    /// Serves [`otlp_http_router`](Self::otlp_http_router) until `shutdown` resolves and the requests
    /// under way are answered.
    ///
    /// # Errors
    /// When the listener fails.
    pub async fn serve_otlp_http(
        &self,
        listener: TcpListener,
        shutdown: impl Future<Output = ()> + Send + 'static,
    ) -> Result<(), ServeError> {
        let serve = axum::serve(listener, self.otlp_http_router());
        serve.with_graceful_shutdown(shutdown).await.map_err(ServeError::Http)
    }

    /// Serves OTLP/gRPC (traces; metrics and logs are accepted and discarded; plain or gzip) until
    /// `shutdown` resolves and the requests under way are answered.
    ///
    /// # Errors
    /// When the listener or the HTTP/2 server fails.
    pub async fn serve_otlp_grpc(
        &self,
        listener: TcpListener,
        shutdown: impl Future<Output = ()> + Send + 'static,
    ) -> Result<(), ServeError> {
        otlp_grpc::serve(self.clone(), listener, shutdown).await.map_err(ServeError::Grpc)
    }

    /// Stores the spans of a request, exactly as if it had come over the wire.
    ///
    /// Invalid spans and those over a limit are refused; the response's `partial_success` says how many,
    /// and names the field or limit of the first.
    pub fn ingest(&self, request: &ExportTraceServiceRequest) -> ExportTraceServiceResponse {
        let packed = ingest::pack(request, &self.shared.limits);
        let (response, version) = {
            let mut store = self.lock();
            (ingest::keep(packed, &mut store), store.version())
        };
        if let Some(partial) = &response.partial_success {
            tracing::warn!(spans = partial.rejected_spans, reason = ?partial.error_message, "refused spans");
        }
        self.shared.changes.send_if_modified(|change| match change {
            // Two requests may come here in the other order than they got the lock.
            Change::Version(seen) if *seen < version => {
                *seen = version;
                true
            }
            _ => false,
        });
        response
    }

    /// What is held and what was dropped.
    pub fn stats(&self) -> Stats {
        self.lock().stats()
    }

    /// Ends the live streams of open pages and starts no new ones: a server that shuts down gracefully
    /// would wait for them for ever.
    pub fn close(&self) {
        self.shared.changes.send_replace(Change::Closed);
    }

    fn lock(&self) -> MutexGuard<'_, store::Store> {
        // A panic under the lock could only leave a count behind; traces stay readable.
        self.shared.store.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

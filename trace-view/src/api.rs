//! The page's JSON API: the list, one trace, and a stream that says when to look again.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use futures_util::Stream;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tokio::sync::{OwnedSemaphorePermit, watch};

use crate::id::{IdError, SessionId, SpanId, TraceId};
use crate::loss::{Kind, Loss};
use crate::span::{Nanos, Span};
use crate::store::{Filter, Listing, LossFilter, Snapshot, Stats};
use crate::{Change, TraceStore};

/// Live streams open at once: a browser allows six a host, so this is a handful of browsers.
pub(crate) const MAX_STREAMS: usize = 32;

/// A stream speaks at most five times a second, however fast spans arrive.
const PAUSE: Duration = Duration::from_millis(200);

const DEFAULT_LIST: usize = 100;
const MAX_LIST: usize = 1_000;

pub(crate) fn router(store: TraceStore) -> Router {
    Router::new()
        .route("/traces/api/traces", get(list))
        .route("/traces/api/traces/{trace_id}", get(trace))
        .route("/traces/api/events", get(events))
        .with_state(store)
}

#[derive(Deserialize)]
struct ListQuery {
    key: Option<String>,
    service: Option<String>,
    losses: Option<LossFilter>,
    limit: Option<usize>,
}

#[derive(Serialize)]
struct ListAnswer {
    #[serde(flatten)]
    listing: Listing,
    stats: Stats,
}

async fn list(
    State(store): State<TraceStore>,
    query: Result<Query<ListQuery>, QueryRejection>,
) -> Result<Response, ApiError> {
    let Query(query) = query?;
    let limit = query.limit.unwrap_or(DEFAULT_LIST);
    if limit > MAX_LIST {
        return Err(ApiError::Limit { limit });
    }
    let present = |text: &String| !text.is_empty();
    let filter = Filter {
        key: query.key.as_ref().filter(|key| present(key)).map(String::as_str),
        service: query.service.as_ref().filter(|name| present(name)).map(String::as_str),
        losses: query.losses,
    };
    let answer = {
        let store = store.lock();
        ListAnswer { listing: store.list(filter, limit), stats: store.stats() }
    };
    Ok(fresh_json(&answer))
}

async fn trace(State(store): State<TraceStore>, Path(trace_id): Path<String>) -> Result<Response, ApiError> {
    let trace_id = parse_trace_id(&trace_id)?;
    let snapshot = store.lock().snapshot(trace_id).ok_or(ApiError::NoTrace)?;
    Ok(fresh_json(&TraceView::new(trace_id, &snapshot)))
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TraceView<'a> {
    trace_id: TraceId,
    version: u64,
    /// Spans of this trace that were over a limit.
    refused: u64,
    /// `{"service", "resource": attributes, "scope": {"name", "version", attributes}}`
    sources: Vec<&'a RawValue>,
    spans: Vec<SpanView<'a>>,
    sessions: Vec<SessionView<'a>>,
}

/// A session of the trace's spans.
#[derive(Serialize)]
struct SessionView<'a> {
    id: SessionId,
    /// What it has lost so far, in other traces, too.
    lost: &'a [Kind],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SpanView<'a> {
    span_id: SpanId,
    parent_span_id: Option<SpanId>,
    name: &'a str,
    kind: &'static str,
    start: Nanos,
    end: Nanos,
    status: &'static str,
    key: Option<&'a str>,
    loss: Option<&'a Loss>,
    /// Index into `sources`.
    source: usize,
    detail: &'a RawValue,
}

impl<'a> TraceView<'a> {
    fn new(trace_id: TraceId, snapshot: &'a Snapshot) -> Self {
        Self {
            trace_id,
            version: snapshot.version,
            refused: snapshot.refused,
            sources: snapshot.sources.iter().map(|source| &*source.json).collect(),
            spans: snapshot.spans.iter().map(|(source, span)| SpanView::new(*source, span)).collect(),
            sessions: snapshot.sessions.iter().map(|(id, lost)| SessionView { id: *id, lost }).collect(),
        }
    }
}

impl<'a> SpanView<'a> {
    fn new(source: usize, span: &'a Span) -> Self {
        Self {
            span_id: span.id,
            parent_span_id: span.parent,
            name: &span.name,
            kind: span.kind,
            start: Nanos(span.start),
            end: Nanos(span.end),
            status: span.status,
            key: span.key.as_deref(),
            loss: span.loss.as_ref(),
            source,
            detail: &span.detail,
        }
    }
}

#[derive(Deserialize)]
struct EventsQuery {
    /// The trace that is open in the page.
    trace: Option<String>,
}

/// `version` moves with every write to the store, `trace` with every write to the open trace and every
/// loss of its sessions.
#[derive(Serialize)]
struct ChangeView {
    version: u64,
    trace: Option<u64>,
}

async fn events(
    State(store): State<TraceStore>,
    query: Result<Query<EventsQuery>, QueryRejection>,
) -> Result<Response, ApiError> {
    let trace_id = query?.0.trace.as_deref().map(parse_trace_id).transpose()?;
    let permit = Arc::clone(&store.shared.streams).try_acquire_owned().map_err(|_| ApiError::Streams)?;
    let live =
        Live { changes: store.shared.changes.subscribe(), store, trace_id, started: false, _permit: permit };
    let stream = Sse::new(live.into_stream()).keep_alive(KeepAlive::default());
    Ok(([(header::CACHE_CONTROL, "no-store")], stream).into_response())
}

/// One page's stream: it says where things stand, pauses, and says so again when they have moved.
struct Live {
    store: TraceStore,
    trace_id: Option<TraceId>,
    changes: watch::Receiver<Change>,
    started: bool,
    /// Given back when the browser hangs up.
    _permit: OwnedSemaphorePermit,
}

impl Live {
    fn into_stream(self) -> impl Stream<Item = Result<Event, Infallible>> {
        futures_util::stream::unfold(self, |mut live| async move {
            let event = live.next().await?;
            Some((Ok(event), live))
        })
    }

    /// `None` once the store is closed.
    async fn next(&mut self) -> Option<Event> {
        if self.started {
            tokio::time::sleep(PAUSE).await;
            self.changes.changed().await.ok()?;
        }
        let Change::Version(version) = *self.changes.borrow_and_update() else { return None };
        let trace = self.trace_id.and_then(|id| self.store.lock().trace_version(id));
        let data = serde_json::to_string(&ChangeView { version, trace }).ok()?;
        let event = Event::default().event("change").data(data);
        let first = !std::mem::replace(&mut self.started, true);
        // The browser comes back by itself after this time.
        Some(if first { event.retry(Duration::from_secs(1)) } else { event })
    }
}

#[derive(Debug, thiserror::Error)]
enum ApiError {
    #[error("{0}")]
    Query(#[from] QueryRejection),
    #[error("limit is {limit}, the most is {MAX_LIST}")]
    Limit { limit: usize },
    #[error("trace id {0}")]
    TraceId(IdError),
    #[error("no such trace: it has not arrived yet, or was evicted")]
    NoTrace,
    #[error("{MAX_STREAMS} live streams are open already")]
    Streams,
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        #[derive(Serialize)]
        struct Body {
            error: String,
        }
        let status = match self {
            Self::Query(_) | Self::Limit { .. } | Self::TraceId(_) => StatusCode::BAD_REQUEST,
            Self::NoTrace => StatusCode::NOT_FOUND,
            Self::Streams => StatusCode::SERVICE_UNAVAILABLE,
        };
        (status, fresh_json(&Body { error: self.to_string() })).into_response()
    }
}

fn parse_trace_id(text: &str) -> Result<TraceId, ApiError> {
    text.parse().map_err(ApiError::TraceId)
}

fn fresh_json(body: &impl Serialize) -> Response {
    let headers = [(header::CACHE_CONTROL, "no-store"), (header::X_CONTENT_TYPE_OPTIONS, "nosniff")];
    (headers, Json(body)).into_response()
}

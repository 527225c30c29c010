//! The relay's HTTP face: upgrades, the last request of a page, and what operators ask.

use crate::relay::Relay;
use crate::stream::{self, Socket};
use atomwire_wire::{SUBPROTOCOL, limits};
use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, FromRequest as _, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Version, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

/// A connection's share of all that may be open; a socket keeps it after the upgrade.
#[derive(Clone)]
pub(crate) struct Permit(
    #[expect(dead_code, reason = "held, not read")] pub(crate) Arc<OwnedSemaphorePermit>,
);

/// A body: a frame of the largest size, and the `Hello` before it.
const BODY_BYTES: usize = limits::FRAME_BYTES + 64 * 1024;

/// How long a body may take: browsers send a page's last 64 KiB.
const BODY_TIMEOUT: Duration = Duration::from_secs(5);

/// For how long a required consumer may be away before `/ready` says so.
const AWAY: Duration = Duration::from_secs(10);

/// All routes; `extra` are the trace view's, under `--dev`.
pub(crate) fn router(relay: Arc<Relay>, extra: Option<Router>) -> Router {
    let router = Router::new()
        .route("/", get(upgrade))
        .route("/v1/stream", get(upgrade))
        .route("/v1/batch", post(batch).layer(DefaultBodyLimit::max(BODY_BYTES)))
        .route("/health", get(async || "ok\n"))
        .route("/ready", get(ready))
        .route("/metrics", get(metrics))
        .with_state(relay);
    let router = match extra {
        Some(extra) => router.merge(extra),
        None => router,
    };
    router.layer(middleware::from_fn(host))
}

/// A required consumer that is away is named, and the relay is ready all the same: what clients have made is safe
/// with them as long as they are connected.
async fn ready(State(relay): State<Arc<Relay>>) -> (StatusCode, String) {
    if relay.draining.is_cancelled() {
        return (StatusCode::SERVICE_UNAVAILABLE, "draining\n".to_owned());
    }
    let consumers = relay.bus.consumers().into_iter().filter(|it| it.required);
    let away = consumers.filter_map(|it| it.away.filter(|away| *away >= AWAY).map(|away| (it, away)));
    let said = away.map(|(it, away)| {
        let (consumer, messages) = (it.consumer, it.messages);
        format!(
            "required consumer {consumer} has been away for {} s, with {messages} messages to come\n",
            away.as_secs()
        )
    });
    (StatusCode::OK, std::iter::once("ready\n".to_owned()).chain(said).collect())
}

async fn metrics(State(relay): State<Arc<Relay>>) -> impl IntoResponse {
    relay.bus.measure();
    let content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, content_type)], relay.metrics.text())
}

/// Any page may call: there are no cookies, and a session is proved by its seed.
async fn batch(State(relay): State<Arc<Relay>>, request: Request) -> Result<Response, Response> {
    let body = timeout(BODY_TIMEOUT, Bytes::from_request(request, &())).await;
    let body = body.map_err(|_| StatusCode::REQUEST_TIMEOUT.into_response())?;
    let body = body.map_err(IntoResponse::into_response)?;
    // On a task of its own: this future ends when the page is gone, which may be before the session is free.
    let answer = relay.spawn(stream::batch(Arc::clone(&relay), body)).await;
    let answer =
        answer.ok().flatten().flatten().ok_or_else(|| StatusCode::SERVICE_UNAVAILABLE.into_response())?;
    let headers =
        [(header::CONTENT_TYPE, "application/octet-stream"), (header::ACCESS_CONTROL_ALLOW_ORIGIN, "*")];
    Ok((headers, answer).into_response())
}

/// The contract that a client asks for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Contract {
    Frames,
    Plain,
}

async fn upgrade(State(relay): State<Arc<Relay>>, mut request: Request) -> Response {
    let (contract, accept) = match handshake(&request) {
        Ok(asked) => asked,
        Err(refusal) => return refused(refusal),
    };
    if contract == Contract::Plain && !relay.admits(bearer(request.headers())) {
        let message = "authorization must be the bearer token that this relay asks for\n";
        return (StatusCode::UNAUTHORIZED, message).into_response();
    }
    let permit = request.extensions().get::<Permit>().cloned();
    let upgraded = hyper::upgrade::on(&mut request);
    let number = relay.sessions.arrive();
    Arc::clone(&relay).spawn(async move {
        let _permit = permit;
        let Ok(upgraded) = upgraded.await else { return };
        let metrics = Arc::clone(&relay.metrics);
        metrics.connections.inc();
        let mut socket = Socket::new(upgraded).await;
        match contract {
            Contract::Frames => stream::serve_frames(relay, &mut socket, number).await,
            Contract::Plain => stream::serve_plain(relay, &mut socket).await,
        }
        metrics.connections.dec();
    });
    let mut response = StatusCode::SWITCHING_PROTOCOLS.into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
    if contract == Contract::Frames {
        headers.insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(SUBPROTOCOL));
    }
    response
}

/// The opening handshake of RFC 6455, section 4.2.
fn handshake(request: &Request) -> Result<(Contract, HeaderValue), (StatusCode, String)> {
    let headers = request.headers();
    // HTTP/1.0 knows no upgrade, whatever its headers say (RFC 9110, section 7.8).
    let may = request.method() == Method::GET && request.version() >= Version::HTTP_11;
    let asks = lists(headers, header::UPGRADE, "websocket") && lists(headers, header::CONNECTION, "upgrade");
    if !may || !asks {
        let message = "atomwire-relay: connect by WebSocket; see /health, /ready and /metrics\n";
        return Err((StatusCode::UPGRADE_REQUIRED, message.into()));
    }
    if !lists(headers, header::SEC_WEBSOCKET_VERSION, "13") {
        return Err((StatusCode::UPGRADE_REQUIRED, "sec-websocket-version must be 13\n".into()));
    }
    let refuse = |message: String| Err((StatusCode::BAD_REQUEST, message));
    let key = headers.get(header::SEC_WEBSOCKET_KEY).map(HeaderValue::as_bytes).unwrap_or_default();
    if !is_nonce(key) {
        return refuse("sec-websocket-key must be 16 bytes in base64\n".into());
    }
    let contract = if lists(headers, header::SEC_WEBSOCKET_PROTOCOL, SUBPROTOCOL) {
        Contract::Frames
    } else if headers.contains_key(header::SEC_WEBSOCKET_PROTOCOL) {
        return refuse(format!(
            "sec-websocket-protocol must be {SUBPROTOCOL}, or absent for JSON messages\n"
        ));
    } else {
        Contract::Plain
    };
    let accept = HeaderValue::from_str(&derive_accept_key(key));
    Ok((contract, accept.unwrap_or_else(|error| unreachable!("base64 in a header: {error}"))))
}

/// The answer to a handshake that is refused: 426 names what it asks for (RFC 9110, section 15.5.22; for the version
/// RFC 6455, section 4.4).
fn refused(refusal: (StatusCode, String)) -> Response {
    if refusal.0 != StatusCode::UPGRADE_REQUIRED {
        return refusal.into_response();
    }
    let headers = [
        (header::CONNECTION, "upgrade"),
        (header::UPGRADE, "websocket"),
        (header::SEC_WEBSOCKET_VERSION, "13"),
    ];
    (headers, refusal).into_response()
}

/// Whether `key` has the form of 16 bytes in base64 (RFC 6455, section 4.1).
fn is_nonce(key: &[u8]) -> bool {
    let digit = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
    key.strip_suffix(b"==").is_some_and(|digits| digits.len() == 22 && digits.iter().all(digit))
}

/// Refuses what lacks a `Host`, or has several (RFC 9112, section 3.2).
async fn host(request: Request, next: Next) -> Response {
    let hosts = request.headers().get_all(header::HOST).iter().count();
    if hosts > 1 || (hosts == 0 && request.version() >= Version::HTTP_11) {
        return (StatusCode::BAD_REQUEST, "a request has one host\n").into_response();
    }
    next.run(request).await
}

/// Whether a comma-separated header has `value` among its own, in any case.
fn lists(headers: &HeaderMap, name: header::HeaderName, value: &str) -> bool {
    let values = headers.get_all(name);
    let mut parts = values.iter().filter_map(|it| it.to_str().ok()).flat_map(|it| it.split(','));
    parts.any(|part| part.trim().eq_ignore_ascii_case(value))
}

fn bearer(headers: &HeaderMap) -> &str {
    let value = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    value.and_then(|value| value.strip_prefix("Bearer ")).unwrap_or_default()
}

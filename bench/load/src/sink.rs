//! A collector that takes everything, by gRPC and by HTTP, and counts it.

use crate::Result;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::DefaultBodyLimit;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::response::Response;
use axum::routing::post;
use http_body_util::{BodyExt as _, Full};
use prost::encoding::{DecodeContext, WireType, decode_key, decode_varint, skip_field};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::time::sleep;

/// An `ExportTraceServiceResponse` that says nothing, as a gRPC message: not compressed, no bytes.
const ANSWER: &[u8] = &[0; 5];
const STATUS: HeaderName = HeaderName::from_static("grpc-status");

/// A running collector.
pub(crate) struct Sink {
    /// Its OTLP endpoint, for both protocols.
    pub(crate) endpoint: String,
    spans: Arc<AtomicU64>,
}

impl Sink {
    /// Starts it; each request takes it `delay`.
    pub(crate) async fn start(delay: Duration) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let endpoint = format!("http://{}", listener.local_addr()?);
        let spans = Arc::new(AtomicU64::new(0));
        let (of_http, of_grpc) = (Arc::clone(&spans), Arc::clone(&spans));
        let http = post(async move |request: Bytes| {
            sleep(delay).await;
            of_http.fetch_add(count(&request), Relaxed);
        });
        let grpc = post(async move |request: Bytes| {
            sleep(delay).await;
            // One message, not compressed, after its five bytes of prefix.
            of_grpc.fetch_add(request.get(5..).map_or(0, count), Relaxed);
            let status = HeaderMap::from_iter([(STATUS, HeaderValue::from_static("0"))]);
            let body = Full::new(Bytes::from_static(ANSWER)).with_trailers(async { Some(Ok(status)) });
            let mut answer = Response::new(Body::new(body));
            answer.headers_mut().insert("content-type", HeaderValue::from_static("application/grpc"));
            answer
        });
        let router = Router::new()
            .route("/v1/traces", http)
            .route("/opentelemetry.proto.collector.trace.v1.TraceService/Export", grpc)
            .layer(DefaultBodyLimit::disable());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Ok(Self { endpoint, spans })
    }

    /// Spans that it has taken so far.
    pub(crate) fn spans(&self) -> u64 {
        self.spans.load(Relaxed)
    }
}

/// The spans of an `ExportTraceServiceRequest`: `resource_spans`, in them `scope_spans`, in them `spans`.
fn count(request: &[u8]) -> u64 {
    let spans = fields(request, 1).flat_map(|it| fields(it, 2)).flat_map(|it| fields(it, 2));
    spans.count() as u64
}

/// The messages in the field `number` of the message `bytes`.
fn fields(mut bytes: &[u8], number: u32) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        while !bytes.is_empty() {
            let (tag, kind) = decode_key(&mut bytes).ok()?;
            if kind != WireType::LengthDelimited {
                skip_field(kind, tag, &mut bytes, DecodeContext::default()).ok()?;
                continue;
            }
            let len = usize::try_from(decode_varint(&mut bytes).ok()?).ok()?;
            let (field, rest) = bytes.split_at_checked(len)?;
            bytes = rest;
            if tag == number {
                return Some(field);
            }
        }
        None
    })
}

//! A collector that takes everything, by gRPC and by HTTP, and does nothing with it.

use crate::Result;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::DefaultBodyLimit;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::response::Response;
use axum::routing::post;
use http_body_util::{BodyExt as _, Full};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::time::sleep;

/// An `ExportTraceServiceResponse` that says nothing, as a gRPC message: not compressed, no bytes.
const ANSWER: &[u8] = &[0; 5];
const STATUS: HeaderName = HeaderName::from_static("grpc-status");

/// Starts it; each request takes it `delay`. The answer is its OTLP endpoint, for both protocols.
pub(crate) async fn start(delay: Duration) -> Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let http = post(async move |_spans: Bytes| sleep(delay).await);
    let grpc = post(async move |_spans: Bytes| {
        sleep(delay).await;
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
    Ok(format!("http://{address}"))
}

//! A collector that takes everything and does nothing with it.

use crate::Result;
use axum::Router;
use axum::body::Bytes;
use axum::extract::DefaultBodyLimit;
use axum::routing::post;
use tokio::net::TcpListener;

/// Starts it; the answer is its OTLP/HTTP endpoint.
pub(crate) async fn start() -> Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let take = post(async |_spans: Bytes| "").layer(DefaultBodyLimit::disable());
    tokio::spawn(async move { axum::serve(listener, Router::new().route("/v1/traces", take)).await });
    Ok(format!("http://{address}"))
}

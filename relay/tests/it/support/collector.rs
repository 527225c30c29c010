//! A collector: OTLP by gRPC and by HTTP, as the specification has it.

use super::within;
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;
use std::collections::HashMap;
use std::io::Read as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tonic::codec::CompressionEncoding;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};

/// A span, under the resource that it came with.
#[derive(Debug, Clone)]
pub(crate) struct Received {
    pub(crate) resource: HashMap<String, String>,
    pub(crate) span: Span,
    /// Its attributes as text.
    pub(crate) attributes: HashMap<String, String>,
    /// The request's headers.
    pub(crate) headers: Arc<HeaderMap>,
}

#[derive(Clone)]
pub(crate) struct Collector {
    pub(crate) grpc: SocketAddr,
    pub(crate) http: SocketAddr,
    spans: watch::Sender<Vec<Received>>,
    /// So many requests are refused, for now.
    failures: Arc<AtomicUsize>,
}

impl Collector {
    pub(crate) async fn start() -> Self {
        let grpc = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let http = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let collector = Self {
            grpc: grpc.local_addr().unwrap(),
            http: http.local_addr().unwrap(),
            spans: watch::Sender::new(Vec::new()),
            failures: Arc::default(),
        };
        // Its limit is the Collector's own: 4 MiB, which is tonic's, too.
        let service = TraceServiceServer::new(collector.clone()).accept_compressed(CompressionEncoding::Gzip);
        let serve = Server::builder().add_service(service).serve_with_incoming(TcpIncoming::from(grpc));
        tokio::spawn(async move { serve.await.unwrap() });
        let router = Router::new().route("/v1/traces", post(take)).with_state(collector.clone());
        tokio::spawn(async move { axum::serve(http, router).await.unwrap() });
        collector
    }

    /// Answers the next `count` requests with "not now".
    pub(crate) fn fail(&self, count: usize) {
        self.failures.store(count, Ordering::Relaxed);
    }

    fn fails(&self) -> bool {
        self.failures.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok()
    }

    /// All spans, as soon as there are `count`.
    pub(crate) async fn spans(&self, count: usize) -> Vec<Received> {
        let mut spans = self.spans.subscribe();
        within("spans", spans.wait_for(|spans| spans.len() >= count)).await.unwrap().clone()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.spans.borrow().is_empty()
    }

    fn keep(&self, request: ExportTraceServiceRequest, headers: HeaderMap) {
        let headers = Arc::new(headers);
        let mut received = Vec::new();
        for resource_spans in request.resource_spans {
            let resource = texts(&resource_spans.resource.unwrap_or_default().attributes);
            for span in resource_spans.scope_spans.into_iter().flat_map(|it| it.spans) {
                let (resource, headers) = (resource.clone(), Arc::clone(&headers));
                received.push(Received { resource, attributes: texts(&span.attributes), span, headers });
            }
        }
        self.spans.send_modify(|spans| spans.extend(received));
    }
}

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        if self.fails() {
            return Err(Status::unavailable("not now"));
        }
        let (metadata, _, request) = request.into_parts();
        self.keep(request, metadata.into_headers());
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

async fn take(State(collector): State<Collector>, headers: HeaderMap, body: Bytes) -> StatusCode {
    if collector.fails() {
        return StatusCode::SERVICE_UNAVAILABLE;
    }
    assert_eq!(headers["content-type"], "application/x-protobuf");
    let mut bytes = body.to_vec();
    if headers.get("content-encoding").is_some_and(|encoding| encoding == "gzip") {
        bytes.clear();
        flate2::read::GzDecoder::new(&body[..]).read_to_end(&mut bytes).unwrap();
    }
    collector.keep(ExportTraceServiceRequest::decode(&bytes[..]).unwrap(), headers);
    StatusCode::OK
}

fn texts(attributes: &[KeyValue]) -> HashMap<String, String> {
    let text = |value: &AnyValue| match &value.value {
        Some(Value::StringValue(text)) => text.clone(),
        Some(Value::IntValue(number)) => number.to_string(),
        other => panic!("an unexpected attribute: {other:?}"),
    };
    attributes.iter().map(|it| (it.key.clone(), it.value.as_ref().map(text).unwrap_or_default())).collect()
}

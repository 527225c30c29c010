//! A running trace view, spans to feed it, and an HTTP client that hides nothing.

use std::net::SocketAddr;

use atomwire_trace_view::{Limits, TraceStore};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use serde_json::Value as Json;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::{CancellationToken, DropGuard};

pub(crate) const SAMPLE: &str = include_str!("../sample.json");
pub(crate) const SAMPLE_TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

/// All three servers of one store, until it is dropped.
pub(crate) struct View {
    pub(crate) store: TraceStore,
    pub(crate) page: SocketAddr,
    pub(crate) http: SocketAddr,
    pub(crate) grpc: SocketAddr,
    _stop: DropGuard,
}

impl View {
    pub(crate) async fn start(limits: Limits) -> Self {
        let store = TraceStore::new(limits);
        let stop = CancellationToken::new();
        let (page_listener, page) = listen().await;
        let (http_listener, http) = listen().await;
        let (grpc_listener, grpc) = listen().await;
        let router = store.router();
        tokio::spawn(async move { axum::serve(page_listener, router).await });
        let (receiver, shutdown) = (store.clone(), stop.clone().cancelled_owned());
        tokio::spawn(async move { receiver.serve_otlp_http(http_listener, shutdown).await });
        let (receiver, shutdown) = (store.clone(), stop.clone().cancelled_owned());
        tokio::spawn(async move { receiver.serve_otlp_grpc(grpc_listener, shutdown).await });
        Self { store, page, http, grpc, _stop: stop.drop_guard() }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        Request::get(path).send(self.page).await
    }

    /// The list of traces, as the page gets it.
    pub(crate) async fn list(&self, query: &str) -> Json {
        self.get(&format!("/traces/api/traces?{query}")).await.json()
    }

    pub(crate) async fn post(&self, path: &str, content_type: &str, body: impl AsRef<[u8]>) -> Answer {
        Request::post(path, content_type, body).send(self.http).await
    }
}

async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// One HTTP/1.0 request: the answer ends with the connection, so it can be read as it stands.
pub(crate) struct Request {
    head: String,
    body: Vec<u8>,
}

impl Request {
    pub(crate) fn get(path: &str) -> Self {
        Self { head: format!("GET {path} HTTP/1.0\r\n"), body: Vec::new() }
    }

    pub(crate) fn post(path: &str, content_type: &str, body: impl AsRef<[u8]>) -> Self {
        let body = body.as_ref().to_vec();
        let head = format!("POST {path} HTTP/1.0\r\ncontent-length: {}\r\n", body.len());
        Self { head, body }.header("content-type", content_type)
    }

    pub(crate) fn options(path: &str) -> Self {
        Self { head: format!("OPTIONS {path} HTTP/1.0\r\n"), body: Vec::new() }
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.head.extend([name, ": ", value, "\r\n"]);
        self
    }

    pub(crate) async fn send(self, to: SocketAddr) -> Answer {
        let mut stream = self.start(to).await;
        let mut answer = Vec::new();
        // A server that refuses a body early may reset the connection after its answer.
        let _ = stream.read_to_end(&mut answer).await;
        Answer::parse(&answer)
    }

    /// The answer's first line; the rest is hung up on.
    pub(crate) async fn first_line(self, to: SocketAddr) -> String {
        let mut line = String::new();
        BufReader::new(self.start(to).await).read_line(&mut line).await.unwrap();
        line
    }

    /// Sends, and leaves the answer to be read.
    pub(crate) async fn start(mut self, to: SocketAddr) -> TcpStream {
        if !self.head.contains("\r\nhost: ") {
            self = self.header("host", &to.to_string());
        }
        let mut stream = TcpStream::connect(to).await.unwrap();
        stream.write_all(format!("{}\r\n", self.head).as_bytes()).await.unwrap();
        let _ = stream.write_all(&self.body).await;
        stream
    }
}

pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    fn parse(bytes: &[u8]) -> Self {
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n").expect("a whole head");
        let head = String::from_utf8(bytes[..end].to_vec()).unwrap().to_lowercase();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Self { status, head, body: bytes[end + 4..].to_vec() }
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Json {
        assert_eq!(self.header("content-type"), Some("application/json"), "{}", self.text());
        serde_json::from_slice(&self.body).unwrap()
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }
}

/// A valid span; tests change what they are about.
pub(crate) fn span(trace: u8, id: u8) -> Span {
    Span {
        trace_id: vec![trace; 16],
        span_id: vec![id; 8],
        name: format!("span {id}"),
        start_time_unix_nano: 1_000_000_000 + u64::from(id) * 1_000,
        end_time_unix_nano: 1_000_000_500 + u64::from(id) * 1_000,
        ..Span::default()
    }
}

pub(crate) fn attribute(key: &str, value: Value) -> KeyValue {
    KeyValue { key: key.into(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}

pub(crate) fn text_attribute(key: &str, value: &str) -> KeyValue {
    attribute(key, Value::StringValue(value.into()))
}

pub(crate) fn request(service: &str, spans: Vec<Span>) -> ExportTraceServiceRequest {
    let resource =
        Resource { attributes: vec![text_attribute("service.name", service)], ..Resource::default() };
    ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans {
            resource: Some(resource),
            scope_spans: vec![ScopeSpans { spans, ..ScopeSpans::default() }],
            ..ResourceSpans::default()
        }],
    }
}

pub(crate) fn trace_id(trace: u8) -> String {
    format!("{trace:02x}").repeat(16)
}

/// One field of every object in an array.
#[track_caller]
pub(crate) fn pluck(array: &Json, field: &str) -> Vec<Json> {
    array.as_array().unwrap().iter().map(|object| object[field].clone()).collect()
}

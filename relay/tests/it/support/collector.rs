//! A collector: OTLP by gRPC and by HTTP, as the specification has it. Like the OpenTelemetry Collector it
//! refuses a request as a whole where one span's ids have a wrong length.

use super::{conventions, within};
use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, Span};
use prost::Message as _;
use std::collections::{HashMap, HashSet};
use std::io::Read as _;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::Instant;
use tonic::codec::CompressionEncoding;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Code, Request, Response as Answer, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

/// A span, under the resource that it came with.
#[derive(Debug, Clone)]
pub(crate) struct Received {
    pub(crate) resource: HashMap<String, String>,
    /// Attributes that the resource does without.
    pub(crate) resource_dropped: u32,
    pub(crate) span: Span,
    /// Its attributes as text.
    pub(crate) attributes: HashMap<String, String>,
    /// The request's headers.
    pub(crate) headers: Arc<HeaderMap>,
    /// The number of the request, and of the `ResourceSpans` in it.
    pub(crate) place: (usize, usize),
    /// Whether it keeps to the conventions, where it is the project's own.
    conventional: Result<(), String>,
}

/// What the collector does not take.
#[derive(Default)]
struct Manners {
    /// So many requests, for now.
    failures: usize,
    /// When to come again after that.
    retry_after: Option<RetryAfter>,
    /// Requests with a span of this name: for now, or for ever.
    not_now: Option<String>,
    never: Option<String>,
    /// Requests with more bytes than this.
    limit: Option<usize>,
}

/// When to come again, in the words of both protocols.
#[derive(Clone)]
pub(crate) struct RetryAfter {
    pub(crate) header: String,
    pub(crate) delay: Duration,
}

enum Refusal {
    NotNow(Option<RetryAfter>),
    Wrong,
    TooLarge,
}

#[derive(Clone)]
pub(crate) struct Collector {
    pub(crate) grpc: SocketAddr,
    pub(crate) http: SocketAddr,
    /// When each request came, and its bytes.
    requests: watch::Sender<Vec<(Instant, usize)>>,
    spans: watch::Sender<Vec<Received>>,
    manners: Arc<Mutex<Manners>>,
}

impl Collector {
    pub(crate) async fn start() -> Self {
        let grpc = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let http = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let collector = Self {
            grpc: grpc.local_addr().unwrap(),
            http: http.local_addr().unwrap(),
            requests: watch::Sender::new(Vec::new()),
            spans: watch::Sender::new(Vec::new()),
            manners: Arc::default(),
        };
        // Its limit is the Collector's own: 4 MiB, which is tonic's, too.
        let service = TraceServiceServer::new(collector.clone())
            .accept_compressed(CompressionEncoding::Gzip)
            .send_compressed(CompressionEncoding::Gzip);
        // grpc-go answers as it was asked, whatever the client says that it accepts.
        let service = InterceptedService::new(service, |mut request: Request<()>| {
            if let Some(encoding) = request.metadata().get("grpc-encoding").cloned() {
                request.metadata_mut().insert("grpc-accept-encoding", encoding);
            }
            Ok(request)
        });
        let serve = Server::builder().add_service(service).serve_with_incoming(TcpIncoming::from(grpc));
        tokio::spawn(async move { serve.await.unwrap() });
        let take = post(take).layer(DefaultBodyLimit::disable());
        let router = Router::new().route("/v1/traces", take).with_state(collector.clone());
        tokio::spawn(async move { axum::serve(http, router).await.unwrap() });
        collector
    }

    /// Answers the next `count` requests with "not now".
    pub(crate) fn fail(&self, count: usize) {
        self.manners.lock().unwrap().failures = count;
    }

    /// Answers the next request with "not now, but then".
    pub(crate) fn fail_until(&self, retry_after: RetryAfter) {
        let mut manners = self.manners.lock().unwrap();
        (manners.failures, manners.retry_after) = (1, Some(retry_after));
    }

    /// Answers each request that has a span of this name with "not now".
    pub(crate) fn take_later(&self, name: &str) {
        self.manners.lock().unwrap().not_now = Some(name.to_owned());
    }

    /// Refuses each request that has a span of this name.
    pub(crate) fn take_never(&self, name: &str) {
        self.manners.lock().unwrap().never = Some(name.to_owned());
    }

    /// Refuses requests of more bytes.
    pub(crate) fn limit(&self, bytes: usize) {
        self.manners.lock().unwrap().limit = Some(bytes);
    }

    /// All spans, as soon as there are `count`; they keep to the conventions.
    pub(crate) async fn spans(&self, count: usize) -> Vec<Received> {
        let mut spans = self.spans.subscribe();
        let spans = within("spans", spans.wait_for(|spans| spans.len() >= count)).await.unwrap().clone();
        for received in &spans {
            assert_eq!(received.conventional, Ok(()), "{received:?}");
        }
        spans
    }

    /// When each request came, and its bytes, as soon as there are `count`.
    pub(crate) async fn requests(&self, count: usize) -> Vec<(Instant, usize)> {
        let mut requests = self.requests.subscribe();
        within("requests", requests.wait_for(|requests| requests.len() >= count)).await.unwrap().clone()
    }

    /// How many requests were not refused.
    pub(crate) fn accepted(&self) -> usize {
        let spans = self.spans.borrow();
        spans.iter().map(|it| it.place.0).collect::<HashSet<_>>().len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.spans.borrow().is_empty()
    }

    fn take(&self, request: ExportTraceServiceRequest, headers: HeaderMap) -> Result<(), Refusal> {
        let bytes = request.encoded_len();
        self.requests.send_modify(|requests| requests.push((Instant::now(), bytes)));
        let number = self.requests.borrow().len();
        let spans =
            || request.resource_spans.iter().flat_map(|it| &it.scope_spans).flat_map(|it| it.spans.iter());
        let has = |name: &Option<String>| name.as_ref().is_some_and(|it| spans().any(|s| s.name == *it));
        let mut manners = self.manners.lock().unwrap();
        if manners.failures > 0 {
            manners.failures -= 1;
            return Err(Refusal::NotNow(manners.retry_after.take()));
        }
        if manners.limit.is_some_and(|limit| bytes > limit) {
            return Err(Refusal::TooLarge);
        }
        if has(&manners.never) || !spans().all(has_ids) {
            return Err(Refusal::Wrong);
        }
        if has(&manners.not_now) {
            return Err(Refusal::NotNow(None));
        }
        drop(manners);
        let headers = Arc::new(headers);
        let resource_spans = request.resource_spans.into_iter().enumerate();
        let received = resource_spans.flat_map(|(group, it)| received(it, &headers, (number, group)));
        let received: Vec<_> = received.collect();
        self.spans.send_modify(|spans| spans.extend(received));
        Ok(())
    }
}

fn has_ids(span: &Span) -> bool {
    let parent = span.parent_span_id.len();
    span.trace_id.len() == 16 && span.span_id.len() == 8 && (parent == 0 || parent == 8)
}

fn received(resource_spans: ResourceSpans, headers: &Arc<HeaderMap>, place: (usize, usize)) -> Vec<Received> {
    let mut all = Vec::new();
    let resource = resource_spans.resource.unwrap_or_default();
    for scope_spans in resource_spans.scope_spans {
        let scope = scope_spans.scope.unwrap_or_default().name;
        // What pages and other instrumentations say of themselves is theirs.
        let of_resource = match scope.as_str() {
            "atomwire-relay" => conventions::check(&resource.attributes),
            _ => Ok(()),
        };
        for span in scope_spans.spans {
            let conventional = match scope.as_str() {
                "atomwire" | "atomwire-relay" => conventions::check_schema(&scope_spans.schema_url)
                    .and_then(|()| conventions::check_schema(&resource_spans.schema_url))
                    .and_then(|()| conventions::check(&span.attributes))
                    .and_then(|()| of_resource.clone()),
                _ => Ok(()),
            };
            all.push(Received {
                conventional,
                resource: texts(&resource.attributes),
                resource_dropped: resource.dropped_attributes_count,
                attributes: texts(&span.attributes),
                span,
                headers: Arc::clone(headers),
                place,
            });
        }
    }
    all
}

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Answer<ExportTraceServiceResponse>, Status> {
        let (metadata, _, request) = request.into_parts();
        self.take(request, metadata.into_headers()).map_err(|refusal| match refusal {
            Refusal::NotNow(None) => Status::unavailable("not now"),
            Refusal::NotNow(Some(after)) => {
                let details = ErrorDetails::with_retry_info(Some(after.delay));
                Status::with_error_details(Code::Unavailable, "not now", details)
            }
            Refusal::Wrong => Status::internal("grpc: error unmarshalling request"),
            Refusal::TooLarge => Status::resource_exhausted("grpc: received message larger than max"),
        })?;
        Ok(Answer::new(ExportTraceServiceResponse::default()))
    }
}

async fn take(State(collector): State<Collector>, headers: HeaderMap, body: Bytes) -> Response {
    assert_eq!(headers["content-type"], "application/x-protobuf");
    let mut bytes = body.to_vec();
    if headers.get("content-encoding").is_some_and(|encoding| encoding == "gzip") {
        bytes.clear();
        flate2::read::GzDecoder::new(&body[..]).read_to_end(&mut bytes).unwrap();
    }
    let request = ExportTraceServiceRequest::decode(&bytes[..]).unwrap();
    match collector.take(request, headers) {
        Ok(()) => StatusCode::OK.into_response(),
        Err(Refusal::NotNow(None)) => StatusCode::SERVICE_UNAVAILABLE.into_response(),
        Err(Refusal::NotNow(Some(after))) => {
            (StatusCode::SERVICE_UNAVAILABLE, [("retry-after", after.header)]).into_response()
        }
        Err(Refusal::Wrong) => StatusCode::BAD_REQUEST.into_response(),
        Err(Refusal::TooLarge) => StatusCode::PAYLOAD_TOO_LARGE.into_response(),
    }
}

fn texts(attributes: &[KeyValue]) -> HashMap<String, String> {
    let text = |value: &AnyValue| match &value.value {
        Some(Value::StringValue(text)) => text.clone(),
        Some(Value::IntValue(number)) => number.to_string(),
        other => panic!("an unexpected attribute: {other:?}"),
    };
    attributes.iter().map(|it| (it.key.clone(), it.value.as_ref().map(text).unwrap_or_default())).collect()
}

//! One export, by gRPC or HTTP.

use crate::config::{Exporter, Protocol};
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http_body_util::{BodyExt, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client as HttpClient;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_client::TraceServiceClient;
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use prost::Message as _;
use std::io::Write as _;
use std::time::Duration;
use thiserror::Error;
use tonic::codec::CompressionEncoding;
use tonic::metadata::{MetadataKey, MetadataMap, MetadataValue};
use tonic::transport::{Channel, ClientTlsConfig, Endpoint};
use tonic::{Code, Request};

/// The largest answer that is read.
const ANSWER_BYTES: usize = 64 * 1024;

/// An export that failed.
#[derive(Debug, Error)]
pub(super) enum Failure {
    #[error("{reason}")]
    Retry { reason: String, after: Option<Duration> },
    #[error("{0}")]
    Final(String),
}

#[expect(clippy::needless_pass_by_value, reason = "it is what map_err takes")]
fn retry(reason: impl ToString) -> Failure {
    Failure::Retry { reason: reason.to_string(), after: None }
}

/// A way to the collector.
pub(super) enum Client {
    Grpc {
        client: TraceServiceClient<Channel>,
        metadata: MetadataMap,
        timeout: Duration,
    },
    Http(Http),
    /// The settings do not make a client; the reason is told at each export.
    Broken(String),
}

impl Client {
    pub(super) fn new(settings: &Exporter) -> Self {
        match settings.protocol {
            Protocol::Grpc => grpc(settings).unwrap_or_else(Self::Broken),
            Protocol::HttpProtobuf => Http::new(settings).map_or_else(Self::Broken, Self::Http),
        }
    }

    /// Sends `request`; the answer is how many spans the collector refused.
    pub(super) async fn export(&mut self, request: &ExportTraceServiceRequest) -> Result<u64, Failure> {
        let answer = match self {
            Self::Grpc { client, metadata, timeout } => {
                let mut request = Request::new(request.clone());
                *request.metadata_mut() = metadata.clone();
                request.set_timeout(*timeout);
                client.export(request).await.map_err(|status| match status.code() {
                    // "Failures" in the specification's chapter on OTLP/gRPC.
                    Code::Cancelled
                    | Code::DeadlineExceeded
                    | Code::Aborted
                    | Code::OutOfRange
                    | Code::Unavailable
                    | Code::DataLoss => retry(status),
                    // Without this detail the request itself is too large, and always will be.
                    Code::ResourceExhausted if contains(status.details(), b"google.rpc.RetryInfo") => {
                        retry(status)
                    }
                    _ => Failure::Final(status.to_string()),
                })?
            }
            Self::Http(http) => return http.export(request).await,
            Self::Broken(reason) => return Err(Failure::Final(reason.clone())),
        };
        Ok(refused(&answer.into_inner()))
    }
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

fn refused(answer: &ExportTraceServiceResponse) -> u64 {
    answer.partial_success.as_ref().map_or(0, |it| it.rejected_spans.max(0) as u64)
}

fn grpc(settings: &Exporter) -> Result<Client, String> {
    let url = settings.endpoint.clone().unwrap_or_else(|| "http://localhost:4317".into());
    let tls = url.starts_with("https://");
    let mut endpoint = Endpoint::from_shared(url).map_err(|error| error.to_string())?;
    if tls {
        let roots = ClientTlsConfig::new().with_native_roots();
        endpoint = endpoint.tls_config(roots).map_err(|error| error.to_string())?;
    }
    let mut client = TraceServiceClient::new(endpoint.connect_timeout(settings.timeout).connect_lazy());
    if settings.gzip {
        client = client.send_compressed(CompressionEncoding::Gzip);
    }
    let mut metadata = MetadataMap::new();
    for (key, value) in &settings.headers {
        let key =
            MetadataKey::from_bytes(key.to_lowercase().as_bytes()).map_err(|error| error.to_string())?;
        metadata.insert(key, MetadataValue::try_from(value.as_str()).map_err(|error| error.to_string())?);
    }
    Ok(Client::Grpc { client, metadata, timeout: settings.timeout })
}

pub(super) struct Http {
    client: HttpClient<HttpsConnector<HttpConnector>, Full<Bytes>>,
    url: String,
    settings: Exporter,
}

impl Http {
    fn new(settings: &Exporter) -> Result<Self, String> {
        let connector =
            HttpsConnectorBuilder::new().with_native_roots().map_err(|error| error.to_string())?;
        let connector = connector.https_or_http().enable_http1().build();
        let client = HttpClient::builder(TokioExecutor::new()).build(connector);
        let url = settings.endpoint.clone().unwrap_or_else(|| "http://localhost:4318/v1/traces".into());
        Ok(Self { client, url, settings: settings.clone() })
    }

    async fn export(&self, request: &ExportTraceServiceRequest) -> Result<u64, Failure> {
        tokio::time::timeout(self.settings.timeout, self.post(request)).await.unwrap_or_else(|_| {
            Err(retry(format!("{} did not answer within {:?}", self.url, self.settings.timeout)))
        })
    }

    async fn post(&self, request: &ExportTraceServiceRequest) -> Result<u64, Failure> {
        let mut post = hyper::Request::post(&self.url).header("content-type", "application/x-protobuf");
        for (key, value) in &self.settings.headers {
            post = post.header(key, value);
        }
        let mut body = request.encode_to_vec();
        if self.settings.gzip {
            post = post.header("content-encoding", "gzip");
            let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
            body = gzip.write_all(&body).and_then(|()| gzip.finish()).map_err(retry)?;
        }
        let post = post.body(Full::from(body)).map_err(|error| Failure::Final(error.to_string()))?;
        let answer = self.client.request(post).await.map_err(retry)?;
        let (status, after) = (answer.status(), retry_after(answer.headers()));
        let body = Limited::new(answer.into_body(), ANSWER_BYTES).collect().await.map_err(retry)?;
        match status.as_u16() {
            200 => Ok(refused(&ExportTraceServiceResponse::decode(body.to_bytes()).unwrap_or_default())),
            // "Retryable Response Codes" in the specification's chapter on OTLP/HTTP.
            429 | 502 | 503 | 504 => {
                Err(Failure::Retry { reason: format!("{} answered {status}", self.url), after })
            }
            _ => Err(Failure::Final(format!("{} answered {status}", self.url))),
        }
    }
}

/// What a collector asks for, up to a minute.
fn retry_after(headers: &hyper::HeaderMap) -> Option<Duration> {
    let seconds = headers.get("retry-after")?.to_str().ok()?.parse::<u64>().ok()?;
    Some(Duration::from_secs(seconds.min(60)))
}

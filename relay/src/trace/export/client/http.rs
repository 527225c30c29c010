//! OTLP/HTTP with binary protobuf.

use super::{Failure, RETRY_AFTER_MAX};
use crate::config::Exporter;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http_body_util::{BodyExt, Full, Limited};
use hyper::HeaderMap;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use prost::Message as _;
use std::io::Write as _;
use std::time::{Duration, SystemTime};

/// The largest answer that is read.
const ANSWER_BYTES: usize = 64 * 1024;

pub(in super::super) struct Http {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    url: String,
    settings: Exporter,
}

impl Http {
    pub(super) fn new(settings: &Exporter) -> Result<Self, String> {
        let connector =
            HttpsConnectorBuilder::new().with_native_roots().map_err(|error| error.to_string())?;
        let connector = connector.https_or_http().enable_http1().build();
        let client = Client::builder(TokioExecutor::new()).build(connector);
        let url = settings.endpoint.clone().unwrap_or_else(|| "http://localhost:4318/v1/traces".into());
        Ok(Self { client, url, settings: settings.clone() })
    }

    pub(super) async fn export(&self, request: &Bytes) -> Result<ExportTraceServiceResponse, Failure> {
        tokio::time::timeout(self.settings.timeout, self.post(request)).await.unwrap_or_else(|_| {
            Err(Failure::retry(&format!("{} did not answer within {:?}", self.url, self.settings.timeout)))
        })
    }

    async fn post(&self, request: &Bytes) -> Result<ExportTraceServiceResponse, Failure> {
        let mut post = hyper::Request::post(&self.url).header("content-type", "application/x-protobuf");
        for (key, value) in &self.settings.headers {
            post = post.header(key, value);
        }
        let mut body = request.clone();
        if self.settings.gzip {
            post = post.header("content-encoding", "gzip");
            let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
            let written = gzip.write_all(&body).and_then(|()| gzip.finish());
            body = written.map_err(|error| Failure::Final(error.to_string()))?.into();
        }
        let post = post.body(Full::from(body)).map_err(|error| Failure::Final(error.to_string()))?;
        let answer = self.client.request(post).await.map_err(|error| Failure::retry(&error))?;
        let (status, after) = (answer.status(), retry_after(answer.headers()));
        let body = Limited::new(answer.into_body(), ANSWER_BYTES).collect().await;
        let body = body.map_err(|error| Failure::retry(&error))?;
        let reason = format!("{} answered {status}", self.url);
        match status.as_u16() {
            200 => Ok(ExportTraceServiceResponse::decode(body.to_bytes()).unwrap_or_default()),
            // "Retryable Response Codes" in the specification's chapter on OTLP/HTTP.
            429 | 502 | 503 | 504 => Err(Failure::Retry { reason, after }),
            // "Bad Data" in the same chapter, and a body that is too large (RFC 9110, section 15.5.14).
            400 | 413 => Err(Failure::Refused(reason)),
            _ => Err(Failure::Final(reason)),
        }
    }
}

/// Seconds, or a date (RFC 9110, section 10.2.3).
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get("retry-after")?.to_str().ok()?;
    let after = match text.parse() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => httpdate::parse_http_date(text).ok()?.duration_since(SystemTime::now()).unwrap_or_default(),
    };
    Some(after.min(RETRY_AFTER_MAX))
}

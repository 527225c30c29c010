//! OTLP/HTTP (opentelemetry.io/docs/specs/otlp/#otlphttp): protobuf and JSON, plain or gzip.

use std::io::{self, Read};

use axum::Router;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use flate2::read::MultiGzDecoder;
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use prost::Message;
use serde::Serialize;
use tonic::Code;

use crate::TraceStore;
use crate::local::local_origin;

pub(crate) fn router(store: TraceStore) -> Router {
    let limit = DefaultBodyLimit::max(store.shared.limits.max_request_bytes);
    Router::new()
        .route("/v1/traces", post(traces))
        .route("/v1/metrics", post(discard))
        .route("/v1/logs", post(discard))
        .layer(limit)
        .layer(from_fn(cors))
        .with_state(store)
}

async fn traces(
    State(store): State<TraceStore>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let format = Format::of(&headers);
    let max_bytes = store.shared.limits.max_request_bytes;
    match read_request(format, &headers, body, max_bytes) {
        Ok((format, request)) => format.answer(StatusCode::OK, &Answer(store.ingest(&request))),
        Err(error) => error.answer(format),
    }
}

/// Metrics and logs: taken with thanks, so that exporters of all three signals have nothing to report.
async fn discard(
    State(store): State<TraceStore>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let format = Format::of(&headers);
    let max_bytes = store.shared.limits.max_request_bytes;
    match (format, body) {
        (_, Err(error)) => RequestError::from_body(&error, max_bytes).answer(format),
        (None, _) => RequestError::ContentType.answer(format),
        // The responses of all signals look the same as long as they say nothing.
        (Some(format), Ok(_)) => {
            format.answer(StatusCode::OK, &Answer(ExportTraceServiceResponse::default()))
        }
    }
}

fn read_request(
    format: Option<Format>,
    headers: &HeaderMap,
    body: Result<Bytes, BytesRejection>,
    max_bytes: usize,
) -> Result<(Format, ExportTraceServiceRequest), RequestError> {
    let body = body.map_err(|error| RequestError::from_body(&error, max_bytes))?;
    let format = format.ok_or(RequestError::ContentType)?;
    let body = match headers.get(header::CONTENT_ENCODING).map(HeaderValue::as_bytes) {
        None | Some(b"identity") => body,
        Some(b"gzip") => inflate(&body, max_bytes)?.into(),
        Some(_) => return Err(RequestError::ContentEncoding),
    };
    let request = match format {
        Format::Protobuf => ExportTraceServiceRequest::decode(body)?,
        Format::Json => serde_json::from_slice(&body)?,
    };
    Ok((format, request))
}

/// Stops as soon as the limit is passed: a few kilobytes of gzip can hold gigabytes.
fn inflate(body: &[u8], max_bytes: usize) -> Result<Vec<u8>, RequestError> {
    let mut inflated = Vec::new();
    let one_too_many = max_bytes as u64 + 1;
    MultiGzDecoder::new(body).take(one_too_many).read_to_end(&mut inflated).map_err(RequestError::Gzip)?;
    if inflated.len() > max_bytes {
        return Err(RequestError::TooLarge { what: "inflated body", limit: max_bytes });
    }
    Ok(inflated)
}

/// A response has the format of its request.
#[derive(Clone, Copy)]
enum Format {
    Protobuf,
    Json,
}

impl Format {
    fn of(headers: &HeaderMap) -> Option<Self> {
        let content_type = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
        let media_type = content_type.split(';').next().unwrap_or_default().trim();
        match media_type.to_ascii_lowercase().as_str() {
            "application/x-protobuf" => Some(Self::Protobuf),
            "application/json" => Some(Self::Json),
            _ => None,
        }
    }

    fn answer(self, status: StatusCode, body: &impl Body) -> Response {
        let (media_type, bytes) = match self {
            Self::Protobuf => ("application/x-protobuf", body.protobuf()),
            Self::Json => ("application/json", body.json()),
        };
        (status, [(header::CONTENT_TYPE, media_type)], bytes).into_response()
    }
}

trait Body {
    fn protobuf(&self) -> Vec<u8>;
    fn json(&self) -> Vec<u8>;
}

struct Answer(ExportTraceServiceResponse);

impl Body for Answer {
    fn protobuf(&self) -> Vec<u8> {
        self.0.encode_to_vec()
    }

    /// Written here because protobuf's JSON leaves out what is unset and has 64-bit numbers as strings.
    fn json(&self) -> Vec<u8> {
        match &self.0.partial_success {
            None => b"{}".to_vec(),
            Some(partial) => serde_json::json!({ "partialSuccess": {
                "rejectedSpans": partial.rejected_spans.to_string(),
                "errorMessage": partial.error_message,
            }})
            .to_string()
            .into_bytes(),
        }
    }
}

/// `google.rpc.Status`, the body of every OTLP/HTTP error.
#[derive(Message, Serialize)]
struct RpcStatus {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
}

impl Body for RpcStatus {
    fn protobuf(&self) -> Vec<u8> {
        self.encode_to_vec()
    }

    fn json(&self) -> Vec<u8> {
        serde_json::json!(self).to_string().into_bytes()
    }
}

#[derive(Debug, thiserror::Error)]
enum RequestError {
    #[error("content-type must be application/x-protobuf or application/json")]
    ContentType,
    #[error("content-encoding must be gzip, identity or absent")]
    ContentEncoding,
    #[error("the {what} is larger than max_request_bytes = {limit}")]
    TooLarge { what: &'static str, limit: usize },
    #[error("the body could not be read: {0}")]
    Body(String),
    #[error("the body is not gzip: {0}")]
    Gzip(io::Error),
    #[error("the body is not an ExportTraceServiceRequest in protobuf: {0}")]
    Protobuf(#[from] prost::DecodeError),
    #[error("the body is not an ExportTraceServiceRequest in JSON: {0}")]
    Json(#[from] serde_json::Error),
}

impl RequestError {
    fn from_body(error: &BytesRejection, limit: usize) -> Self {
        if error.status() == StatusCode::PAYLOAD_TOO_LARGE {
            Self::TooLarge { what: "body", limit }
        } else {
            Self::Body(error.body_text())
        }
    }

    /// In JSON where the request's format is not known: that can at least be read.
    fn answer(&self, format: Option<Format>) -> Response {
        let (status, code) = match self {
            Self::ContentType | Self::ContentEncoding => {
                (StatusCode::UNSUPPORTED_MEDIA_TYPE, Code::InvalidArgument)
            }
            Self::TooLarge { .. } => (StatusCode::PAYLOAD_TOO_LARGE, Code::ResourceExhausted),
            Self::Body(_) | Self::Gzip(_) | Self::Protobuf(_) | Self::Json(_) => {
                (StatusCode::BAD_REQUEST, Code::InvalidArgument)
            }
        };
        tracing::warn!(status = status.as_u16(), error = ?self.to_string(), "refused an OTLP/HTTP request");
        let body = RpcStatus { code: code as i32, message: self.to_string() };
        format.unwrap_or(Format::Json).answer(status, &body)
    }
}

/// Lets web apps served from this machine post their spans, and no other site.
async fn cors(request: Request, next: Next) -> Response {
    let origin = local_origin(request.headers()).and_then(|origin| HeaderValue::from_str(origin).ok());
    let asked = request.headers().get(header::ACCESS_CONTROL_REQUEST_HEADERS).cloned();
    let preflight = *request.method() == Method::OPTIONS;
    let mut response =
        if preflight { StatusCode::NO_CONTENT.into_response() } else { next.run(request).await };
    let headers = response.headers_mut();
    headers.insert(header::VARY, HeaderValue::from_static("origin, access-control-request-headers"));
    if let Some(origin) = origin {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        if preflight {
            headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("POST"));
            // Exporters may be configured with any headers.
            if let Some(asked) = asked {
                headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, asked);
            }
            // An hour, so that not every batch costs two requests.
            headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("3600"));
        }
    }
    response
}

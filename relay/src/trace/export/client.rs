//! One export, by gRPC or HTTP.

mod grpc;
mod http;

use crate::config::{Exporter, Protocol};
use bytes::Bytes;
use grpc::Grpc;
use http::Http;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use std::time::Duration;
use thiserror::Error;

/// No collector is waited for longer than this, whatever it asks for.
const RETRY_AFTER_MAX: Duration = Duration::from_mins(10);

/// An export that failed.
#[derive(Debug, Error)]
pub(super) enum Failure {
    #[error("{reason}")]
    Retry {
        reason: String,
        /// What the collector asks for.
        after: Option<Duration>,
    },
    /// There is something in the request, or too much of it, that the collector does not take.
    #[error("{0}")]
    Refused(String),
    #[error("{0}")]
    Final(String),
}

impl Failure {
    fn retry(reason: &impl ToString) -> Self {
        Self::Retry { reason: reason.to_string(), after: None }
    }
}

/// A way to the collector.
pub(super) enum Client {
    Grpc(Grpc),
    Http(Http),
    /// The settings do not make a client; the reason is told at each export.
    Broken(String),
}

impl Client {
    pub(super) fn new(settings: &Exporter) -> Self {
        match settings.protocol {
            Protocol::Grpc => Grpc::new(settings).map_or_else(Self::Broken, Self::Grpc),
            Protocol::HttpProtobuf => Http::new(settings).map_or_else(Self::Broken, Self::Http),
        }
    }

    /// Sends `request`, an `ExportTraceServiceRequest`; the answer is how many spans the collector refused.
    pub(super) async fn export(&self, request: &Bytes) -> Result<u64, Failure> {
        let answer = match self {
            Self::Grpc(grpc) => grpc.export(request).await?,
            Self::Http(http) => http.export(request).await?,
            Self::Broken(reason) => return Err(Failure::Final(reason.clone())),
        };
        Ok(refused(&answer))
    }
}

fn refused(answer: &ExportTraceServiceResponse) -> u64 {
    answer.partial_success.as_ref().map_or(0, |it| it.rejected_spans.max(0) as u64)
}

//! OTLP/gRPC: one unary call, whose message is encoded already.

use super::{Failure, RETRY_AFTER_MAX};
use crate::config::Exporter;
use bytes::{BufMut as _, Bytes};
use hyper::http::uri::PathAndQuery;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use prost::Message as _;
use std::time::Duration;
use tonic::codec::{Codec, CompressionEncoding, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::metadata::{MetadataKey, MetadataMap, MetadataValue};
use tonic::transport::{Channel, ClientTlsConfig, Endpoint};
use tonic::{Code, Request, Status};
use tonic_types::StatusExt as _;

const PATH: PathAndQuery =
    PathAndQuery::from_static("/opentelemetry.proto.collector.trace.v1.TraceService/Export");

pub(in super::super) struct Grpc {
    client: tonic::client::Grpc<Channel>,
    metadata: MetadataMap,
    timeout: Duration,
}

impl Grpc {
    pub(super) fn new(settings: &Exporter) -> Result<Self, String> {
        let url = settings.endpoint.clone().unwrap_or_else(|| "http://localhost:4317".into());
        let tls = url.starts_with("https://");
        let mut endpoint = Endpoint::from_shared(url).map_err(|error| error.to_string())?;
        if tls {
            let roots = ClientTlsConfig::new().with_native_roots();
            endpoint = endpoint.tls_config(roots).map_err(|error| error.to_string())?;
        }
        let channel = endpoint.connect_timeout(settings.timeout).connect_lazy();
        // A server answers as it was asked.
        let mut client = tonic::client::Grpc::new(channel).accept_compressed(CompressionEncoding::Gzip);
        if settings.gzip {
            client = client.send_compressed(CompressionEncoding::Gzip);
        }
        let mut metadata = MetadataMap::new();
        for (key, value) in &settings.headers {
            let key = MetadataKey::from_bytes(key.to_lowercase().as_bytes());
            let key = key.map_err(|error| error.to_string())?;
            let value = MetadataValue::try_from(value.as_str()).map_err(|error| error.to_string())?;
            metadata.insert(key, value);
        }
        Ok(Self { client, metadata, timeout: settings.timeout })
    }

    pub(super) async fn export(&self, request: &Bytes) -> Result<ExportTraceServiceResponse, Failure> {
        let mut client = self.client.clone();
        client.ready().await.map_err(|error| Failure::retry(&error))?;
        let mut request = Request::new(request.clone());
        *request.metadata_mut() = self.metadata.clone();
        request.set_timeout(self.timeout);
        let answer = client.unary(request, PATH, Encoded).await;
        Ok(answer.map_err(|status| failure(&status))?.into_inner())
    }
}

/// "Failures" in the specification's chapter on OTLP/gRPC, and what servers say of a message that is too large
/// or cannot be read: grpc-go `ResourceExhausted` and `Internal`, tonic `OutOfRange` and `Internal`.
fn failure(status: &Status) -> Failure {
    let reason = status.to_string();
    let after = status.get_details_retry_info().map(|info| info.retry_delay.unwrap_or_default());
    match (status.code(), after) {
        (Code::ResourceExhausted | Code::Unavailable, Some(after)) => {
            Failure::Retry { reason, after: Some(after.min(RETRY_AFTER_MAX)) }
        }
        (
            Code::Cancelled | Code::DeadlineExceeded | Code::Aborted | Code::Unavailable | Code::DataLoss,
            _,
        ) => Failure::retry(&reason),
        (Code::InvalidArgument | Code::Internal | Code::OutOfRange | Code::ResourceExhausted, _) => {
            Failure::Refused(reason)
        }
        _ => Failure::Final(reason),
    }
}

/// A message that is encoded already, and its answer.
struct Encoded;

impl Codec for Encoded {
    type Encode = Bytes;
    type Decode = ExportTraceServiceResponse;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Encoded {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, message: Bytes, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put(message);
        Ok(())
    }
}

impl Decoder for Encoded {
    type Item = ExportTraceServiceResponse;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Self::Item>, Status> {
        // What it cannot read says nothing against the spans.
        Ok(Some(ExportTraceServiceResponse::decode(buffer).unwrap_or_default()))
    }
}

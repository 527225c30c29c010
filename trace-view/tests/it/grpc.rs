//! OTLP/gRPC with tonic's own client.

use atomwire_trace_view::Limits;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::logs::v1::logs_service_client::LogsServiceClient;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_client::MetricsServiceClient;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_client::TraceServiceClient;
use tonic::Code;
use tonic::codec::CompressionEncoding::Gzip;
use tonic::transport::Channel;

use crate::support::{View, request, span, text_attribute};

async fn channel(view: &View) -> Channel {
    Channel::from_shared(format!("http://{}", view.grpc)).unwrap().connect().await.unwrap()
}

#[tokio::test]
async fn takes_traces_plain_and_gzip() {
    let view = View::start(Limits::default()).await;
    let mut client = TraceServiceClient::new(channel(&view).await);
    let response = client.export(request("web", vec![span(1, 1)])).await.unwrap();
    assert_eq!(response.into_inner().partial_success, None);
    let mut client = client.send_compressed(Gzip);
    client.export(request("relay", vec![span(1, 2)])).await.unwrap();
    assert_eq!(view.list("").await["traces"][0]["services"], serde_json::json!(["web", "relay"]));
}

#[tokio::test]
async fn reports_refused_spans_as_partial_success() {
    let view = View::start(Limits::default()).await;
    let mut client = TraceServiceClient::new(channel(&view).await);
    let mut nameless = span(1, 2);
    nameless.span_id = vec![0; 8];
    let response = client.export(request("web", vec![span(1, 1), nameless])).await.unwrap();
    let partial = response.into_inner().partial_success.unwrap();
    assert_eq!(partial.rejected_spans, 1);
    let message = "refused 1 of 2 spans; the first is resource_spans[0].scope_spans[0].spans[1]: \
                   span_id must not be all zero";
    assert_eq!(partial.error_message, message);
    assert_eq!(view.store.stats().spans, 1);
}

#[tokio::test]
async fn refuses_a_message_that_inflates_past_the_limit() {
    let limits = Limits { max_request_bytes: 100_000, ..Limits::default() };
    let view = View::start(limits).await;
    let mut bomb = span(1, 1);
    bomb.attributes = vec![text_attribute("zeros", &"0".repeat(1 << 20))];
    let mut client = TraceServiceClient::new(channel(&view).await).send_compressed(Gzip);
    let status = client.export(request("web", vec![bomb])).await.unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted, "{status}");
}

#[tokio::test]
async fn accepts_metrics_and_logs() {
    let view = View::start(Limits::default()).await;
    let channel = channel(&view).await;
    let metrics = ExportMetricsServiceRequest::default();
    let response = MetricsServiceClient::new(channel.clone()).export(metrics).await.unwrap();
    assert_eq!(response.into_inner().partial_success, None);
    let logs = ExportLogsServiceRequest::default();
    let response = LogsServiceClient::new(channel).send_compressed(Gzip).export(logs).await.unwrap();
    assert_eq!(response.into_inner().partial_success, None);
}

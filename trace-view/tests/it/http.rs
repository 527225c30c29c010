//! OTLP/HTTP: both formats, gzip, CORS, and the errors that the specification asks for.

use std::io::Write;

use atomwire_trace_view::Limits;
use flate2::Compression;
use flate2::write::GzEncoder;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use prost::Message;
use serde_json::json;

use crate::support::{Request, SAMPLE, SAMPLE_TRACE, View, pluck, request, span};

const PROTOBUF: &str = "application/x-protobuf";
const JSON: &str = "application/json";

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// `google.rpc.Status`, as far as OTLP uses it.
#[derive(Message)]
struct RpcStatus {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
}

#[tokio::test]
async fn takes_json() {
    let view = View::start(Limits::default()).await;
    let answer = view.post("/v1/traces", "application/json; charset=utf-8", SAMPLE).await;
    assert_eq!((answer.status, answer.json()), (200, json!({})));

    let trace = view.get(&format!("/traces/api/traces/{SAMPLE_TRACE}")).await.json();
    let expected = [
        "Jotai State Update: cart",
        "atomwire receive",
        "send atom-updates",
        "process atom-updates",
        "INSERT atomwire_updates",
    ];
    assert_eq!(pluck(&trace["spans"], "name"), expected);
}

#[tokio::test]
async fn takes_protobuf_plain_and_gzip() {
    let view = View::start(Limits::default()).await;
    let body = request("web", vec![span(1, 1)]).encode_to_vec();
    let answer = view.post("/v1/traces", PROTOBUF, &body).await;
    assert_eq!((answer.status, answer.header("content-type")), (200, Some(PROTOBUF)));
    assert_eq!(
        ExportTraceServiceResponse::decode(&*answer.body).unwrap(),
        ExportTraceServiceResponse::default()
    );

    let body = gzip(&request("web", vec![span(1, 2)]).encode_to_vec());
    let gzipped = Request::post("/v1/traces", PROTOBUF, body).header("content-encoding", "gzip");
    assert_eq!(gzipped.send(view.http).await.status, 200);
    assert_eq!(view.store.stats().spans, 2);
}

#[tokio::test]
async fn refuses_a_gzip_bomb_while_inflating() {
    let limits = Limits { max_request_bytes: 100_000, ..Limits::default() };
    let view = View::start(limits).await;
    let mut bomb = gzip(&vec![0; 64 << 20]);
    // Whoever inflates all of it finds that its end is missing, and calls it a bad request.
    bomb.truncate(bomb.len() - 1_000);
    assert!(bomb.len() < 100_000, "the bomb itself passes the limit: {}", bomb.len());
    let answer = Request::post("/v1/traces", PROTOBUF, bomb).header("content-encoding", "gzip");
    let answer = answer.send(view.http).await;
    let status = RpcStatus::decode(&*answer.body).unwrap();
    assert_eq!((answer.status, status.code), (413, 8));
    assert_eq!(status.message, "the inflated body is larger than max_request_bytes = 100000");
}

#[tokio::test]
async fn refuses_a_large_body() {
    let limits = Limits { max_request_bytes: 1_000, ..Limits::default() };
    let view = View::start(limits).await;
    let answer = view.post("/v1/traces", JSON, vec![b' '; 1_001]).await;
    let message = "the body is larger than max_request_bytes = 1000";
    assert_eq!((answer.status, answer.json()), (413, json!({ "code": 8, "message": message })));
}

#[tokio::test]
async fn says_what_is_wrong_in_the_format_of_the_request() {
    let view = View::start(Limits::default()).await;
    let json = view.post("/v1/traces", JSON, "[1]").await;
    assert_eq!((json.status, &json.json()["code"]), (400, &json!(3)));
    let protobuf = view.post("/v1/traces", PROTOBUF, "not protobuf").await;
    assert_eq!((protobuf.status, RpcStatus::decode(&*protobuf.body).unwrap().code), (400, 3));
    let unknown = view.post("/v1/traces", "text/plain", "{}").await;
    assert_eq!((unknown.status, &unknown.json()["code"]), (415, &json!(3)));
    let zstd = Request::post("/v1/traces", JSON, "{}").header("content-encoding", "zstd");
    assert_eq!(zstd.send(view.http).await.status, 415);
    let not_gzip = Request::post("/v1/traces", JSON, "{}").header("content-encoding", "gzip");
    assert_eq!(not_gzip.send(view.http).await.status, 400);
}

#[tokio::test]
async fn accepts_metrics_and_logs() {
    let view = View::start(Limits::default()).await;
    for path in ["/v1/metrics", "/v1/logs"] {
        let answer = view.post(path, JSON, r#"{"anything":[]}"#).await;
        assert_eq!((answer.status, answer.json()), (200, json!({})), "{path}");
        let answer = view.post(path, PROTOBUF, [1, 2, 3]).await;
        assert_eq!((answer.status, answer.body.len()), (200, 0), "{path}");
    }
}

#[tokio::test]
async fn lets_pages_from_this_machine_post_and_no_others() {
    let view = View::start(Limits::default()).await;
    let ask = |origin| {
        let ask = Request::options("/v1/traces").header("origin", origin);
        ask.header("access-control-request-headers", "content-type,x-team").send(view.http)
    };
    for origin in ["http://localhost:5173", "http://shop.localhost", "http://127.0.0.1:3000", "https://[::1]"]
    {
        let answer = ask(origin).await;
        assert_eq!(answer.status, 204, "{origin}");
        assert_eq!(answer.header("access-control-allow-origin"), Some(origin));
        assert_eq!(answer.header("access-control-allow-headers"), Some("content-type,x-team"));
        let post = Request::post("/v1/traces", JSON, "{}").header("origin", origin).send(view.http).await;
        assert_eq!(post.header("access-control-allow-origin"), Some(origin));
    }
    for origin in ["https://example.com", "http://localhost.example.com", "http://192.0.2.7", "null"] {
        assert_eq!(ask(origin).await.header("access-control-allow-origin"), None, "{origin}");
    }
}

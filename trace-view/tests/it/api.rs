//! The JSON API that the page reads.

use atomwire_trace_view::Limits;
use opentelemetry_proto::tonic::trace::v1::Status;
use serde_json::json;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::net::TcpStream;

use crate::support::{Request, SAMPLE, SAMPLE_TRACE, View, pluck, request, span, text_attribute, trace_id};

async fn view_with_sample() -> View {
    let view = View::start(Limits::default()).await;
    view.store.ingest(&serde_json::from_str(SAMPLE).unwrap());
    view
}

#[tokio::test]
async fn lists_a_trace_at_a_glance() {
    let view = view_with_sample().await;
    let expected = json!([{
        "traceId": SAMPLE_TRACE,
        "name": "Jotai State Update: cart",
        "hasRoot": true,
        "services": ["ituna-web", "atomwire-relay", "atomwire-consumer"],
        "keys": ["cart"],
        "spans": 5,
        "errors": 0,
        "start": "1795228244123456000",
        "duration": "21300000",
        "loss": null,
    }]);
    let list = view.list("").await;
    assert_eq!(list["traces"], expected);
    assert_eq!(list["services"], json!(["atomwire-consumer", "atomwire-relay", "ituna-web"]));
    assert_eq!(list["stats"]["spans"], 5);
}

#[tokio::test]
async fn gives_all_of_a_trace() {
    let view = view_with_sample().await;
    let trace = view.get(&format!("/traces/api/traces/{SAMPLE_TRACE}")).await.json();
    let send = &trace["spans"][2];
    assert_eq!(send["name"], "send atom-updates");
    assert_eq!(send["kind"], "producer");
    assert_eq!(send["status"], "unset");
    assert_eq!(send["parentSpanId"], trace["spans"][1]["spanId"]);
    assert_eq!(send["start"], "1795228244133276000");
    let size = json!({ "key": "messaging.message.body.size", "type": "int", "value": 214 });
    assert_eq!(send["detail"]["attributes"][4], size);
    let queued = json!({
        "time": "1795228244133636000",
        "name": "queued",
        "attributes": [{ "key": "depth", "type": "int", "value": 1 }],
    });
    assert_eq!(send["detail"]["events"], json!([queued]));
    let source = &trace["sources"][usize::try_from(send["source"].as_u64().unwrap()).unwrap()];
    assert_eq!(
        (&source["service"], &source["scope"]["name"]),
        (&json!("atomwire-relay"), &json!("atomwire-relay"))
    );
    assert_eq!(
        source["resource"][1],
        json!({ "key": "service.version", "type": "string", "value": "0.1.0" })
    );
}

#[tokio::test]
async fn filters_by_key_and_service() {
    let view = View::start(Limits::default()).await;
    for (trace, key, service) in [(1, "cart", "web"), (2, "search.query", "web"), (3, "Cart.total", "shop")] {
        let mut span = span(trace, 1);
        span.attributes = vec![text_attribute("atomwire.key", key)];
        view.store.ingest(&request(service, vec![span]));
    }
    view.store.ingest(&request("web", vec![span(4, 1)]));
    for (query, expected) in [
        ("", &[4, 3, 2, 1][..]),
        ("key=CART", &[3, 1]),
        ("key=search.query", &[2]),
        ("service=web", &[4, 2, 1]),
        ("service=web&key=cart", &[1]),
        ("service=we", &[]),
        ("key=%25", &[]),
    ] {
        let list = view.list(query).await;
        let expected: Vec<_> = expected.iter().copied().map(trace_id).collect();
        assert_eq!(pluck(&list["traces"], "traceId"), expected, "{query}");
        assert_eq!(list["matching"], expected.len(), "{query}");
    }
    let first = view.list("limit=1").await;
    assert_eq!((first["traces"].as_array().unwrap().len(), &first["matching"]), (1, &json!(4)));
}

#[tokio::test]
async fn a_trace_without_its_root_says_so() {
    let view = View::start(Limits::default()).await;
    let mut child = span(1, 2);
    child.parent_span_id = span(1, 1).span_id;
    child.status = Some(Status { code: 2, message: "no".into() });
    view.store.ingest(&request("web", vec![child]));
    let trace = &view.list("").await["traces"][0];
    assert_eq!(
        (&trace["name"], &trace["hasRoot"], &trace["errors"]),
        (&json!("span 2"), &json!(false), &json!(1))
    );
    view.store.ingest(&request("web", vec![span(1, 1)]));
    let trace = &view.list("").await["traces"][0];
    assert_eq!((&trace["name"], &trace["hasRoot"]), (&json!("span 1"), &json!(true)));
}

#[tokio::test]
async fn names_what_is_wrong_with_a_request() {
    let view = View::start(Limits::default()).await;
    for (path, status, error) in [
        ("traces?limit=1001", 400, "limit is 1001, the most is 1000"),
        ("traces?limit=x", 400, "limit: invalid digit found in string"),
        ("traces/xyz", 400, "trace id must be 32 hexadecimal digits"),
        ("traces/00000000000000000000000000000000", 400, "trace id must not be all zero"),
        ("traces/ffffffffffffffffffffffffffffffff", 404, "no such trace"),
        ("events?trace=1", 400, "trace id must be 32 hexadecimal digits"),
    ] {
        let answer = view.get(&format!("/traces/api/{path}")).await;
        assert_eq!(answer.status, status, "{path}");
        let text = answer.json()["error"].to_string();
        assert!(text.contains(error), "{path}: {text}");
    }
}

struct Events(Lines<BufReader<TcpStream>>);

impl Events {
    async fn open(view: &View, query: &str) -> Self {
        let request = Request::get(&format!("/traces/api/events{query}"));
        Self(BufReader::new(request.start(view.page).await).lines())
    }

    /// The next event's data, or `None` when the stream has ended.
    async fn next(&mut self) -> Option<serde_json::Value> {
        loop {
            let line = self.0.next_line().await.unwrap()?;
            assert!(!line.starts_with("HTTP/1.") || line.contains(" 200 "), "{line}");
            if let Some(data) = line.strip_prefix("data: ") {
                return Some(serde_json::from_str(data).unwrap());
            }
        }
    }
}

#[tokio::test]
async fn events_tell_of_changes_and_coalesce_them() {
    let view = View::start(Limits::default()).await;
    let mut events = Events::open(&view, &format!("?trace={}", trace_id(7))).await;
    assert_eq!(events.next().await, Some(json!({ "version": 0, "trace": null })));
    for id in 1..=100 {
        view.store.ingest(&request("web", vec![span(1, id)]));
    }
    // One event for all hundred: it only says where things stand now.
    assert_eq!(events.next().await, Some(json!({ "version": 100, "trace": null })));
    view.store.ingest(&request("web", vec![span(7, 1)]));
    assert_eq!(events.next().await, Some(json!({ "version": 101, "trace": 101 })));
    view.store.ingest(&request("web", vec![span(1, 101)]));
    assert_eq!(events.next().await, Some(json!({ "version": 102, "trace": 101 })));
}

#[tokio::test]
async fn streams_are_bounded_and_given_back() {
    let view = View::start(Limits::default()).await;
    let mut open = Vec::new();
    for _ in 0..32 {
        let mut events = Events::open(&view, "").await;
        events.next().await.unwrap();
        open.push(events);
    }
    let refused = view.get("/traces/api/events").await;
    assert_eq!(
        (refused.status, refused.json()),
        (503, json!({ "error": "32 live streams are open already" }))
    );
    // Nothing is written to the store: the server notices by itself that a page has gone.
    drop(open);
    while Request::get("/traces/api/events").first_line(view.page).await.contains(" 503 ") {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn close_ends_the_streams() {
    let view = View::start(Limits::default()).await;
    let mut events = Events::open(&view, "").await;
    events.next().await.unwrap();
    view.store.close();
    assert_eq!(events.next().await, None);
    let late = view.get("/traces/api/events").await;
    assert_eq!((late.status, late.text()), (200, String::new()));
}

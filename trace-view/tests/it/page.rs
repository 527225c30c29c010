//! The page's files and the headers that they come with.

use atomwire_trace_view::Limits;

use crate::support::{Request, View, trace_id};

#[tokio::test]
async fn a_deep_link_serves_the_page_before_its_trace_arrives() {
    let view = View::start(Limits::default()).await;
    let page = view.get("/traces").await;
    assert_eq!((page.status, page.header("content-type")), (200, Some("text/html; charset=utf-8")));
    assert_eq!(view.get(&format!("/traces/{}", trace_id(1))).await.body, page.body);
    let bad = view.get("/traces/not-an-id").await;
    assert_eq!((bad.status, bad.text()), (404, "trace id must be 32 hexadecimal digits\n".into()));
}

#[tokio::test]
async fn the_page_loads_only_what_it_brings() {
    let view = View::start(Limits::default()).await;
    let mut seen = vec!["/traces".to_owned()];
    let mut next = 0;
    while next < seen.len() {
        let file = view.get(&seen[next]).await;
        assert_eq!(file.status, 200, "{}", seen[next]);
        assert_eq!(file.header("x-content-type-options"), Some("nosniff"));
        let policy = file.header("content-security-policy").unwrap();
        assert!(policy.starts_with("default-src 'none'; script-src 'self'; style-src 'self'"), "{policy}");
        for path in referenced(&file.text()) {
            if !seen.contains(&path) {
                seen.push(path);
            }
        }
        next += 1;
    }
    assert_eq!(seen.len(), 14, "every embedded file is used: {seen:?}");
}

/// Paths of scripts, styles and pictures that a file of ours names.
fn referenced(text: &str) -> Vec<String> {
    let quoted = text.split(['"', '\'']).filter(|part| {
        !part.contains([' ', '\n']) && [".js", ".css", ".svg"].iter().any(|suffix| part.ends_with(suffix))
    });
    quoted.map(|path| path.replace("./", "/traces/assets/")).collect()
}

#[tokio::test]
async fn strange_host_names_are_refused() {
    let view = View::start(Limits::default()).await;
    let status = async |host: &str| {
        Request::get("/traces/api/traces").header("host", host).send(view.page).await.status
    };
    for host in
        ["localhost", "LOCALHOST:8080", "demo.localhost:8080", "127.0.0.1:8080", "192.0.2.1", "[::1]:8080"]
    {
        assert_eq!(status(host).await, 200, "{host}");
    }
    for host in ["attacker.example", "attacker.example:8080", "localhost.attacker.example", ""] {
        assert_eq!(status(host).await, 403, "{host}");
    }
}

//! The page: files compiled into the binary, nothing from elsewhere.

use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use crate::id::TraceId;

/// Scripts and styles come from here alone, and telemetry can never become either.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
     img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const JS: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

macro_rules! asset {
    ($path:literal, $media_type:expr) => {
        (concat!("/traces/assets/", $path), $media_type, include_str!(concat!("../page/", $path)))
    };
}

const INDEX: &str = include_str!("../page/index.html");

const ASSETS: [(&str, &str, &str); 13] = [
    asset!("style.css", CSS),
    asset!("icon.svg", SVG),
    asset!("app.js", JS),
    asset!("detail.js", JS),
    asset!("dom.js", JS),
    asset!("format.js", JS),
    asset!("list.js", JS),
    asset!("loss.js", JS),
    asset!("messages.js", JS),
    asset!("theme.js", JS),
    asset!("trace.js", JS),
    asset!("tree.js", JS),
    asset!("waterfall.js", JS),
];

pub(crate) fn router() -> Router {
    let index = || async { file(HTML, INDEX) };
    let pages = Router::new().route("/traces", get(index)).route("/traces/{trace_id}", get(trace));
    ASSETS.into_iter().fold(pages, |router, (path, media_type, text)| {
        router.route(path, get(move || async move { file(media_type, text) }))
    })
}

/// The same page for every trace, also for one that has not arrived yet.
async fn trace(axum::extract::Path(trace_id): axum::extract::Path<String>) -> Response {
    match trace_id.parse::<TraceId>() {
        Ok(_) => file(HTML, INDEX),
        Err(error) => (StatusCode::NOT_FOUND, format!("trace id {error}\n")).into_response(),
    }
}

fn file(media_type: &'static str, text: &'static str) -> Response {
    let headers = [
        (header::CONTENT_TYPE, media_type),
        (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        // A new build must show at once.
        (header::CACHE_CONTROL, "no-cache"),
    ];
    (headers, text).into_response()
}

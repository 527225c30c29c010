//! Who may talk to a developer's machine: its own browser, and no website that it happens to have open.

use std::net::IpAddr;

use axum::extract::Request;
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

/// Refuses requests that name the host by anything but `localhost` or an IP address.
pub(crate) async fn require_host(request: Request, next: Next) -> Response {
    let host = header_text(request.headers(), &header::HOST).map(host_of);
    // HTTP/2 has its host in the URI.
    match host.or(request.uri().host()) {
        Some(host) if is_localhost(host) || ip(host).is_some() => next.run(request).await,
        _ => (StatusCode::FORBIDDEN, "host must be localhost or an IP address\n").into_response(),
    }
}

/// The request's `Origin`, where it is a page that this machine serves itself.
pub(crate) fn local_origin(headers: &HeaderMap) -> Option<&str> {
    let origin = header_text(headers, &header::ORIGIN)?;
    let host = host_of(origin.strip_prefix("http://").or(origin.strip_prefix("https://"))?);
    let local = is_localhost(host) || ip(host).is_some_and(|ip| ip.is_loopback());
    local.then_some(origin)
}

fn header_text<'a>(headers: &'a HeaderMap, name: &header::HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// `host` of `host`, `host:port`, `[v6]` or `[v6]:port`; the brackets stay.
fn host_of(authority: &str) -> &str {
    let (host, port) = authority.rsplit_once(':').unwrap_or((authority, ""));
    if port.contains(']') { authority } else { host }
}

fn is_localhost(host: &str) -> bool {
    let host = host.to_ascii_lowercase();
    host == "localhost" || host.ends_with(".localhost")
}

fn ip(host: &str) -> Option<IpAddr> {
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host).parse().ok()
}

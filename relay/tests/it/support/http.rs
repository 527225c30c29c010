//! An HTTP client: one request, one connection.

use super::{body, within};
use atomwire_wire::proto::client_frame::Frame;
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Sends `head` (without the last empty line) and `body`; the answer is the status and the body.
pub(crate) async fn request(to: SocketAddr, head: &str, body: &[u8]) -> (u16, Vec<u8>) {
    let answer = within(head, async {
        let mut stream = TcpStream::connect(to).await.unwrap();
        stream
            .write_all(format!("{head}\r\nHost: {to}\r\nConnection: close\r\n\r\n").as_bytes())
            .await
            .unwrap();
        stream.write_all(body).await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        answer
    });
    let answer = answer.await;
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
    let status = std::str::from_utf8(&answer[9..12]).unwrap().parse().unwrap();
    (status, answer[end + 4..].to_vec())
}

/// Sends `request` as it is; the answer is its status line and headers, in lower case.
pub(crate) async fn head(to: SocketAddr, request: &str) -> String {
    let answer = async {
        let mut stream = TcpStream::connect(to).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.unwrap());
        }
        head
    };
    String::from_utf8(within(request, answer).await).unwrap().to_lowercase()
}

pub(crate) async fn get(to: SocketAddr, path: &str) -> (u16, String) {
    let (status, body) = request(to, &format!("GET {path} HTTP/1.1"), b"").await;
    (status, String::from_utf8(body).unwrap())
}

pub(crate) async fn post(to: SocketAddr, path: &str, body: &[u8]) -> (u16, Vec<u8>) {
    request(to, &format!("POST {path} HTTP/1.1\r\nContent-Length: {}", body.len()), body).await
}

/// Many last requests on one connection, without a look at the answers.
pub(crate) async fn post_many(to: SocketAddr, path: &str, requests: impl Iterator<Item = Vec<Frame>>) {
    let mut all = Vec::new();
    for request in requests {
        let body = body(request);
        let head = format!("POST {path} HTTP/1.1\r\nHost: {to}\r\nContent-Length: {}\r\n\r\n", body.len());
        all.extend_from_slice(head.as_bytes());
        all.extend_from_slice(&body);
    }
    let last = format!("GET /health HTTP/1.1\r\nHost: {to}\r\nConnection: close\r\n\r\n");
    all.extend_from_slice(last.as_bytes());
    let (mut answers, mut asking) = TcpStream::connect(to).await.unwrap().into_split();
    let ask = async { asking.write_all(&all).await.unwrap() };
    let read = async { tokio::io::copy(&mut answers, &mut tokio::io::sink()).await.unwrap() };
    within("many answers", async { tokio::join!(ask, read) }).await;
}

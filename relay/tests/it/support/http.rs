//! An HTTP client: one request, one connection.

use super::within;
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

pub(crate) async fn get(to: SocketAddr, path: &str) -> (u16, String) {
    let (status, body) = request(to, &format!("GET {path} HTTP/1.1"), b"").await;
    (status, String::from_utf8(body).unwrap())
}

pub(crate) async fn post(to: SocketAddr, path: &str, body: &[u8]) -> (u16, Vec<u8>) {
    request(to, &format!("POST {path} HTTP/1.1\r\nContent-Length: {}", body.len()), body).await
}

//! Where the bus listens: `tcp://` and `ipc://`, as `ZeroMQ` writes them.

use socket2::{SockRef, TcpKeepalive};
use std::io;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixListener, lookup_host};

/// Where every address of this machine is meant.
const ANY: &str = "0.0.0.0";

/// How long to wait when no connection can be accepted: the process has no file descriptors left, as a rule.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A socket that listens.
#[derive(Debug)]
pub(super) enum Endpoint {
    Tcp(TcpListener),
    Ipc(UnixListener, String),
}

/// A peer's connection.
pub(super) type Stream = Box<dyn ByteStream>;

pub(super) trait ByteStream: AsyncRead + AsyncWrite + Unpin + Send + Sync {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + Sync> ByteStream for S {}

impl Endpoint {
    /// Opens an endpoint that [`is_valid`] took.
    pub(super) async fn bind(endpoint: &str) -> io::Result<Self> {
        if let Some(path) = endpoint.strip_prefix("ipc://") {
            // What an earlier process has left would be in the way.
            let _ = std::fs::remove_file(path);
            return Ok(Self::Ipc(UnixListener::bind(path)?, endpoint.to_owned()));
        }
        let address = endpoint.strip_prefix("tcp://").unwrap_or(endpoint);
        let (host, port) = address.rsplit_once(':').unwrap_or((address, "0"));
        let host = if host == "*" { ANY } else { host };
        let port = if port == "*" { "0" } else { port };
        let mut last = io::ErrorKind::NotFound.into();
        for address in lookup_host(format!("{host}:{port}")).await? {
            match TcpListener::bind(address).await {
                Ok(listener) => return Ok(Self::Tcp(listener)),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// With the port that was taken.
    pub(super) fn name(&self) -> io::Result<String> {
        match self {
            Self::Tcp(listener) => Ok(format!("tcp://{}", listener.local_addr()?)),
            Self::Ipc(_, name) => Ok(name.clone()),
        }
    }

    /// The next peer, and what to call it.
    pub(super) async fn accept(&self) -> (Stream, String) {
        loop {
            let accepted: io::Result<(Stream, String)> = match self {
                Self::Tcp(listener) => listener.accept().await.and_then(|(stream, address)| {
                    set_up(&stream)?;
                    Ok((Box::new(stream) as _, format!("tcp://{address}")))
                }),
                Self::Ipc(listener, name) => {
                    listener.accept().await.map(|(stream, _)| (Box::new(stream) as _, name.clone()))
                }
            };
            match accepted {
                Ok(accepted) => return accepted,
                Err(error) => {
                    tracing::warn!(%error, "a ZeroMQ peer was not accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
}

/// Peers that vanished without a word are noticed within half a minute. Not by the protocol's own heartbeats: a subscriber that
/// does not know them (the Rust crate `zeromq`) breaks off.
fn set_up(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let keepalive = TcpKeepalive::new()
        .with_time(Duration::from_secs(15))
        .with_interval(Duration::from_secs(5))
        .with_retries(3);
    SockRef::from(stream).set_tcp_keepalive(&keepalive)
}

/// Whether this is an endpoint that can be bound, as far as its text tells.
pub(crate) fn is_valid(endpoint: &str) -> bool {
    if let Some(path) = endpoint.strip_prefix("ipc://") {
        return !path.is_empty();
    }
    let port = endpoint.strip_prefix("tcp://").and_then(|rest| rest.rsplit_once(':'));
    port.is_some_and(|(host, port)| !host.is_empty() && (port == "*" || port.parse::<u16>().is_ok()))
}

//! Where the bus listens, and how its peers connect.

use crate::config::Endpoint;
use socket2::{SockRef, TcpKeepalive};
use std::os::unix::fs::FileTypeExt as _;
use std::time::Duration;
use std::{fs, io};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixListener};

/// How long to wait when no connection can be accepted: the process has no file descriptors left, as a rule.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A socket that listens, and its endpoint.
#[derive(Debug)]
pub(super) enum Listener {
    Tcp(TcpListener),
    Ipc(UnixListener, String),
}

/// A peer's connection.
pub(super) type Stream = Box<dyn ByteStream>;

pub(super) trait ByteStream: AsyncRead + AsyncWrite + Unpin + Send + Sync {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + Sync> ByteStream for S {}

impl Listener {
    pub(super) async fn bind(endpoint: &Endpoint) -> io::Result<Self> {
        match endpoint {
            Endpoint::Ipc(path) => {
                // What an earlier process has left would be in the way.
                if fs::symlink_metadata(path).is_ok_and(|it| it.file_type().is_socket()) {
                    fs::remove_file(path)?;
                }
                Ok(Self::Ipc(UnixListener::bind(path)?, endpoint.to_string()))
            }
            Endpoint::Tcp { host, port } => {
                let host = host.as_deref().unwrap_or("0.0.0.0");
                Ok(Self::Tcp(TcpListener::bind((host, *port)).await?))
            }
        }
    }

    /// The endpoint, with the port that was taken.
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

/// Peers that vanished without a word are noticed within half a minute. Not by the protocol's own heartbeats: a
/// subscriber that does not know them (the Rust crate `zeromq`) breaks off.
fn set_up(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let keepalive = TcpKeepalive::new()
        .with_time(Duration::from_secs(15))
        .with_interval(Duration::from_secs(5))
        .with_retries(3);
    SockRef::from(stream).set_tcp_keepalive(&keepalive)
}

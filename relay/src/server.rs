//! Accepts connections until the relay drains.

use crate::http::{self, Permit};
use crate::relay::Relay;
use axum::Router;
use axum::body::Body;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio_io_timeout::TimeoutStream;
use tower::ServiceExt as _;

/// How long a client may take to send a request's head, and to think of the next. Half a head does not hold
/// up a drain (`shutdown::DEADLINE`).
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a client may take no bytes at all of what is written to it, by either protocol: less than a drain
/// takes, too.
const WRITE_TIMEOUT: Duration = Duration::from_secs(5);

/// The largest request head.
const HEAD_BYTES: usize = 16 * 1024;

/// When the system is out of file descriptors, accepting again at once only burns a core.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What a connection is served on.
pub(crate) type Stream = Pin<Box<TimeoutStream<TcpStream>>>;

/// Serves `listener` until `relay.draining` is cancelled.
pub(crate) async fn run(listener: TcpListener, relay: Arc<Relay>, extra: Option<Router>) {
    let router = http::router(Arc::clone(&relay), extra);
    loop {
        let accepted = tokio::select! {
            biased;
            () = relay.draining.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => match Arc::clone(&relay.connections).try_acquire_owned() {
                Ok(permit) => {
                    let permit = Permit(Arc::new(permit));
                    relay.spawn(serve(stream, router.clone(), Arc::clone(&relay), permit));
                }
                Err(_) => {
                    relay.metrics.bad_input("over_capacity").inc();
                }
            },
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn serve(stream: TcpStream, router: Router, relay: Arc<Relay>, permit: Permit) {
    // Acknowledgements are small and should not wait for company.
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(permit.clone());
        router.clone().oneshot(request.map(Body::new))
    });
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT).max_buf_size(HEAD_BYTES);
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(WRITE_TIMEOUT));
    let stream: TokioIo<Stream> = TokioIo::new(Box::pin(stream));
    let mut connection = pin!(builder.serve_connection(stream, service).with_upgrades());
    tokio::select! {
        // A client's broken HTTP is the client's matter.
        _ = connection.as_mut() => return,
        () = relay.draining.cancelled() => connection.as_mut().graceful_shutdown(),
    }
    let _ = connection.await;
}

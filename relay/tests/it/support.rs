//! What the tests share: a relay, and its peers. Only this room knows flags, addresses and frames.

mod collector;
mod consumer;
mod conventions;
mod http;
mod plain;
mod process;
mod raw;
mod session;
mod subscriber;

pub(crate) use collector::{Collector, Received, RetryAfter};
pub(crate) use consumer::Consumer;
pub(crate) use http::{get, head, post, post_many, request};
pub(crate) use plain::Plain;
pub(crate) use process::{Relay, Setup};
pub(crate) use raw::{Raw, body, frame, hello, session};
pub(crate) use session::Session;
pub(crate) use subscriber::{Message, Subscriber};

use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::time::timeout;

/// Longer than anything here takes on a busy machine: whoever waits longer waits for nothing.
const PATIENCE: Duration = Duration::from_mins(1);

/// Waits for `what`; a test that would hang says for what.
pub(crate) async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    timeout(PATIENCE, future).await.unwrap_or_else(|_| panic!("still waiting for {what}"))
}

/// Microseconds since the Unix epoch.
pub(crate) fn now_us() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros() as u64
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .filter_map(|it| char::from_digit(it.into(), 16))
        .collect()
}

//! The trace view from outside: real sockets, real OTLP, one store behind them.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

mod api;
mod grpc;
mod hostile;
mod http;
mod limits;
mod losses;
mod page;
mod support;

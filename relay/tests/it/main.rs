//! The relay from outside: the real binary, and real peers on all of its sides.
#![allow(clippy::unwrap_used)]

mod bus_contract;
mod export;
mod hostile;
mod ledger;
mod operations;
mod plain_contract;
mod readers;
mod requests;
mod required_consumers;
mod sessions;
mod settings;
mod shutdown;
mod slow_subscribers;
mod spans;
mod support;
mod websocket;

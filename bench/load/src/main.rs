//! Measures the relay, what is beside it and what is behind it: one measurement, one JSON object. `relay.mjs` above
//! this crate runs them in turns. `chaos` measures nothing: it is the load of the end-to-end tests.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a benchmark's output is its purpose")]

mod chaos;
mod clock;
mod connection;
mod forwarder;
mod idle;
mod load;
mod machine;
mod row;
mod sink;
mod stalled;
mod subscriber;
mod target;

use clap::{Parser, Subcommand};
use std::error::Error;

/// A benchmark ends at the first thing that goes wrong.
type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

#[derive(Parser)]
#[command(about)]
struct Flags {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Throughput, loss, CPU, memory and latency.
    Load(load::Flags),
    /// Memory of idle connections.
    Idle(idle::Flags),
    /// Memory behind a subscriber that does not read.
    Stalled(stalled::Flags),
    /// From a client's write to the row that the Python consumer has committed.
    Row(row::Flags),
    /// Sessions that survive what is done to their connections, and their account.
    Chaos(chaos::Flags),
    /// The bare forwarder (the other commands start it).
    Forward,
}

#[tokio::main]
async fn main() -> Result<()> {
    match Flags::parse().command {
        Command::Load(flags) => load::run(&flags).await,
        Command::Idle(flags) => idle::run(&flags).await,
        Command::Stalled(flags) => stalled::run(&flags).await,
        Command::Row(flags) => row::run(&flags).await,
        Command::Chaos(flags) => chaos::run(&flags).await,
        Command::Forward => forwarder::run().await,
    }
}

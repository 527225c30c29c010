//! What a connection takes that says nothing.

use crate::Result;
use crate::connection::open_all;
use crate::machine::rest;
use crate::target::{Setup, Target};
use clap::Args;
use serde_json::json;
use std::time::Duration;
use tokio::time::sleep;

/// Until what opening took is given back; shorter than the first heartbeat.
const SETTLED: Duration = Duration::from_secs(2);

#[derive(Args)]
pub(crate) struct Flags {
    #[command(flatten)]
    setup: Setup,
    /// Connections.
    #[arg(long, default_value_t = 10_000)]
    connections: usize,
}

/// Prints one JSON object: kilobytes for each connection, and megabytes in all.
pub(crate) async fn run(flags: &Flags) -> Result<()> {
    rest().await?;
    let target = Target::start(&flags.setup, None).await?;
    let contract = flags.setup.target.contract();
    // The first connection brings in code and thread stacks.
    let first = open_all(1, &target.listen, contract).await?;
    let before = target.memory_kb("VmRSS")?;
    let connections = open_all(flags.connections, &target.listen, contract).await?;
    sleep(SETTLED).await;
    let after = target.memory_kb("VmRSS")?;
    drop((first, connections));
    let kb_each = (after - before) / flags.connections as f64;
    println!("{}", json!({ "kb_each": kb_each, "resident_mb": after / 1024.0 }));
    Ok(())
}

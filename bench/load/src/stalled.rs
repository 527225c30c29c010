//! What a subscriber costs that does not read, at values of 250 KiB.

use crate::Result;
use crate::connection::{LARGE_VALUE, Load, open_all, run_all};
use crate::machine::rest;
use crate::target::{Setup, Target};
use clap::Args;
use serde_json::json;
use std::time::Duration;
use tokio::time::sleep;

const CONNECTIONS: usize = 8;

/// Updates of a connection before all of them are settled: 8 MiB, half of what a session has room for.
const ROUND: u64 = 32;

#[derive(Args)]
pub(crate) struct Flags {
    #[command(flatten)]
    setup: Setup,
    /// Bytes of values that are published, in megabytes.
    #[arg(long, default_value_t = 1_000)]
    megabytes: u64,
}

/// Prints one JSON object: megabytes of values that were published, and the target's most resident memory.
pub(crate) async fn run(flags: &Flags) -> Result<()> {
    rest().await?;
    let target = Target::start(&flags.setup, None).await?;
    let subscriber = zmq::Context::new().socket(zmq::SUB)?;
    subscriber.set_rcvhwm(1)?;
    subscriber.set_subscribe(b"atom-updates")?;
    subscriber.connect(&target.bus)?;
    let mut connections = open_all(CONNECTIONS, &target.listen, flags.setup.target.contract()).await?;
    let mut round = async |updates| {
        let load = Load { value: &LARGE_VALUE, ..Load::of(updates, 1) };
        connections = run_all(std::mem::take(&mut connections), load).await?;
        Result::Ok(CONNECTIONS as u64 * updates * LARGE_VALUE.len() as u64)
    };
    // The first message is heard, so that it is connected; then nothing is read any more.
    let mut bytes = 0;
    while subscriber.poll(zmq::POLLIN, 10)? == 0 {
        bytes += round(1).await?;
    }
    while bytes < flags.megabytes * 1_000_000 {
        bytes += round(ROUND).await?;
    }
    // Text is not acknowledged.
    sleep(Duration::from_secs(1)).await;
    let peak_mb = target.memory_kb("VmHWM")? / 1024.0;
    println!("{}", json!({ "published_mb": bytes as f64 / 1e6, "peak_mb": peak_mb }));
    Ok(())
}

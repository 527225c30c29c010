//! What a connection takes that says nothing.

use crate::Result;
use crate::connection::{Contract, open_all};
use crate::machine::{load_average, rest};
use crate::stats::Summary;
use crate::target::{Spans, Target};
use clap::Args;
use std::path::PathBuf;
use std::time::Duration;
use tokio::time::sleep;

/// Until what opening took is given back; shorter than the first heartbeat.
const SETTLED: Duration = Duration::from_secs(2);

#[derive(Args)]
pub(crate) struct Flags {
    /// The relay's program.
    #[arg(long, default_value = "target/release/atomwire-relay")]
    relay: PathBuf,
    /// Connections, for each of these a measurement.
    #[arg(long, value_delimiter = ',', default_value = "1000,5000")]
    connections: Vec<usize>,
    /// Runs, in turns.
    #[arg(long, default_value_t = 5)]
    runs: usize,
}

pub(crate) async fn run(flags: &Flags) -> Result<()> {
    let cases = [("relay, session open", true), ("bare forwarder", false)];
    println!("| connections | | KB each | resident MB |");
    println!("| --- | --- | --- | --- |");
    for &count in &flags.connections {
        let mut outcomes = [Vec::new(), Vec::new()];
        for _ in 0..flags.runs {
            for ((_, relay), outcomes) in cases.iter().zip(&mut outcomes) {
                outcomes.push(measure(flags, *relay, count).await?);
            }
        }
        for ((name, _), outcomes) in cases.iter().zip(&outcomes) {
            let each = Summary::of(outcomes.iter().map(|(each, _)| *each), 1);
            let all = Summary::of(outcomes.iter().map(|(_, all)| *all), 0);
            println!("| {count} | {name} | {each} | {all} |");
        }
    }
    println!("\n{} runs in turns; load average {}", flags.runs, load_average());
    Ok(())
}

/// Kilobytes for each connection, and megabytes in all.
async fn measure(flags: &Flags, relay: bool, count: usize) -> Result<(f64, f64)> {
    rest().await?;
    let (target, contract) = if relay {
        (Target::relay(&flags.relay, Spans::None, "", "grpc").await?, Contract::Binary)
    } else {
        (Target::forwarder().await?, Contract::Text)
    };
    // The first connection brings in code and thread stacks.
    let first = open_all(1, &target.listen, contract).await?;
    let before = target.memory_kb("VmRSS")?;
    let connections = open_all(count, &target.listen, contract).await?;
    sleep(SETTLED).await;
    let after = target.memory_kb("VmRSS")?;
    drop((first, connections));
    Ok(((after - before) / count as f64, after / 1024.0))
}

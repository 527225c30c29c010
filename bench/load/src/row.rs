//! From a write to its row, through the relay and the Python consumer, beside the barest consumer.

use crate::Result;
use crate::clock::now_us;
use crate::connection::{Contract, Load, open_all, run_all};
use crate::machine::rest;
use crate::sink::Sink;
use crate::target::{Collector, Setup, Target};
use clap::{Args, ValueEnum};
use serde_json::json;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::time::sleep;

/// Updates that warm everything up and do not count.
const WARM_UP: u64 = 50;

/// How often the database is looked at when latency is measured, and when only the last row matters.
const POLL_MS: (&str, &str) = ("0.5", "20");

#[derive(Args)]
pub(crate) struct Flags {
    #[command(flatten)]
    setup: Setup,
    /// A Python that has the consumer installed.
    #[arg(long, default_value = ".venv/bin/python")]
    python: PathBuf,
    /// Who reads the bus and writes rows.
    #[arg(long, value_enum, default_value = "atomwire")]
    consumer: Consumer,
    /// Relay and consumer export all spans; without it, none.
    #[arg(long)]
    spans: bool,
    /// Updates.
    #[arg(long, default_value_t = 1_000)]
    updates: u64,
    /// Updates a second; without it, all at once.
    #[arg(long)]
    rate: Option<f64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Consumer {
    Atomwire,
    /// A loop of pyzmq and sqlite3 (`bare_consumer.py`).
    Bare,
}

/// Prints one JSON object: rows a second, updates without a row, and milliseconds from the write to its row.
pub(crate) async fn run(flags: &Flags) -> Result<()> {
    rest().await?;
    let sink = Sink::start(Duration::ZERO).await?;
    let directory = std::env::temp_dir().join(format!("atomwire-bench-{:x}", fastrand::u64(..)));
    std::fs::create_dir(&directory)?;
    let database = directory.join("rows.sqlite");
    let collector = Collector { endpoint: &sink.endpoint, protocol: "grpc" };
    let target = Target::start(&flags.setup, flags.spans.then_some(collector)).await?;
    let _consumer = start(flags, &target, &database, &sink.endpoint)?;
    let is_connected = |metrics: HashMap<String, u64>| match flags.consumer {
        Consumer::Atomwire => metrics.contains_key("atomwire_consumer_lag_messages"),
        Consumer::Bare => metrics.get("atomwire_bus_subscriptions").is_some_and(|count| *count > 0),
    };
    while !is_connected(target.metrics()?) {
        sleep(Duration::from_millis(20)).await;
    }
    let connections = open_all(1, &target.listen, Contract::Binary).await?;
    let warm_up = Load { rate: Some(100.0), ..Load::of(WARM_UP, 1) };
    let connections = run_all(connections, warm_up).await?;
    sleep(Duration::from_secs(1)).await;

    let from = now_us();
    let poll = if flags.rate.is_some() { POLL_MS.0 } else { POLL_MS.1 };
    let rows = Path::new(env!("CARGO_MANIFEST_DIR")).join("rows.py");
    let mut reader = Command::new(&flags.python)
        .arg(rows)
        .arg(&database)
        .args([flags.updates.to_string(), from.to_string(), poll.to_owned()])
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let mut lines = BufReader::new(reader.stdout.take().ok_or("stdout is piped")?).lines();
    lines.next_line().await?.ok_or("the reader ended")?;
    let started = now_us();
    let load = Load { rate: flags.rate, ..Load::of(flags.updates, 1) };
    let connections = run_all(connections, load).await?;
    let line = lines.next_line().await?.ok_or("the reader ended")?;
    drop(connections);
    std::fs::remove_dir_all(&directory)?;
    let seen: serde_json::Value = serde_json::from_str(&line)?;
    let number = |name: &str| seen[name].as_f64().ok_or_else(|| format!("no {name} in {line}"));
    let seconds = number("seconds")? - (started - from) as f64 / 1e6;
    let report = json!({
        "rate": number("rows")? / seconds,
        "lost": flags.updates as f64 - number("rows")?,
        "p50_ms": number("p50_ms")?,
        "p99_ms": number("p99_ms")?,
    });
    println!("{report}");
    Ok(())
}

fn start(flags: &Flags, target: &Target, database: &Path, sink: &str) -> Result<Child> {
    let Target { bus, replay, .. } = target;
    let mut command = Command::new(&flags.python);
    match flags.consumer {
        Consumer::Atomwire => {
            let url = format!("sqlite:///{}", database.display());
            command.args(["-m", "atomwire", "--replay", replay, "--database-url", &url]);
            if !flags.spans {
                command.env("OTEL_TRACES_EXPORTER", "none");
            }
            command
                .env("OTEL_EXPORTER_OTLP_ENDPOINT", sink)
                .env("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf");
        }
        Consumer::Bare => {
            let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("bare_consumer.py");
            command.arg(script).arg(bus).arg(database);
        }
    }
    Ok(command.stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true).spawn()?)
}

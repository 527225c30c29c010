//! From a write to its row, through the relay and the Python consumer, beside the barest consumer.

use crate::Result;
use crate::clock::now_us;
use crate::connection::{Contract, Load, open_all, run_all};
use crate::machine::{load_average, rest};
use crate::sink;
use crate::stats::Summary;
use crate::target::{Spans, Target};
use clap::Args;
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
    /// The relay's program.
    #[arg(long, default_value = "target/release/atomwire-relay")]
    relay: PathBuf,
    /// A Python that has the consumer installed.
    #[arg(long, default_value = ".venv/bin/python")]
    python: PathBuf,
    /// Updates of one run.
    #[arg(long, default_value_t = 1_000)]
    updates: u64,
    /// Updates a second; without it, all at once.
    #[arg(long)]
    rate: Option<f64>,
    /// Runs of each case, in turns.
    #[arg(long, default_value_t = 5)]
    runs: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Consumer {
    Atomwire(Spans),
    Bare,
}

const CASES: [(&str, Consumer); 3] = [
    ("atomwire consumer, no spans", Consumer::Atomwire(Spans::None)),
    ("atomwire consumer, all spans", Consumer::Atomwire(Spans::All)),
    ("bare pyzmq and sqlite3", Consumer::Bare),
];

struct Outcome {
    lost: f64,
    rate: f64,
    p50_ms: f64,
    p99_ms: f64,
}

pub(crate) async fn run(flags: &Flags) -> Result<()> {
    let sink = sink::start(Duration::ZERO).await?;
    let mut outcomes = [Vec::new(), Vec::new(), Vec::new()];
    for _ in 0..flags.runs {
        for ((_, consumer), outcomes) in CASES.iter().zip(&mut outcomes) {
            outcomes.push(measure(flags, *consumer, &sink).await?);
        }
    }
    println!("| | rows/s | lost | p50 ms | p99 ms |");
    println!("| --- | --- | --- | --- | --- |");
    for ((name, _), outcomes) in CASES.iter().zip(&outcomes) {
        let of = |pick: fn(&Outcome) -> f64, digits| Summary::of(outcomes.iter().map(pick), digits);
        println!(
            "| {name} | {} | {} | {} | {} |",
            of(|it| it.rate, 0),
            of(|it| it.lost, 0),
            of(|it| it.p50_ms, 2),
            of(|it| it.p99_ms, 2),
        );
    }
    println!(
        "\n{} updates a run, {} runs in turns; load average {}",
        flags.updates,
        flags.runs,
        load_average()
    );
    Ok(())
}

async fn measure(flags: &Flags, consumer: Consumer, sink: &str) -> Result<Outcome> {
    rest().await?;
    let directory = std::env::temp_dir().join(format!("atomwire-bench-{:x}", fastrand::u64(..)));
    std::fs::create_dir(&directory)?;
    let database = directory.join("rows.sqlite");
    let spans = if let Consumer::Atomwire(spans) = consumer { spans } else { Spans::None };
    let target = Target::relay(&flags.relay, spans, sink, "grpc").await?;
    let _consumer = start(flags, consumer, &target, &database, sink)?;
    let is_connected = |metrics: HashMap<String, u64>| match consumer {
        Consumer::Atomwire(_) => metrics.contains_key("atomwire_consumer_lag_messages"),
        Consumer::Bare => metrics.get("atomwire_bus_subscriptions").is_some_and(|count| *count > 0),
    };
    while !is_connected(target.metrics()?) {
        sleep(Duration::from_millis(20)).await;
    }
    let connections = open_all(1, &target.listen, Contract::Binary).await?;
    let warm_up = Load { updates: WARM_UP, per_frame: 1, rate: Some(100.0) };
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
    let connections =
        run_all(connections, Load { updates: flags.updates, per_frame: 1, rate: flags.rate }).await?;
    let line = lines.next_line().await?.ok_or("the reader ended")?;
    drop(connections);
    std::fs::remove_dir_all(&directory)?;
    let seen: serde_json::Value = serde_json::from_str(&line)?;
    let number = |name: &str| seen[name].as_f64().ok_or_else(|| format!("no {name} in {line}"));
    let seconds = number("seconds")? - (started - from) as f64 / 1e6;
    Ok(Outcome {
        lost: flags.updates as f64 - number("rows")?,
        rate: number("rows")? / seconds,
        p50_ms: number("p50_ms")?,
        p99_ms: number("p99_ms")?,
    })
}

fn start(flags: &Flags, consumer: Consumer, target: &Target, database: &Path, sink: &str) -> Result<Child> {
    let Target { bus, replay, .. } = target;
    let mut command = Command::new(&flags.python);
    match consumer {
        Consumer::Atomwire(spans) => {
            let url = format!("sqlite:///{}", database.display());
            command.args(["-m", "atomwire", "--replay", replay, "--database-url", &url]);
            if spans == Spans::None {
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

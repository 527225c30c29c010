//! The relay under load, beside the bare forwarder.

use crate::Result;
use crate::clock::now_us;
use crate::connection::{Connection, Contract, Load, open_all, run_all};
use crate::machine::{busy_seconds, cpu_seconds, load_average, rest};
use crate::sink;
use crate::stats::{Summary, percentile};
use crate::subscriber::Subscriber;
use crate::target::{Spans, Target};
use clap::Args;
use std::path::PathBuf;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// What is still on its way after this long without any message is lost.
const GIVEN_UP: Duration = Duration::from_secs(3);

/// The exporter sends each 200 ms.
const EXPORTED: Duration = Duration::from_secs(1);

#[derive(Args)]
pub(crate) struct Flags {
    /// The relay's program.
    #[arg(long, default_value = "target/release/atomwire-relay")]
    relay: PathBuf,
    /// Only the cases whose name contains this.
    #[arg(long, default_value = "")]
    only: String,
    /// Updates of one run.
    #[arg(long, default_value_t = 1_000_000)]
    updates: u64,
    /// Clients.
    #[arg(long, default_value_t = 8)]
    connections: usize,
    /// Updates a second of all clients together; without it, as fast as they are taken.
    #[arg(long)]
    rate: Option<f64>,
    /// How spans go to the collector: grpc or http/protobuf.
    #[arg(long, default_value = "grpc")]
    protocol: String,
    /// Milliseconds that the collector takes for a request.
    #[arg(long, default_value_t = 0)]
    collector_ms: u64,
    /// Runs of each case, in turns.
    #[arg(long, default_value_t = 5)]
    runs: usize,
}

struct Case {
    name: &'static str,
    /// The relay with these spans, or the forwarder.
    relay: Option<Spans>,
    contract: Contract,
    per_frame: u64,
}

const CASES: [Case; 9] = [
    Case::new("frames of 10, no spans", Some(Spans::None), Contract::Binary, 10),
    Case::new("frames of 10, all spans", Some(Spans::All), Contract::Binary, 10),
    Case::new("frames of 10, a tenth of the traces", Some(Spans::Tenth), Contract::Binary, 10),
    Case::new("frames of 10, bare forwarder", None, Contract::Text, 10),
    Case::new("plain JSON, no spans", Some(Spans::None), Contract::Text, 1),
    Case::new("plain JSON, all spans", Some(Spans::All), Contract::Text, 1),
    Case::new("plain JSON, bare forwarder", None, Contract::Text, 1),
    Case::new("frames of 1, no spans", Some(Spans::None), Contract::Binary, 1),
    Case::new("frames of 1, all spans", Some(Spans::All), Contract::Binary, 1),
];

impl Case {
    const fn new(name: &'static str, relay: Option<Spans>, contract: Contract, per_frame: u64) -> Self {
        Self { name, relay, contract, per_frame }
    }
}

struct Outcome {
    rate: f64,
    lost: u64,
    /// CPU seconds for a million updates, of the target and of load and subscriber.
    cpu: f64,
    bench_cpu: f64,
    /// Cores that other processes took meanwhile.
    others: f64,
    peak_mb: f64,
    p50_ms: f64,
    p99_ms: f64,
    spans_exported: u64,
    spans_dropped: u64,
}

pub(crate) async fn run(flags: &Flags) -> Result<()> {
    let cases: Vec<_> = CASES.iter().filter(|case| case.name.contains(&flags.only)).collect();
    let sink = sink::start(Duration::from_millis(flags.collector_ms)).await?;
    let mut outcomes: Vec<Vec<Outcome>> = cases.iter().map(|_| Vec::new()).collect();
    let load_before = load_average();
    for _ in 0..flags.runs {
        for (case, outcomes) in cases.iter().zip(&mut outcomes) {
            outcomes.push(measure(flags, case, &sink).await?);
        }
    }
    println!(
        "| | updates/s | lost | CPU s per million | peak MB | p50 ms | p99 ms | spans out | spans dropped |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- | --- | --- |");
    for (case, outcomes) in cases.iter().zip(&outcomes) {
        let of = |pick: fn(&Outcome) -> f64, digits| Summary::of(outcomes.iter().map(pick), digits);
        println!(
            "| {} | {} | {} | {} | {} | {} | {} | {} | {} |",
            case.name,
            of(|it| it.rate, 0),
            of(|it| it.lost as f64, 0),
            of(|it| it.cpu, 2),
            of(|it| it.peak_mb, 0),
            of(|it| it.p50_ms, 2),
            of(|it| it.p99_ms, 2),
            of(|it| it.spans_exported as f64, 0),
            of(|it| it.spans_dropped as f64, 0),
        );
    }
    let all = |pick: fn(&Outcome) -> f64| Summary::of(outcomes.iter().flatten().map(pick), 2);
    println!(
        "\n{} updates a run over {} connections, {} runs in turns; load and subscriber took {} CPU s per \
         million; others took {} cores; load average {load_before} before, {} after",
        flags.updates,
        flags.connections,
        flags.runs,
        all(|it| it.bench_cpu),
        all(|it| it.others),
        load_average()
    );
    Ok(())
}

async fn measure(flags: &Flags, case: &Case, sink: &str) -> Result<Outcome> {
    rest().await?;
    let target = match case.relay {
        Some(spans) => Target::relay(&flags.relay, spans, sink, &flags.protocol).await?,
        None => Target::forwarder().await?,
    };
    let subscriber = Subscriber::start(&target.bus)?;
    let connections = open_all(flags.connections, &target.listen, case.contract).await?;
    let connections = warm_up(connections, &subscriber, case.per_frame).await?;

    let share = flags.updates / flags.connections as u64 / case.per_frame * case.per_frame;
    let sent = share * flags.connections as u64;
    let (received, missing) = (subscriber.received(), subscriber.missing());
    let traced = case.relay.is_some_and(|spans| spans != Spans::None);
    let mut spans = if traced { target.spans()? } else { (0, 0) };
    let (cpu, bench_cpu) = (target.cpu_seconds()?, cpu_seconds("self")?);
    let (busy, started) = (busy_seconds()?, now_us());
    subscriber.time_from(started);
    let rate = flags.rate.map(|rate| rate / flags.connections as f64);
    let connections = run_all(connections, Load { updates: share, per_frame: case.per_frame, rate }).await?;
    quiet(|| Ok(subscriber.received()), |it| it - received == sent, GIVEN_UP).await?;
    let (received, missing) = (subscriber.received() - received, subscriber.missing() - missing);
    let seconds = (subscriber.last_at() - started) as f64 / 1e6;
    let lost = sent.checked_sub(received).ok_or("more came than was sent")?;
    if case.relay.is_some() && missing > lost {
        return Err(format!("relay.seq tells of {missing} lost messages, but {lost} are missing").into());
    }

    if traced {
        quiet(|| Ok(target.spans()?.0), |_| false, EXPORTED).await?;
        let (exported, dropped) = target.spans()?;
        spans = (exported - spans.0, dropped - spans.1);
    }
    let millions = sent as f64 / 1e6;
    let (cpu, bench_cpu) = (target.cpu_seconds()? - cpu, cpu_seconds("self")? - bench_cpu);
    let elapsed = (now_us() - started) as f64 / 1e6;
    let outcome = Outcome {
        rate: received as f64 / seconds,
        lost,
        cpu: cpu / millions,
        bench_cpu: bench_cpu / millions,
        others: (busy_seconds()? - busy - cpu - bench_cpu) / elapsed,
        peak_mb: target.memory_kb("VmHWM")? / 1024.0,
        p50_ms: 0.0,
        p99_ms: 0.0,
        spans_exported: spans.0,
        spans_dropped: spans.1,
    };
    drop(connections);
    let latencies = subscriber.stop()?;
    Ok(Outcome {
        p50_ms: percentile(&latencies, 0.50) / 1e3,
        p99_ms: percentile(&latencies, 0.99) / 1e3,
        ..outcome
    })
}

/// Sends until the subscriber hears it: from then on everything is connected.
async fn warm_up(
    mut connections: Vec<Connection>,
    subscriber: &Subscriber,
    per_frame: u64,
) -> Result<Vec<Connection>> {
    while subscriber.received() == 0 {
        connections = run_all(connections, Load { updates: per_frame, per_frame, rate: None }).await?;
        sleep(Duration::from_millis(10)).await;
    }
    quiet(|| Ok(subscriber.received()), |_| false, Duration::from_millis(300)).await?;
    Ok(connections)
}

/// Waits until `count` is `enough`, or did not change for as long as `silence`.
async fn quiet(
    count: impl Fn() -> Result<u64>,
    enough: impl Fn(u64) -> bool,
    silence: Duration,
) -> Result<()> {
    let (mut last, mut since) = (count()?, Instant::now());
    while !enough(last) && since.elapsed() < silence {
        sleep(Duration::from_millis(5)).await;
        let now = count()?;
        if now != last {
            (last, since) = (now, Instant::now());
        }
    }
    Ok(())
}

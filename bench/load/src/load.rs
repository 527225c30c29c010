//! A target under load: throughput, loss, CPU, memory and latency.

use crate::Result;
use crate::clock::now_us;
use crate::connection::{Connection, Contract, Load, VALUE, open_all, run_all};
use crate::machine::{busy_seconds, cpu_seconds, rest};
use crate::sink::Sink;
use crate::subscriber::{Subscriber, percentile};
use crate::target::{Collector, Setup, Target};
use clap::Args;
use serde_json::json;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// What is still on its way after this long without any message or span is lost.
const GIVEN_UP: Duration = Duration::from_secs(3);

/// Updates before anything counts: Node has compiled by then what it runs.
const WARM_UP: u64 = 20_000;

/// Updates on their way at the most: far more than keep everybody busy, and fewer than the 50,000 messages after
/// which the peers' publishers drop.
const WINDOW: usize = 16_384;

#[derive(Args)]
pub(crate) struct Flags {
    #[command(flatten)]
    setup: Setup,
    /// How clients speak.
    #[arg(long, value_enum, default_value = "binary")]
    contract: Contract,
    /// Updates in each frame, or lines in each text message.
    #[arg(long, default_value_t = 1)]
    per_frame: u64,
    /// Clients.
    #[arg(long, default_value_t = 8)]
    connections: usize,
    /// Updates a second of all clients together; without it, as fast as the subscriber gets them.
    #[arg(long)]
    rate: Option<f64>,
    /// How long they send.
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,
    /// Exports all spans; without it, none.
    #[arg(long)]
    spans: bool,
    /// How spans go to the collector: grpc or http/protobuf.
    #[arg(long, default_value = "grpc")]
    protocol: String,
    /// Milliseconds that the collector takes for a request.
    #[arg(long, default_value_t = 0)]
    collector_ms: u64,
}

/// Prints one JSON object. `cpu` and `bench_cpu` are the CPU seconds for a million updates of the target, and of
/// load, subscriber and collector; `others` the cores that other processes took meanwhile; `lost` the updates that
/// the subscriber did not get, `spans_lost` the spans that the collector did not.
pub(crate) async fn run(flags: &Flags) -> Result<()> {
    rest().await?;
    let sink = Sink::start(Duration::from_millis(flags.collector_ms)).await?;
    let collector = Collector { endpoint: &sink.endpoint, protocol: &flags.protocol };
    let target = Target::start(&flags.setup, flags.spans.then_some(collector)).await?;
    let subscriber = Subscriber::start(&target.bus)?;
    let mut connections = open_all(flags.connections, &target.listen, flags.contract).await?;
    while subscriber.received() == 0 {
        connections = run_all(connections, Load::of(flags.per_frame, flags.per_frame)).await?;
        sleep(Duration::from_millis(10)).await;
    }
    let share = WARM_UP.div_ceil(flags.connections as u64).next_multiple_of(flags.per_frame);
    connections = run_all(connections, Load::of(share, flags.per_frame)).await?;
    let spans_each = if flags.spans { flags.contract.spans() } else { 0 };
    let made = |connections: &[Connection]| connections.iter().map(Connection::created).sum::<u64>();
    let settled = async |connections: &[Connection]| {
        let updates = made(connections);
        quiet(|| subscriber.received(), updates).await;
        quiet(|| sink.spans(), updates * spans_each).await;
    };
    settled(&connections).await;

    let (made_before, received, missing) = (made(&connections), subscriber.received(), subscriber.missing());
    let spans = sink.spans();
    let (cpu, bench_cpu) = (target.cpu_seconds()?, cpu_seconds("self")?);
    let (busy, started) = (busy_seconds()?, now_us());
    subscriber.time_from(started);
    let load = Load {
        updates: u64::MAX,
        per_frame: flags.per_frame,
        rate: flags.rate.map(|rate| rate / flags.connections as f64),
        lasting: Duration::from_secs_f64(flags.seconds),
        window: Some(subscriber.window(WINDOW)),
        value: VALUE,
    };
    let connections = run_all(connections, load).await?;
    settled(&connections).await;

    let sent = made(&connections) - made_before;
    let (received, missing) = (subscriber.received() - received, subscriber.missing() - missing);
    let lost = sent.checked_sub(received).ok_or("more came than was sent")?;
    if missing > lost {
        return Err(format!("relay.seq tells of {missing} lost messages, but {lost} are missing").into());
    }
    let spans = sink.spans() - spans;
    let millions = sent as f64 / 1e6;
    let (cpu, bench_cpu) = (target.cpu_seconds()? - cpu, cpu_seconds("self")? - bench_cpu);
    let elapsed = (now_us() - started) as f64 / 1e6;
    let others = (busy_seconds()? - busy - cpu - bench_cpu) / elapsed;
    let rate = received as f64 * 1e6 / (subscriber.last_at() - started) as f64;
    let peak_mb = target.memory_kb("VmHWM")? / 1024.0;
    drop(connections);
    let latencies = subscriber.stop()?;
    let report = json!({
        "rate": rate,
        "lost": lost,
        "cpu": cpu / millions,
        "bench_cpu": bench_cpu / millions,
        "others": others,
        "peak_mb": peak_mb,
        "p50_ms": percentile(&latencies, 0.50) / 1e3,
        "p99_ms": percentile(&latencies, 0.99) / 1e3,
        "spans": spans,
        "spans_lost": (sent * spans_each).saturating_sub(spans),
    });
    println!("{report}");
    Ok(())
}

/// Waits until `count` is `enough`, or has not changed for so long that the rest is lost.
async fn quiet(count: impl Fn() -> u64, enough: u64) {
    let (mut last, mut since) = (count(), Instant::now());
    while last < enough && since.elapsed() < GIVEN_UP {
        sleep(Duration::from_millis(5)).await;
        let now = count();
        if now != last {
            (last, since) = (now, Instant::now());
        }
    }
}

//! Atomwire's relay: updates come in by WebSocket, go out on `ZeroMQ`, and their spans by OTLP.

mod bus;
mod clock;
mod config;
mod http;
mod losses;
mod metrics;
mod payload;
mod relay;
mod server;
mod sessions;
mod shutdown;
mod stream;
mod trace;

use atomwire_trace_view::{Limits, TraceStore};
use bus::{Bus, BusConfig};
use clap::Parser as _;
use config::{Dev, EX_USAGE, Flags, Protocol, Settings};
use metrics::Metrics;
use relay::{CONNECTIONS, Relay};
use sessions::{Ended, Sessions};
use std::io::{IsTerminal as _, Write as _};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use trace::{Instance, Spans};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

/// Glibc's allocator took a third of the relay's CPU time under load.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let flags = Flags::try_parse().unwrap_or_else(|error| {
        // Help and version are no errors, and go to standard output.
        let _ = error.print();
        std::process::exit(if error.use_stderr() { EX_USAGE } else { 0 })
    });
    let settings = match Settings::read(&flags, |name| std::env::var(name).ok()) {
        Ok(settings) => settings,
        Err(errors) => {
            for error in errors {
                let _ = writeln!(std::io::stderr(), "atomwire-relay: {error}");
            }
            return ExitCode::from(EX_USAGE as u8);
        }
    };
    log_to_stderr();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    match runtime.map_err(|error| error.to_string()).and_then(|runtime| runtime.block_on(run(settings))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(error, "the relay cannot run");
            ExitCode::FAILURE
        }
    }
}

/// Lines for people on a terminal, JSON for everything else; `RUST_LOG` sets the levels.
fn log_to_stderr() {
    let levels = std::env::var("RUST_LOG").ok().and_then(|levels| levels.parse::<Targets>().ok());
    let levels = levels.unwrap_or_else(|| Targets::new().with_default(tracing::Level::INFO));
    let registry = tracing_subscriber::registry().with(levels);
    let layer = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    if std::io::stderr().is_terminal() {
        registry.with(layer).init();
    } else {
        registry.with(layer.json().flatten_event(true)).init();
    }
}

async fn run(mut settings: Settings) -> Result<(), String> {
    let listener = listen("--listen", settings.listen).await?;
    let dev = match settings.dev {
        Some(dev) => Some(DevTools::open(dev).await?),
        None => None,
    };
    if let (Some(dev), Some(exporter)) = (&dev, &mut settings.otel.exporter) {
        exporter.endpoint.get_or_insert_with(|| dev.endpoint(exporter.protocol));
    }
    let metrics = Arc::new(Metrics::new());
    let id = payload::hex(&fastrand::u64(..).to_be_bytes());
    let address = listener.local_addr().map_err(|error| error.to_string())?;
    let instance = Instance { id: &id, listen: address, bus: &settings.bus, topic: &settings.topic };
    let (spans, export_thread) = Spans::start(&settings.otel, &instance, &metrics);
    let bus_config = BusConfig {
        bus: settings.bus,
        replay: settings.replay,
        replay_bytes: settings.replay_bytes,
        topic: settings.topic,
        required: settings.required_consumers,
        acknowledge: settings.acknowledge,
        relay_id: id.clone(),
    };
    let started = Bus::start(bus_config, Arc::clone(&metrics), spans.clone()).await;
    let (bus, endpoints) = started.map_err(|error| error.to_string())?;
    let (ends, relay_id) = (bus.clone(), id.clone());
    let sessions = Sessions::new(Arc::clone(&metrics), move |ended| {
        let note = |it: &Ended| payload::end(&payload::hex(&it.id), it.next_seq, it.reason, &relay_id);
        ends.publish(&ended.iter().map(note).collect::<Vec<_>>(), Vec::new());
    });
    let relay = Arc::new(Relay {
        id,
        bus,
        spans,
        sessions: Arc::new(sessions),
        metrics,
        token: settings.token,
        dev: dev.is_some(),
        draining: CancellationToken::new(),
        cut: CancellationToken::new(),
        connections: Arc::new(Semaphore::new(CONNECTIONS)),
        tasks: TaskTracker::new(),
    });
    let (sessions, draining) = (Arc::clone(&relay.sessions), relay.draining.clone());
    relay.spawn(draining.run_until_cancelled_owned(async move { sessions.forget().await }));
    tracing::info!(
        listen = %address,
        bus = endpoints.bus,
        replay = endpoints.replay,
        relay_id = relay.id,
        version = env!("CARGO_PKG_VERSION"),
        "listening"
    );
    if let Some(dev) = &dev {
        let url = format!("http://{address}/traces");
        tracing::info!(otlp_grpc = %dev.grpc, otlp_http = %dev.http, "traces are shown at {url}");
    }
    let signalled = shutdown::on_signal(relay.draining.clone());
    server::run(listener, Arc::clone(&relay), dev.as_ref().map(|dev| dev.store.router())).await;
    if let Some(dev) = &dev {
        // The pages' live streams would otherwise be waited for; the receivers go on until the end.
        dev.store.close();
    }
    shutdown::drain(relay, export_thread).await;
    signalled.abort();
    Ok(())
}

async fn listen(setting: &str, address: SocketAddr) -> Result<TcpListener, String> {
    TcpListener::bind(address).await.map_err(|error| format!("cannot bind {setting} to {address}: {error}"))
}

/// What `--dev` adds: the trace view, and the receivers that fill it.
struct DevTools {
    store: TraceStore,
    grpc: SocketAddr,
    http: SocketAddr,
}

impl DevTools {
    async fn open(dev: Dev) -> Result<Self, String> {
        let store = TraceStore::new(Limits::default());
        let grpc = listen("--dev-otlp-grpc", dev.otlp_grpc).await?;
        let http = listen("--dev-otlp-http", dev.otlp_http).await?;
        let local = |listener: &TcpListener| listener.local_addr().map_err(|error| error.to_string());
        let (grpc_address, http_address) = (local(&grpc)?, local(&http)?);
        // They end with the process, after the relay's own last spans.
        let (grpc_store, http_store) = (store.clone(), store.clone());
        tokio::spawn(async move { grpc_store.serve_otlp_grpc(grpc, std::future::pending()).await });
        tokio::spawn(async move { http_store.serve_otlp_http(http, std::future::pending()).await });
        Ok(Self { store, grpc: grpc_address, http: http_address })
    }

    fn endpoint(&self, protocol: Protocol) -> String {
        match protocol {
            Protocol::Grpc => format!("http://{}", self.grpc),
            Protocol::HttpProtobuf => format!("http://{}/v1/traces", self.http),
        }
    }
}

//! What is measured: a process of its own, and what the kernel knows of it.

use crate::Result;
use crate::connection::Contract;
use crate::machine::cpu_seconds;
use clap::{Args, ValueEnum};
use std::collections::HashMap;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

/// What can be measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    Relay,
    /// What a team would write in Node (`gateway.mjs`).
    Gateway,
    /// WebSocket in, libzmq out, and nothing between them.
    Forwarder,
}

impl Kind {
    /// The contract that shows it at its best.
    pub(crate) fn contract(self) -> Contract {
        match self {
            Self::Relay => Contract::Binary,
            Self::Gateway | Self::Forwarder => Contract::Plain,
        }
    }
}

/// Which target, and where it is.
#[derive(Args)]
pub(crate) struct Setup {
    /// What is measured.
    #[arg(long, value_enum, default_value = "relay")]
    pub(crate) target: Kind,
    /// The relay's program.
    #[arg(long, default_value = "target/release/atomwire-relay")]
    relay: PathBuf,
}

/// Where spans go: an OTLP endpoint, by `grpc` or `http/protobuf`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Collector<'a> {
    pub(crate) endpoint: &'a str,
    pub(crate) protocol: &'a str,
}

/// A running target; killed when dropped.
pub(crate) struct Target {
    child: Child,
    /// `host:port` of its WebSocket.
    pub(crate) listen: String,
    /// The endpoint of its bus.
    pub(crate) bus: String,
    /// The relay's replay endpoint; empty for the others, which have none.
    pub(crate) replay: String,
}

impl Target {
    /// Starts what `setup` says; its spans go to `collector`, or there are none.
    pub(crate) async fn start(setup: &Setup, collector: Option<Collector<'_>>) -> Result<Self> {
        let mut command = match setup.target {
            Kind::Relay => {
                let mut command = Command::new(&setup.relay);
                command.args([
                    "--listen=127.0.0.1:0",
                    "--bus=tcp://127.0.0.1:*",
                    "--replay=tcp://127.0.0.1:*",
                ]);
                command
            }
            Kind::Gateway => {
                let mut command = Command::new("node");
                command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("gateway.mjs"));
                command
            }
            Kind::Forwarder => {
                let mut command = Command::new(std::env::current_exe()?);
                command.arg("forward");
                command
            }
        };
        match collector {
            None => command.env("OTEL_TRACES_EXPORTER", "none"),
            Some(Collector { endpoint, protocol }) => command
                .env("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)
                .env("OTEL_EXPORTER_OTLP_PROTOCOL", protocol),
        };
        let mut child = command.stderr(Stdio::piped()).kill_on_drop(true).spawn()?;
        let mut lines = BufReader::new(child.stderr.take().ok_or("stderr is piped")?).lines();
        while let Some(line) = lines.next_line().await? {
            let Ok(entry) = serde_json::from_str::<serde_json::Value>(&line) else {
                eprintln!("{line}");
                continue;
            };
            if let (Some(listen), Some(bus)) = (entry["listen"].as_str(), entry["bus"].as_str()) {
                let (listen, bus) = (listen.to_owned(), bus.to_owned());
                let replay = entry["replay"].as_str().unwrap_or_default().to_owned();
                // Read on, or the pipe would fill up.
                tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
                return Ok(Self { child, listen, bus, replay });
            }
        }
        Err("the target ended before it listened".into())
    }

    /// CPU seconds that it has used.
    pub(crate) fn cpu_seconds(&self) -> Result<f64> {
        cpu_seconds(&self.child.id().ok_or("the target has ended")?.to_string())
    }

    /// A line of its `/proc/…/status` in kilobytes: `VmRSS`, or `VmHWM`, the most that it ever was.
    pub(crate) fn memory_kb(&self, line: &str) -> Result<f64> {
        let status = format!("/proc/{}/status", self.child.id().ok_or("the target has ended")?);
        let status = std::fs::read_to_string(status)?;
        let found = status.lines().find_map(|it| it.strip_prefix(line)?.strip_prefix(':'));
        let number = found.and_then(|text| text.split_whitespace().next()).ok_or("no such line")?;
        Ok(number.parse()?)
    }

    /// The relay's counters; of those with a label the sum.
    pub(crate) fn metrics(&self) -> Result<HashMap<String, u64>> {
        let mut stream = TcpStream::connect(&self.listen)?;
        stream.write_all(b"GET /metrics HTTP/1.0\r\n\r\n")?;
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        let mut sums = HashMap::new();
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            if let Some((name, value)) = line.rsplit_once(' ')
                && let Ok(value) = value.parse::<u64>()
            {
                let name = name.split('{').next().unwrap_or(name);
                *sums.entry(name.to_owned()).or_default() += value;
            }
        }
        Ok(sums)
    }
}

//! What is measured: a process of its own, and what the kernel knows of it.

use crate::Result;
use crate::machine::cpu_seconds;
use std::collections::HashMap;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::Stdio;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

/// Where spans go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Spans {
    None,
    All,
    Tenth,
}

/// A running relay or forwarder; killed when dropped.
pub(crate) struct Target {
    child: Child,
    /// `host:port` of its WebSocket.
    pub(crate) listen: String,
    /// The endpoint of its bus.
    pub(crate) bus: String,
    /// The relay's replay endpoint; empty for the forwarder, which has none.
    pub(crate) replay: String,
}

impl Target {
    /// Starts the relay at `path`; its spans go to the OTLP endpoint `sink` by `protocol`.
    pub(crate) async fn relay(path: &PathBuf, spans: Spans, sink: &str, protocol: &str) -> Result<Self> {
        let mut command = Command::new(path);
        command.args(["--listen=127.0.0.1:0", "--bus=tcp://127.0.0.1:*", "--replay=tcp://127.0.0.1:*"]);
        match spans {
            Spans::None => command.env("OTEL_TRACES_EXPORTER", "none"),
            _ => {
                command.env("OTEL_EXPORTER_OTLP_ENDPOINT", sink).env("OTEL_EXPORTER_OTLP_PROTOCOL", protocol)
            }
        };
        if spans == Spans::Tenth {
            command.env("OTEL_TRACES_SAMPLER", "traceidratio").env("OTEL_TRACES_SAMPLER_ARG", "0.1");
        }
        Self::start(command).await
    }

    /// Starts the bare forwarder.
    pub(crate) async fn forwarder() -> Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("forward");
        Self::start(command).await
    }

    async fn start(mut command: Command) -> Result<Self> {
        let mut child = command.stderr(Stdio::piped()).kill_on_drop(true).spawn()?;
        let mut lines = BufReader::new(child.stderr.take().ok_or("stderr is piped")?).lines();
        while let Some(line) = lines.next_line().await? {
            let entry: serde_json::Value = serde_json::from_str(&line).unwrap_or_default();
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

    /// Spans that the relay has exported, and those that it has dropped.
    pub(crate) fn spans(&self) -> Result<(u64, u64)> {
        let metrics = self.metrics()?;
        let count = |name| metrics.get(name).copied().unwrap_or(0);
        Ok((count("atomwire_spans_exported_total"), count("atomwire_spans_dropped_total")))
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

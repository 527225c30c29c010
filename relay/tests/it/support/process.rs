//! The relay's process.

use super::{Collector, get, within};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{ExitStatus, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;
use tokio::time::sleep;

/// How a relay is to be started.
pub(crate) struct Setup {
    flags: Vec<String>,
    env: Vec<(String, String)>,
    dir: PathBuf,
}

impl Setup {
    /// Free ports, no exporter.
    pub(crate) fn new() -> Self {
        let flags = ["--listen=127.0.0.1:0", "--bus=tcp://127.0.0.1:*", "--replay=tcp://127.0.0.1:0"];
        Self::bare().flags(&flags).env("OTEL_TRACES_EXPORTER", "none")
    }

    /// As it is without a word: for settings.
    pub(crate) fn bare() -> Self {
        Self { flags: Vec::new(), env: Vec::new(), dir: std::env::temp_dir() }
    }

    pub(crate) fn flags(mut self, flags: &[&str]) -> Self {
        self.flags.extend(flags.iter().map(|&flag| flag.to_owned()));
        self
    }

    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn dir(mut self, dir: PathBuf) -> Self {
        self.dir = dir;
        self
    }

    /// With the trace view, which then takes the relay's own spans.
    pub(crate) fn dev(self) -> Self {
        self.flags(&["--dev", "--dev-otlp-grpc=127.0.0.1:0", "--dev-otlp-http=127.0.0.1:0"])
            .env("OTEL_TRACES_EXPORTER", "otlp")
    }

    /// Spans go to `collector`, by gRPC.
    pub(crate) fn exporting_to(self, collector: &Collector) -> Self {
        self.env("OTEL_TRACES_EXPORTER", "otlp")
            .env("OTEL_EXPORTER_OTLP_ENDPOINT", &format!("http://{}", collector.grpc))
    }

    fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_atomwire-relay"));
        // Nothing of whoever runs the tests.
        command.env_clear().envs(self.env.iter().map(|(name, value)| (name, value)));
        command.args(&self.flags).current_dir(&self.dir).kill_on_drop(true);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Runs a relay that ends by itself.
    pub(crate) async fn run(self) -> Output {
        within("the relay's end", self.command().output()).await.unwrap()
    }

    pub(crate) async fn start(self) -> Relay {
        let mut child = self.command().spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let log = Arc::new(Mutex::new(Vec::new()));
        let listening = within("the relay's start", async {
            loop {
                let line = lines.next_line().await.unwrap().expect("the relay ended at its start");
                let json: serde_json::Value = serde_json::from_str(&line).expect(&line);
                log.lock().unwrap().push(line);
                if json["message"] == "listening" {
                    return json;
                }
            }
        });
        let listening = listening.await;
        let text = |name: &str| listening[name].as_str().unwrap().to_owned();
        let rest = Arc::clone(&log);
        let reader = tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                rest.lock().unwrap().push(line);
            }
        });
        Relay {
            listen: text("listen").parse().unwrap(),
            bus: text("bus"),
            replay: text("replay"),
            id: text("relay_id"),
            log,
            reader,
            child,
        }
    }
}

/// A relay that runs, until it is dropped.
pub(crate) struct Relay {
    pub(crate) listen: SocketAddr,
    pub(crate) bus: String,
    pub(crate) replay: String,
    pub(crate) id: String,
    log: Arc<Mutex<Vec<String>>>,
    reader: JoinHandle<()>,
    child: Child,
}

impl Relay {
    pub(crate) async fn start() -> Self {
        Setup::new().start().await
    }

    /// Everything that it logged so far.
    pub(crate) fn log(&self) -> String {
        self.log.lock().unwrap().join("\n")
    }

    /// Waits until it has logged these words.
    pub(crate) async fn says(&self, words: &str) {
        let look = async {
            while !self.log().contains(words) {
                sleep(Duration::from_millis(10)).await;
            }
        };
        within(words, look).await;
    }

    /// A line of `/metrics`, without its prefix; zero while there is none.
    pub(crate) async fn metric(&self, series: &str) -> i64 {
        let (_, text) = get(self.listen, "/metrics").await;
        let value = text.lines().find_map(|line| {
            let rest = line.strip_prefix("atomwire_")?.strip_prefix(series)?;
            rest.strip_prefix(' ')
        });
        value.map_or(0, |value| value.parse().unwrap())
    }

    /// Waits until a line of `/metrics` has come up to `least`.
    pub(crate) async fn reaches(&self, series: &str, least: i64) {
        self.settles(series, |value| value >= least).await;
    }

    pub(crate) async fn settles(&self, series: &str, right: impl Fn(i64) -> bool) {
        let look = async {
            while !right(self.metric(series).await) {
                sleep(Duration::from_millis(10)).await;
            }
        };
        within(series, look).await;
    }

    /// Waits until `received = published + dropped + duplicate`: until nothing is on its way any more.
    pub(crate) async fn balances(&self) {
        let look = async {
            loop {
                let (_, text) = get(self.listen, "/metrics").await;
                let sum = |name: &str| -> u64 {
                    let series = format!("atomwire_updates_{name}_total");
                    let lines = text.lines().filter(|line| line.starts_with(&series));
                    lines.map(|line| line.rsplit_once(' ').unwrap().1.parse::<u64>().unwrap()).sum()
                };
                if sum("received") == sum("published") + sum("dropped") + sum("duplicate") {
                    return;
                }
                sleep(Duration::from_millis(10)).await;
            }
        };
        within("a balance", look).await;
    }

    /// The most memory that it ever had, in bytes.
    pub(crate) fn peak_memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id().unwrap())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
    }

    /// What its file descriptors lead to.
    pub(crate) fn open_files(&self) -> Vec<String> {
        let entries = std::fs::read_dir(format!("/proc/{}/fd", self.child.id().unwrap())).unwrap();
        let links = entries.filter_map(|entry| std::fs::read_link(entry.unwrap().path()).ok());
        links.map(|link| link.to_string_lossy().into_owned()).collect()
    }

    pub(crate) async fn terminate(&self) {
        self.signal("-TERM").await;
    }

    pub(crate) async fn signal(&self, signal: &str) {
        let pid = self.child.id().unwrap().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().await.unwrap().success());
    }

    pub(crate) async fn ended(&mut self) -> ExitStatus {
        let status = within("the relay's end", self.child.wait()).await.unwrap();
        within("the end of its log", &mut self.reader).await.unwrap();
        status
    }
}

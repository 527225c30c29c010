//! Settings: flag, then variable, then file, then default. The only room that reads the environment;
//! everything is parsed before anything is reported, and everything wrong is reported at once.

mod consumer;
mod endpoint;
mod otel;
mod source;

pub(crate) use consumer::ConsumerName;
pub(crate) use endpoint::Endpoint;
pub(crate) use otel::{Exporter, OtelSettings, Protocol, Sampler};

use clap::Parser;
use source::Source;
use std::net::SocketAddr;
use std::ops::RangeInclusive;

/// `EX_USAGE` of sysexits.h.
pub(crate) const EX_USAGE: i32 = 64;

/// What no topic of updates begins with.
const OWN_TOPICS: &str = "atomwire.";

/// The replay window: the least has room for several messages of the largest size, the most is 16 GiB.
const REPLAY_BYTES: RangeInclusive<usize> = 1 << 20..=16 << 30;

#[expect(clippy::doc_markdown, reason = "it is the text of --help")]
/// Takes Atomwire updates from browsers by WebSocket, publishes them on ZeroMQ, exports their spans by OTLP.
#[derive(Debug, Parser)]
#[command(
    name = "atomwire-relay",
    version,
    after_help = "\
Each flag has a variable: --listen is ATOMWIRE_LISTEN. OpenTelemetry's own variables (OTEL_SERVICE_NAME, \
OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_EXPORTER_OTLP_PROTOCOL, OTEL_TRACES_EXPORTER, OTEL_TRACES_SAMPLER, …) mean \
what its specification says. Port 0 takes a free port; the addresses in use are logged."
)]
pub(crate) struct Flags {
    /// Address for WebSocket and HTTP [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<String>,
    /// ZeroMQ endpoint that subscribers connect to [default: tcp://127.0.0.1:5555]
    #[arg(long, value_name = "ENDPOINT")]
    bus: Option<String>,
    /// ZeroMQ endpoint that answers for missed messages [default: tcp://127.0.0.1:5556]
    #[arg(long, value_name = "ENDPOINT")]
    replay: Option<String>,
    /// Bytes of published messages kept, for subscribers that are behind and to answer from [default: 33554432]
    #[arg(long, value_name = "BYTES")]
    replay_bytes: Option<String>,
    /// Topic of the updates; {key} in it becomes the atom's key [default: atom-updates]
    #[arg(long, value_name = "TOPIC")]
    topic: Option<String>,
    /// Consumers that clients wait for, by name, with commas between them
    #[arg(long, value_name = "NAMES")]
    required_consumers: Option<String>,
    /// When an update is acknowledged: "taken" by the bus, or "delivered" to all required consumers [default: taken]
    #[arg(long, value_name = "WHEN")]
    acknowledge: Option<String>,
    /// What clients must present; better given as a variable or in the file, where ps does not show it
    #[arg(long, value_name = "TOKEN")]
    token: Option<String>,
    /// TOML file with any of these settings, named as the flags are
    #[arg(long, value_name = "FILE")]
    config: Option<String>,
    /// Shows traces at /traces and receives OTLP on 127.0.0.1:4317 (gRPC) and 127.0.0.1:4318 (HTTP)
    #[arg(long)]
    dev: bool,
    /// With --dev: address of the OTLP/gRPC receiver [default: 127.0.0.1:4317]
    #[arg(long, value_name = "ADDRESS")]
    dev_otlp_grpc: Option<String>,
    /// With --dev: address of the OTLP/HTTP receiver [default: 127.0.0.1:4318]
    #[arg(long, value_name = "ADDRESS")]
    dev_otlp_http: Option<String>,
}

/// The topic of an update.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Topic {
    before: String,
    after: Option<String>,
}

impl Topic {
    /// The topic of an update of `key`.
    pub(crate) fn of(&self, key: &str) -> String {
        match &self.after {
            Some(after) => format!("{}{key}{after}", self.before),
            None => self.before.clone(),
        }
    }

    /// Whether every update has the same topic.
    pub(crate) fn is_fixed(&self) -> bool {
        self.after.is_none()
    }
}

/// When an update is settled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Acknowledge {
    /// The bus has taken it.
    Taken,
    /// All required consumers are done with it.
    Delivered,
}

/// What `--dev` opens.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Dev {
    pub(crate) otlp_grpc: SocketAddr,
    pub(crate) otlp_http: SocketAddr,
}

/// Everything the relay needs to know.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) listen: SocketAddr,
    pub(crate) bus: Endpoint,
    pub(crate) replay: Endpoint,
    pub(crate) replay_bytes: usize,
    pub(crate) topic: Topic,
    pub(crate) required_consumers: Vec<ConsumerName>,
    pub(crate) acknowledge: Acknowledge,
    pub(crate) token: Option<String>,
    pub(crate) dev: Option<Dev>,
    pub(crate) otel: OtelSettings,
}

impl Settings {
    /// Reads the process's flags, environment and file; the errors are lines for people.
    pub(crate) fn read(
        flags: &Flags,
        env: impl Fn(&str) -> Option<String> + Copy,
    ) -> Result<Self, Vec<String>> {
        let mut source = Source::new(flags.config.clone(), env);
        let settings = Self {
            listen: source.get("listen", flags.listen.as_ref(), "127.0.0.1:8080", address),
            bus: source.get("bus", flags.bus.as_ref(), "tcp://127.0.0.1:5555", str::parse),
            replay: source.get("replay", flags.replay.as_ref(), "tcp://127.0.0.1:5556", str::parse),
            // 32 MiB: about a minute of 1,000 updates of 500 bytes a second.
            replay_bytes: source.get("replay-bytes", flags.replay_bytes.as_ref(), "33554432", bytes),
            topic: source.get("topic", flags.topic.as_ref(), "atom-updates", topic),
            required_consumers: source.get(
                "required-consumers",
                flags.required_consumers.as_ref(),
                "",
                consumers,
            ),
            acknowledge: source.get("acknowledge", flags.acknowledge.as_ref(), "taken", acknowledge),
            token: source.get("token", flags.token.as_ref(), "", |token| Ok(some(token))),
            dev: {
                let grpc =
                    source.get("dev-otlp-grpc", flags.dev_otlp_grpc.as_ref(), "127.0.0.1:4317", address);
                let http =
                    source.get("dev-otlp-http", flags.dev_otlp_http.as_ref(), "127.0.0.1:4318", address);
                let dev = flags.dev.then(|| "true".to_owned());
                let dev = source.get("dev", dev.as_ref(), "false", boolean);
                dev.then_some(Dev { otlp_grpc: grpc, otlp_http: http })
            },
            otel: otel::read(&mut source.errors, env),
        };
        if settings.acknowledge == Acknowledge::Delivered && settings.required_consumers.is_empty() {
            source.errors.push("--acknowledge delivered needs --required-consumers".to_owned());
        }
        source.finish().map(|()| settings)
    }
}

fn some(text: &str) -> Option<String> {
    Some(text.to_owned()).filter(|text| !text.is_empty())
}

fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| format!("{text:?} is not an address such as 127.0.0.1:8080"))
}

fn topic(text: &str) -> Result<Topic, String> {
    if !(1..=256).contains(&text.len()) {
        return Err(format!("a topic has 1 to 256 bytes, this one has {}", text.len()));
    }
    let (before, after) = match text.split_once("{key}") {
        Some((before, after)) => (before, Some(after.to_owned())),
        None => (text, None),
    };
    if before.contains(['{', '}']) || after.as_ref().is_some_and(|after| after.contains(['{', '}'])) {
        return Err(format!("{text:?}: only {{key}} is known in a topic, once"));
    }
    // Whatever the key is: a browser must not write to the ledger's topic.
    let open = after.is_some() && OWN_TOPICS.starts_with(before);
    if open || before.starts_with(OWN_TOPICS) {
        return Err(format!(
            "{text:?}: topics that begin with {OWN_TOPICS:?}, as this one may, are the relay's own"
        ));
    }
    Ok(Topic { before: before.to_owned(), after })
}

fn bytes(text: &str) -> Result<usize, String> {
    let bytes = text.parse().map_err(|_| format!("{text:?} is not a number of bytes such as 33554432"))?;
    if !REPLAY_BYTES.contains(&bytes) {
        let (least, most) = REPLAY_BYTES.into_inner();
        return Err(format!("{text:?}: it is {least} to {most}"));
    }
    Ok(bytes)
}

fn consumers(text: &str) -> Result<Vec<ConsumerName>, String> {
    let names = text.split(',').filter(|_| !text.is_empty());
    names.map(|name| name.trim().to_owned().try_into()).collect()
}

fn acknowledge(text: &str) -> Result<Acknowledge, String> {
    match text {
        "taken" => Ok(Acknowledge::Taken),
        "delivered" => Ok(Acknowledge::Delivered),
        _ => Err(format!("{text:?} is neither \"taken\" nor \"delivered\"")),
    }
}

fn boolean(text: &str) -> Result<bool, String> {
    text.parse().map_err(|_| format!("{text:?} is neither true nor false"))
}

#[cfg(test)]
mod tests {
    use super::{Flags, Settings};
    use clap::Parser;
    use std::collections::HashMap;

    fn read(flags: &[&str], env: &[(&str, &str)]) -> Result<Settings, Vec<String>> {
        let env: HashMap<_, _> = env.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        let flags = Flags::parse_from([&["atomwire-relay"], flags].concat());
        Settings::read(&flags, |name| env.get(name).cloned())
    }

    #[test]
    fn a_flag_wins_over_its_variable() {
        let settings =
            read(&["--listen", "127.0.0.1:1"], &[("ATOMWIRE_LISTEN", "127.0.0.1:2")]).expect("valid");
        assert_eq!(settings.listen.port(), 1);
    }

    #[test]
    fn a_topic_may_hold_the_key() {
        let settings = read(&["--topic", "atom-updates.{key}!"], &[]).expect("valid");
        assert_eq!(settings.topic.of("cart"), "atom-updates.cart!");
    }

    #[test]
    fn no_key_makes_a_topic_of_the_relays_own() {
        for topic in ["{key}", "a{key}!", "atomwire.{key}", "atomwire.mine"] {
            read(&["--topic", topic], &[]).expect_err(topic);
        }
        for topic in ["atomwire", "updates.{key}"] {
            read(&["--topic", topic], &[]).expect(topic);
        }
    }

    #[test]
    fn every_error_is_reported() {
        let env = [
            ("ATOMWIRE_BUS", "5555"),
            ("ATOMWIRE_REPLAY_BYTES", "many"),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "carrier-pigeon"),
            ("OTEL_TRACES_SAMPLER", "sometimes"),
        ];
        let errors = read(&["--listen", "here", "--topic", "{atom}"], &env).expect_err("invalid");
        for name in ["--listen", "--topic", "ATOMWIRE_BUS", "ATOMWIRE_REPLAY_BYTES", "PROTOCOL", "SAMPLER"] {
            assert!(errors.iter().any(|error| error.contains(name)), "{name} in {errors:?}");
        }
    }
}

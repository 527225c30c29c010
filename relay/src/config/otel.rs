//! OpenTelemetry's own variables, as its specification has them
//! (<https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/>, 1.52).

use std::time::Duration;

/// How spans leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    Grpc,
    HttpProtobuf,
}

/// Where spans go.
#[derive(Debug, Clone)]
pub(crate) struct Exporter {
    pub(crate) protocol: Protocol,
    /// The URL to post to, or the gRPC endpoint; none where nothing was said.
    pub(crate) endpoint: Option<String>,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) gzip: bool,
    pub(crate) timeout: Duration,
}

/// Which traces are exported.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Sampler {
    /// An explicit parent's flag decides where there is one.
    pub(crate) parent_based: bool,
    /// The share of the other traces, from 0 to 1.
    pub(crate) ratio: f64,
}

/// What the variables say.
#[derive(Debug, Clone)]
pub(crate) struct OtelSettings {
    pub(crate) exporter: Option<Exporter>,
    pub(crate) sampler: Sampler,
    /// Resource attributes of the relay's own spans, `service.name` among them.
    pub(crate) resource: Vec<(String, String)>,
}

pub(super) fn read(errors: &mut Vec<String>, env: impl Fn(&str) -> Option<String> + Copy) -> OtelSettings {
    let get = |name: &str| env(name).filter(|text| !text.trim().is_empty());
    let disabled = get("OTEL_SDK_DISABLED").is_some_and(|text| text.eq_ignore_ascii_case("true"));
    let exporter = match get("OTEL_TRACES_EXPORTER").as_deref() {
        _ if disabled => None,
        None | Some("otlp") => Some(exporter(errors, env)),
        Some("none") => None,
        Some(other) => {
            errors.push(format!("OTEL_TRACES_EXPORTER: {other:?} is neither otlp nor none"));
            None
        }
    };
    OtelSettings { exporter, sampler: sampler(errors, env), resource: resource(errors, env) }
}

fn exporter(errors: &mut Vec<String>, env: impl Fn(&str) -> Option<String> + Copy) -> Exporter {
    // The variable for traces wins over the one for all signals.
    let get = |name: &str| {
        let variables = [format!("OTEL_EXPORTER_OTLP_TRACES_{name}"), format!("OTEL_EXPORTER_OTLP_{name}")];
        variables.into_iter().find_map(|variable| {
            env(&variable).filter(|text| !text.trim().is_empty()).map(|text| (variable, text))
        })
    };
    let mut wrong = |variable: &str, text: &str, right: &str| {
        errors.push(format!("{variable}: {text:?} is not {right}"));
    };
    let protocol = match get("PROTOCOL") {
        Some((_, text)) if text == "http/protobuf" => Protocol::HttpProtobuf,
        Some((_, text)) if text == "grpc" => Protocol::Grpc,
        Some((variable, text)) => {
            wrong(&variable, &text, "grpc or http/protobuf");
            Protocol::Grpc
        }
        None => Protocol::Grpc,
    };
    let endpoint = get("ENDPOINT").map(|(variable, text)| {
        let url = text.trim_end_matches('/').to_owned();
        if !(url.starts_with("http://") || url.starts_with("https://")) {
            wrong(&variable, &text, "a URL that begins with http:// or https://");
        }
        let for_all_signals = !variable.contains("_TRACES_");
        if protocol == Protocol::HttpProtobuf && for_all_signals { format!("{url}/v1/traces") } else { url }
    });
    let gzip = match get("COMPRESSION") {
        Some((_, text)) if text == "gzip" => true,
        Some((_, text)) if text == "none" => false,
        Some((variable, text)) => {
            wrong(&variable, &text, "gzip or none");
            false
        }
        None => false,
    };
    let timeout = match get("TIMEOUT") {
        Some((variable, text)) => text.parse().unwrap_or_else(|_| {
            wrong(&variable, &text, "a number of milliseconds");
            10_000
        }),
        None => 10_000,
    };
    let headers = match get("HEADERS") {
        Some((variable, text)) => pairs(&text).unwrap_or_else(|part| {
            wrong(&variable, &part, "of the form key=value");
            Vec::new()
        }),
        None => Vec::new(),
    };
    Exporter { protocol, endpoint, headers, gzip, timeout: Duration::from_millis(timeout) }
}

fn sampler(errors: &mut Vec<String>, env: impl Fn(&str) -> Option<String>) -> Sampler {
    let name = env("OTEL_TRACES_SAMPLER").filter(|text| !text.is_empty());
    let name = name.as_deref().unwrap_or("parentbased_always_on");
    let kind = name.strip_prefix("parentbased_");
    let ratio = match kind.unwrap_or(name) {
        "always_on" => 1.0,
        "always_off" => 0.0,
        "traceidratio" => {
            let text = env("OTEL_TRACES_SAMPLER_ARG").filter(|text| !text.is_empty()).unwrap_or("1".into());
            text.parse().ok().filter(|ratio| (0.0..=1.0).contains(ratio)).unwrap_or_else(|| {
                errors.push(format!("OTEL_TRACES_SAMPLER_ARG: {text:?} is not a number from 0 to 1"));
                1.0
            })
        }
        _ => {
            errors.push(format!(
                "OTEL_TRACES_SAMPLER: {name:?} is not always_on, always_off or traceidratio, \
                 nor one of these with parentbased_ before it"
            ));
            1.0
        }
    };
    Sampler { parent_based: kind.is_some(), ratio }
}

fn resource(errors: &mut Vec<String>, env: impl Fn(&str) -> Option<String>) -> Vec<(String, String)> {
    let text = env("OTEL_RESOURCE_ATTRIBUTES").unwrap_or_default();
    let mut resource = pairs(&text).unwrap_or_else(|part| {
        errors.push(format!("OTEL_RESOURCE_ATTRIBUTES: {part:?} is not of the form key=value"));
        Vec::new()
    });
    let named = env("OTEL_SERVICE_NAME").filter(|name| !name.is_empty());
    let unnamed = !resource.iter().any(|(key, _)| key == "service.name");
    if let Some(name) = named.or_else(|| unnamed.then(|| "atomwire-relay".to_owned())) {
        resource.retain(|(key, _)| key != "service.name");
        resource.insert(0, ("service.name".to_owned(), name));
    }
    let version = env!("CARGO_PKG_VERSION");
    if !resource.iter().any(|(key, _)| key == "service.version") {
        resource.push(("service.version".to_owned(), version.to_owned()));
    }
    // "Telemetry SDK" in the resource conventions: the relay encodes its spans itself.
    resource.retain(|(key, _)| !key.starts_with("telemetry.sdk."));
    let sdk = [("name", "atomwire"), ("language", "rust"), ("version", version)];
    resource.extend(sdk.map(|(key, value)| (format!("telemetry.sdk.{key}"), value.to_owned())));
    resource
}

/// `key=value,key=value` with percent-encoded values, the form of W3C baggage.
fn pairs(text: &str) -> Result<Vec<(String, String)>, String> {
    text.split(',')
        .map(str::trim)
        .filter(|part| !part.is_empty())
        .map(|part| {
            let (key, value) = part.split_once('=').ok_or(part)?;
            Ok((key.trim().to_owned(), percent_decoded(value.trim())))
        })
        .collect()
}

fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let pair = tail.get(..2).filter(|_| first == b'%').and_then(|pair| std::str::from_utf8(pair).ok());
        let byte = pair.and_then(|pair| u8::from_str_radix(pair, 16).ok());
        bytes.push(byte.unwrap_or(first));
        rest = if byte.is_some() { &tail[2..] } else { tail };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

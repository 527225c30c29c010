//! The semantic conventions, as far as they are used (`conventions.toml`).

use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use serde::Deserialize;
use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

#[derive(Deserialize)]
struct Conventions {
    version: String,
    attributes: HashMap<String, String>,
}

static CONVENTIONS: LazyLock<Conventions> =
    LazyLock::new(|| toml::from_str(include_str!("conventions.toml")).unwrap());

/// What is wrong with `attributes`: each must be known, there once, and of the right type.
pub(super) fn check<'a>(attributes: impl IntoIterator<Item = &'a KeyValue>) -> Result<(), String> {
    let mut seen = HashSet::new();
    for attribute in attributes {
        let kind = match attribute.value.as_ref().and_then(|value| value.value.as_ref()) {
            Some(Value::StringValue(_)) => "string",
            Some(Value::IntValue(_)) => "int",
            _ => "another",
        };
        let right = CONVENTIONS.attributes.get(&attribute.key).is_some_and(|right| right == kind);
        if !right || !seen.insert(&attribute.key) {
            return Err(format!("against the conventions: {attribute:?}"));
        }
    }
    Ok(())
}

/// Whether `schema_url` is that of the conventions.
pub(super) fn check_schema(schema_url: &str) -> Result<(), String> {
    let right = format!("https://opentelemetry.io/schemas/{}", CONVENTIONS.version);
    if schema_url == right { Ok(()) } else { Err(format!("{schema_url:?} is not {right:?}")) }
}

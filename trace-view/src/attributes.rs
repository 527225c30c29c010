//! OTLP attributes as the page's JSON: plain values beside their type, long strings cut.

use std::cell::Cell;

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use serde::ser::{SerializeMap, SerializeSeq, SerializeStruct};
use serde::{Serialize, Serializer};

/// Integers up to here are exact in JavaScript; larger ones go as strings.
const MAX_SAFE_INTEGER: u64 = (1 << 53) - 1;

/// Cuts strings to a number of bytes and counts how many it had to cut.
pub(crate) struct Cutter {
    max_bytes: usize,
    cuts: Cell<u64>,
}

impl Cutter {
    pub(crate) fn new(max_bytes: usize) -> Self {
        Self { max_bytes, cuts: Cell::new(0) }
    }

    pub(crate) fn cuts(&self) -> u64 {
        self.cuts.get()
    }

    pub(crate) fn cut<'a>(&self, text: &'a str) -> &'a str {
        let cut = prefix(text, self.max_bytes);
        self.cuts.set(self.cuts.get() + u64::from(cut.len() < text.len()));
        cut
    }

    fn cut_bytes<'a>(&self, bytes: &'a [u8]) -> &'a [u8] {
        // Shown as hex, a byte takes two.
        let cut = &bytes[..bytes.len().min(self.max_bytes / 2)];
        self.cuts.set(self.cuts.get() + u64::from(cut.len() < bytes.len()));
        cut
    }
}

/// `text`, or its longest beginning of whole characters that fits.
pub(crate) fn prefix(text: &str, max_bytes: usize) -> &str {
    &text[..text.floor_char_boundary(max_bytes)]
}

/// The attribute's text, where it is a string.
pub(crate) fn string_attribute<'a>(attributes: &'a [KeyValue], key: &str) -> Option<&'a str> {
    match attribute_value(attributes, key)? {
        Value::StringValue(text) => Some(text),
        _ => None,
    }
}

/// The attribute's number, where it is an integer.
pub(crate) fn int_attribute(attributes: &[KeyValue], key: &str) -> Option<i64> {
    match attribute_value(attributes, key)? {
        Value::IntValue(number) => Some(*number),
        _ => None,
    }
}

fn attribute_value<'a>(attributes: &'a [KeyValue], key: &str) -> Option<&'a Value> {
    attributes.iter().find(|attribute| attribute.key == key)?.value.as_ref()?.value.as_ref()
}

/// Serialises as `[{"key", "type", "value"}]`.
pub(crate) struct Attributes<'a>(pub(crate) &'a [KeyValue], pub(crate) &'a Cutter);

impl Serialize for Attributes<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(|attribute| Attribute(attribute, self.1)))
    }
}

struct Attribute<'a>(&'a KeyValue, &'a Cutter);

impl Serialize for Attribute<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(attribute, cutter) = self;
        let value = attribute.value.as_ref().and_then(|value| value.value.as_ref());
        let mut fields = serializer.serialize_struct("Attribute", 3)?;
        fields.serialize_field("key", cutter.cut(&attribute.key))?;
        fields.serialize_field("type", type_name(value))?;
        fields.serialize_field("value", &Plain(value, cutter))?;
        fields.end()
    }
}

fn type_name(value: Option<&Value>) -> &'static str {
    match value {
        Some(Value::StringValue(_)) => "string",
        Some(Value::BoolValue(_)) => "bool",
        Some(Value::IntValue(_)) => "int",
        Some(Value::DoubleValue(_)) => "double",
        Some(Value::ArrayValue(_)) => "array",
        Some(Value::KvlistValue(_)) => "map",
        Some(Value::BytesValue(_)) => "bytes",
        // A string-table index has a meaning in OTLP profiles only.
        Some(Value::StringValueStrindex(_)) | None => "empty",
    }
}

/// A value as the JSON that a reader expects to see.
///
/// Recursion is as deep as the decoders allow (prost: 100 messages, `serde_json`: 128 levels).
struct Plain<'a>(Option<&'a Value>, &'a Cutter);

impl<'a> Plain<'a> {
    fn of(value: Option<&'a AnyValue>, cutter: &'a Cutter) -> Self {
        Self(value.and_then(|value| value.value.as_ref()), cutter)
    }
}

impl Serialize for Plain<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(value, cutter) = self;
        match value {
            None | Some(Value::StringValueStrindex(_)) => serializer.serialize_unit(),
            Some(Value::StringValue(text)) => serializer.serialize_str(cutter.cut(text)),
            Some(Value::BoolValue(value)) => serializer.serialize_bool(*value),
            Some(Value::IntValue(value)) if value.unsigned_abs() > MAX_SAFE_INTEGER => {
                serializer.collect_str(value)
            }
            Some(Value::IntValue(value)) => serializer.serialize_i64(*value),
            Some(Value::DoubleValue(value)) if value.is_finite() => serializer.serialize_f64(*value),
            // JSON has no NaN and no infinities; OTLP/JSON writes them as strings, too.
            Some(Value::DoubleValue(value)) if value.is_nan() => serializer.serialize_str("NaN"),
            Some(Value::DoubleValue(value)) if *value > 0.0 => serializer.serialize_str("Infinity"),
            Some(Value::DoubleValue(_)) => serializer.serialize_str("-Infinity"),
            Some(Value::BytesValue(bytes)) => serializer.collect_str(&Hex(cutter.cut_bytes(bytes))),
            Some(Value::ArrayValue(array)) => {
                let mut items = serializer.serialize_seq(Some(array.values.len()))?;
                for item in &array.values {
                    items.serialize_element(&Plain::of(Some(item), cutter))?;
                }
                items.end()
            }
            Some(Value::KvlistValue(list)) => {
                let mut entries = serializer.serialize_map(Some(list.values.len()))?;
                for entry in &list.values {
                    let value = Plain::of(entry.value.as_ref(), cutter);
                    entries.serialize_entry(cutter.cut(&entry.key), &value)?;
                }
                entries.end()
            }
        }
    }
}

struct Hex<'a>(&'a [u8]);

impl std::fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

//! What spans say of where they come from, encoded once.

use super::otlp::put_text;
use super::protobuf::{len, put_varint, varint};
use std::sync::Arc;

/// What a page may say of itself; it is repeated with each of its requests. The longest `user_agent.original`
/// that browsers send has 300 bytes.
const PAGE_BYTES: usize = 4096;

/// Fields of OTLP's `Resource`.
const ATTRIBUTES: u8 = len(1);
const DROPPED_ATTRIBUTES_COUNT: u8 = varint(2);

/// OTLP's `Resource`, encoded. Those that say the same are equal.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Resource(Arc<[u8]>);

impl Resource {
    /// Of the relay itself.
    pub(super) fn of_relay(attributes: &[(String, String)]) -> Self {
        let mut bytes = Vec::new();
        for (key, value) in attributes {
            put_text(&mut bytes, ATTRIBUTES, key, value);
        }
        Self(bytes.into())
    }

    /// Of a page: what fits of `attributes`, the others counted. A page that names no service gets the
    /// name that the resource conventions have for it.
    pub(crate) fn of_page(attributes: &[(String, String)]) -> Self {
        let name = attributes.iter().find(|(key, value)| key == "service.name" && !value.is_empty());
        let mut bytes = Vec::new();
        let name = name.map_or("unknown_service:browser", |(_, name)| name);
        put_text(&mut bytes, ATTRIBUTES, "service.name", name);
        let mut dropped = 0;
        for (key, value) in attributes.iter().filter(|(key, _)| key != "service.name") {
            if bytes.len() + key.len() + value.len() > PAGE_BYTES {
                dropped += 1;
            } else {
                put_text(&mut bytes, ATTRIBUTES, key, value);
            }
        }
        if dropped > 0 {
            put_varint(&mut bytes, DROPPED_ATTRIBUTES_COUNT, dropped);
        }
        Self(bytes.into())
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Whether it is the very same, at no cost.
    pub(super) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

//! The name of a consumer, which operators and the consumers themselves give.

use serde::Deserialize;
use std::fmt;

const NAME_BYTES: usize = 64;

/// 1 to 64 letters, digits, `.`, `_` and `-`: it becomes a metric's label.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct ConsumerName(String);

impl TryFrom<String> for ConsumerName {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
        if (1..=NAME_BYTES).contains(&name.len()) && name.bytes().all(allowed) {
            return Ok(Self(name));
        }
        Err(format!("a consumer's name is 1 to {NAME_BYTES} letters, digits, '.', '_' and '-', not {name:?}"))
    }
}

impl fmt::Display for ConsumerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

//! Trace, span and session ids: fixed bytes inside, lowercase hex outside, never all zero.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};

pub(crate) type TraceId = Id<16>;
pub(crate) type SpanId = Id<8>;
pub(crate) type SessionId = Id<16>;

#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Id<const N: usize>([u8; N]);

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum IdError {
    #[error("must be {expected} bytes, is {got}")]
    Length { expected: usize, got: usize },
    #[error("must not be all zero")]
    Zero,
    #[error("must be {digits} hexadecimal digits")]
    Hex { digits: usize },
}

impl<const N: usize> TryFrom<&[u8]> for Id<N> {
    type Error = IdError;

    fn try_from(bytes: &[u8]) -> Result<Self, IdError> {
        let length = IdError::Length { expected: N, got: bytes.len() };
        let bytes = <[u8; N]>::try_from(bytes).map_err(|_| length)?;
        if bytes == [0; N] { Err(IdError::Zero) } else { Ok(Self(bytes)) }
    }
}

impl<const N: usize> FromStr for Id<N> {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let error = IdError::Hex { digits: 2 * N };
        if text.len() != 2 * N || !text.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return Err(error);
        }
        let mut bytes = [0; N];
        for (index, byte) in bytes.iter_mut().enumerate() {
            let digits = text.get(2 * index..2 * index + 2);
            match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
                Some(value) => *byte = value,
                None => return Err(error),
            }
        }
        Self::try_from(&bytes[..])
    }
}

impl<const N: usize> fmt::Display for Id<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl<const N: usize> Serialize for Id<N> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

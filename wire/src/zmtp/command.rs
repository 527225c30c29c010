//! Commands: a name, preceded by its length, and data whose shape the name tells.

use super::Fault;
use super::frame::command_head;
use crate::Micros;
use bytes::Bytes;

/// The longest context of a PING.
const CONTEXT_BYTES: usize = 16;

/// The unit of a PING's time to live: a tenth of a second.
const TTL_UNIT: Micros = 100_000;

/// Name and data of a command.
///
/// # Errors
/// [`Fault::Malformed`] where there is no name.
pub(super) fn read(body: &[u8]) -> Result<(&[u8], &[u8]), Fault> {
    match short(body) {
        Some((name, data)) if !name.is_empty() => Ok((name, data)),
        _ => Err(Fault::Malformed("a command without a name")),
    }
}

/// A whole command frame.
pub(super) fn write(name: &str, data: &[u8]) -> Bytes {
    let mut frame = Vec::with_capacity(3 + name.len() + data.len());
    command_head(1 + name.len() + data.len(), &mut frame);
    frame.push(name.len() as u8);
    frame.extend_from_slice(name.as_bytes());
    frame.extend_from_slice(data);
    frame.into()
}

/// The READY of a socket of that type.
pub(super) fn ready(socket_type: &str) -> Bytes {
    let mut metadata = b"\x0bSocket-Type".to_vec();
    metadata.extend_from_slice(&(socket_type.len() as u32).to_be_bytes());
    metadata.extend_from_slice(socket_type.as_bytes());
    write("READY", &metadata)
}

/// The ERROR that says `reason`, in printable ASCII without spaces.
pub(super) fn error(reason: &str) -> Bytes {
    let mut data = vec![reason.len() as u8];
    data.extend_from_slice(reason.as_bytes());
    write("ERROR", &data)
}

/// What an ERROR with that data comes to.
pub(super) fn refused(data: &[u8]) -> Fault {
    match short(data) {
        Some((reason, [])) => Fault::Refused(reason.escape_ascii().to_string()),
        _ => Fault::Malformed("an ERROR whose reason has another length"),
    }
}

/// The value of the property `wanted`, whose name is written in any case, in a READY's metadata; none when it is
/// not there.
///
/// # Errors
/// [`Fault::Metadata`] where the metadata are not properties from end to end.
pub(super) fn property<'a>(metadata: &'a [u8], wanted: &str) -> Result<Option<&'a [u8]>, Fault> {
    let (mut rest, mut found) = (metadata, None);
    while !rest.is_empty() {
        let (name, value, after) = first_property(rest).ok_or(Fault::Metadata)?;
        if name.eq_ignore_ascii_case(wanted.as_bytes()) {
            found = Some(value);
        }
        rest = after;
    }
    Ok(found)
}

/// Name and value of the first property, and what follows it.
fn first_property(metadata: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let (name, rest) = short(metadata).filter(|(name, _)| !name.is_empty())?;
    let (len, rest) = rest.split_first_chunk()?;
    let (value, rest) = rest.split_at_checked(u32::from_be_bytes(*len) as usize)?;
    Some((name, value, rest))
}

/// A PING's time to live, none when it is zero, and its context.
///
/// # Errors
/// [`Fault::Malformed`] where the first is missing or the second too long.
pub(super) fn ping(data: &[u8]) -> Result<(Option<Micros>, &[u8]), Fault> {
    match data.split_first_chunk() {
        Some((ttl, context)) if context.len() <= CONTEXT_BYTES => {
            let ttl = Micros::from(u16::from_be_bytes(*ttl)) * TTL_UNIT;
            Ok(((ttl > 0).then_some(ttl), context))
        }
        _ => Err(Fault::Malformed("a PING is a time to live of 2 bytes and a context of up to 16")),
    }
}

/// A string that one byte of length precedes, and what follows it.
fn short(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (len, rest) = bytes.split_first()?;
    rest.split_at_checked(usize::from(*len))
}

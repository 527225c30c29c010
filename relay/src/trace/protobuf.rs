//! Protobuf (<https://protobuf.dev/programming-guides/encoding/>), written in one pass.

use prost::encoding::{encode_varint, encoded_len_varint};

/// Bytes kept for the length of a message that is written before its length is known. A varint may be
/// padded; four bytes hold what is below 256 MiB.
const LENGTH_BYTES: usize = 4;

/// The tag of field `number`, whose value has its length before it.
pub(super) const fn len(number: u8) -> u8 {
    number << 3 | 2
}

/// The tag of field `number`, a varint.
pub(super) const fn varint(number: u8) -> u8 {
    number << 3
}

/// The tag of field `number`, eight bytes.
pub(super) const fn fixed64(number: u8) -> u8 {
    number << 3 | 1
}

/// What a field of `len` bytes takes, with its tag and length.
pub(super) fn field_len(len: usize) -> usize {
    1 + encoded_len_varint(len as u64) + len
}

/// Appends a text or bytes.
pub(super) fn put(out: &mut Vec<u8>, tag: u8, value: &[u8]) {
    put_head(out, tag, value.len());
    out.extend_from_slice(value);
}

/// Appends what stands before `len` bytes.
pub(super) fn put_head(out: &mut Vec<u8>, tag: u8, len: usize) {
    put_varint(out, tag, len as u64);
}

/// Appends a number.
pub(super) fn put_varint(out: &mut Vec<u8>, tag: u8, value: u64) {
    out.push(tag);
    encode_varint(value, out);
}

/// Appends a number of eight bytes.
pub(super) fn put_fixed64(out: &mut Vec<u8>, tag: u8, value: u64) {
    out.push(tag);
    out.extend_from_slice(&value.to_le_bytes());
}

/// Appends a message that `write` writes.
pub(super) fn put_message(out: &mut Vec<u8>, tag: u8, write: impl FnOnce(&mut Vec<u8>)) {
    out.push(tag);
    let at = out.len();
    out.extend_from_slice(&[0; LENGTH_BYTES]);
    write(out);
    let len = out.len() - at - LENGTH_BYTES;
    for (index, byte) in out[at..at + LENGTH_BYTES].iter_mut().enumerate() {
        let more = if index + 1 < LENGTH_BYTES { 0x80 } else { 0 };
        *byte = (len >> (7 * index)) as u8 & 0x7f | more;
    }
}

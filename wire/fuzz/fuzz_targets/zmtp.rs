//! A hostile peer on the bus. The input is all that it sends, from its greeting on.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../tests/it/zmtp/any_bytes.rs"]
mod any_bytes;

fuzz_target!(|data: &[u8]| any_bytes::check(data));

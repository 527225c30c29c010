//! The first 64 bytes of each end: who speaks ZMTP, in which version, under which mechanism.

use super::Fault;

/// The length of a greeting.
pub(super) const BYTES: usize = 64;

/// Signature, version 3.1, mechanism NULL, not "as server", filler.
pub(super) const OURS: [u8; BYTES] = *b"\xff\0\0\0\0\0\0\0\0\x7f\x03\x01NULL\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\
       \0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";

/// Checks as much of a greeting as has come: an older peer waits for an answer before it sends the rest. The padding
/// in the signature has no meaning, nor have the minor version, "as server" and the filler.
pub(super) fn check(greeting: &[u8]) -> Result<(), Fault> {
    let is = |at: usize, expected: u8| greeting.get(at).is_none_or(|byte| *byte == expected);
    if !is(0, 0xff) || !is(9, 0x7f) {
        return Err(Fault::Signature);
    }
    if let Some(major) = greeting.get(10).filter(|major| **major < 3) {
        return Err(Fault::Version(*major));
    }
    match greeting.get(12..32) {
        Some(mechanism) if mechanism != &OURS[12..32] => {
            let padding = mechanism.iter().rev().take_while(|byte| **byte == 0).count();
            let name = &mechanism[..mechanism.len() - padding];
            Err(Fault::Mechanism(name.escape_ascii().to_string()))
        }
        _ => Ok(()),
    }
}

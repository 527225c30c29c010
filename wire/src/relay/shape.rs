//! How long a frame's lists are, before prost allocates for them: an empty update is two bytes on the
//! wire and two hundred in memory.

use super::{Limits, Violation, limit};
use crate::decode::{Fields, Malformed, oneof};
use crate::limits;

/// Field numbers of `ClientFrame` with lists inside.
const HELLO: u64 = 1;
const BATCH: u64 = 2;

pub(super) fn check(frame: &[u8], offered: &Limits) -> Result<(), Violation> {
    match oneof(frame)? {
        (HELLO, hello) => limit("hello.resource", limits::ATTRIBUTES, count(hello, 2)?),
        (BATCH, batch) => {
            limit("batch.new_keys", limits::KEYS, count(batch, 3)?)?;
            limit("batch.updates", offered.batch_updates, count(batch, 4)?)?;
            limit("batch.lost", limits::BATCH_LOST, count(batch, 5)?)?;
            // Read to its end above.
            for update in Fields::new(batch).filter(|field| field.number == 4) {
                limit("update.attributes", limits::ATTRIBUTES, count(update.bytes.unwrap_or_default(), 7)?)?;
            }
            Ok(())
        }
        _ => Ok(()),
    }
}

fn count(message: &[u8], number: u64) -> Result<usize, Malformed> {
    let mut fields = Fields::new(message);
    let count = fields.by_ref().filter(|field| field.number == number).count();
    fields.finish().map(|()| count)
}

//! How long a frame's lists are, before prost allocates for them: an empty update is two bytes on the
//! wire and two hundred in memory.

use super::{Limits, Violation, limit};
use crate::decode::{Content, Fields, Malformed, oneof};
use crate::limits;

/// Field numbers of `ClientFrame` with lists inside.
const HELLO: u64 = 1;
const BATCH: u64 = 2;

pub(super) fn check(frame: &[u8], offered: &Limits) -> Result<(), Violation> {
    match oneof(frame)? {
        (HELLO, hello) => limit("hello.resource", limits::ATTRIBUTES, count(hello, 3)?),
        (BATCH, batch) => {
            limit("batch.new_keys", limits::KEYS, count(batch, 3)?)?;
            limit("batch.updates", offered.batch_updates, count(batch, 4)?)?;
            limit("batch.lost", limits::BATCH_LOST, count(batch, 5)?)?;
            for update in Fields(batch) {
                let update = update?;
                if let (4, Content::Bytes(update)) = (update.number, update.content) {
                    limit("update.attributes", limits::ATTRIBUTES, count(update, 7)?)?;
                }
            }
            Ok(())
        }
        _ => Ok(()),
    }
}

fn count(message: &[u8], number: u64) -> Result<usize, Malformed> {
    let mut count = 0;
    for field in Fields(message) {
        count += usize::from(field?.number == number);
    }
    Ok(count)
}

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
            let (mut new_keys, mut updates, mut lost) = (0, 0, 0);
            // The first update with too many is named only once the rest of the batch is known to have its shape.
            let mut attributes = Ok(());
            let mut fields = Fields::new(batch);
            for field in fields.by_ref() {
                match field.number {
                    3 => new_keys += 1,
                    4 => {
                        updates += 1;
                        attributes = attributes.and_then(|()| check_update(field.bytes.unwrap_or_default()));
                    }
                    5 => lost += 1,
                    _ => {}
                }
            }
            fields.finish()?;
            limit("batch.new_keys", limits::KEYS, new_keys)?;
            limit("batch.updates", offered.batch_updates, updates)?;
            limit("batch.lost", limits::BATCH_LOST, lost)?;
            attributes
        }
        _ => Ok(()),
    }
}

fn check_update(update: &[u8]) -> Result<(), Violation> {
    limit("update.attributes", limits::ATTRIBUTES, count(update, 7)?)
}

fn count(message: &[u8], number: u64) -> Result<usize, Malformed> {
    let mut fields = Fields::new(message);
    let count = fields.by_ref().filter(|field| field.number == number).count();
    fields.finish().map(|()| count)
}

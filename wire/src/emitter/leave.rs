//! What a page leaves when it goes: a last request, and a journal for the next page to go on with.

use super::frames::{self, BATCH, BATCH_UPDATES, Room};
use super::queue::Allowance;
use super::{Config, Emitter, Malformed};
use crate::decode::{Fields, oneof};
use crate::encode::Writer;
use crate::{LostRange, LostReason, Micros, limits};

impl Emitter {
    /// What is pending as the body of a last request (PROTOCOL.md, section 11) of at most `bytes` bytes;
    /// none when there is nothing to say. The socket must be closed already.
    ///
    /// Nothing is settled by it, since nobody waits for an answer: a page that comes back sends again what
    /// the relay does not know. With `for_good` the page does not come back: what does not fit is lost, the
    /// request says so, and ends the session.
    pub fn last_request(&mut self, bytes: usize, for_good: bool, now: Micros) -> Option<Vec<u8>> {
        let nothing = if for_good { self.queue.created() == 0 } else { self.queue.all_settled() };
        if nothing || self.connection.is_some() {
            return None;
        }
        let mut body = Vec::new();
        frames::delimited(&mut body, &frames::hello(&self.config, self.queue.first_unsettled(), now));
        let granted = self.queue.first_unsettled().saturating_add(self.offered.credit);
        let (mut keys, mut end) = (0, self.queue.first_unsettled());
        while let Some(room) = self.offered.room_within(bytes.saturating_sub(body.len())) {
            let new_keys = &self.keys[keys..];
            let new_keys = &new_keys[..room.keys(new_keys)];
            keys += new_keys.len();
            let allowance = Allowance { granted, updates: self.offered.batch_updates, keys, room };
            let batch = self.queue.batch(allowance, self.offered.room().updates);
            if batch.end == end && new_keys.is_empty() {
                break;
            }
            end = batch.end;
            frames::delimited(&mut body, &frames::batch(&batch, new_keys, self.clock.offset()));
        }
        if for_good {
            self.queue.give_up_unsent(LostReason::PageClosed);
            let rest = self.queue.batch(Allowance { granted, updates: 0, keys, room: Room::LEAST }, 0);
            frames::delimited(&mut body, &frames::batch(&rest, &[], self.clock.offset()));
            frames::delimited(&mut body, &frames::bye(self.queue.created()));
        }
        self.queue.rewind();
        Some(body)
    }

    /// What was made since the last call, as a `Batch` frame to keep where it outlives the page: ask again
    /// until there is none. [`Emitter::restore`] takes such frames, with the keys, once the page is gone.
    pub fn journal(&mut self) -> Option<Vec<u8>> {
        self.queue.journal().map(|batch| frames::batch(&batch, &[], None))
    }

    /// Every number below this is settled, and need not be kept any longer.
    pub fn settled(&self) -> u64 {
        self.queue.first_unsettled()
    }

    /// Nothing is left to say to the relay, neither an update nor a loss.
    pub fn all_settled(&self) -> bool {
        self.queue.all_settled()
    }

    /// The keys so far, in the order of their indices.
    pub fn keys(&self) -> &[Box<str>] {
        &self.keys
    }

    /// A session that an earlier page left: `frames` are what `journal` gave there, in that order. Of the
    /// oldest, settled ones may be missing, and any of the newest. What is missing in the middle is lost as
    /// `page_closed`.
    ///
    /// # Errors
    /// [`Malformed`] when the bytes are not what `journal` gave.
    pub fn restore(config: Config, keys: Vec<Box<str>>, frames: &[&[u8]]) -> Result<Self, Malformed> {
        if keys.len() > limits::KEYS || !keys.iter().all(|key| (1..=limits::KEY_BYTES).contains(&key.len())) {
            return Err(Malformed("more or longer keys than a connection takes"));
        }
        let mut kept = Vec::new();
        for frame in frames {
            read_batch(frame, &mut kept)?;
        }
        let base = kept.first().map_or(0, Kept::first);
        let mut emitter = Self::at(config, base);
        emitter.keys = keys;
        emitter.restored = true;
        for piece in kept {
            // What two frames both hold is taken once.
            let next = emitter.queue.created();
            emitter.queue.lose(piece.first().saturating_sub(next), LostReason::PageClosed);
            match piece {
                Kept::Update { seq, .. } if seq < next => {}
                Kept::Update { encoded, keys, .. } if keys as usize <= emitter.keys.len() => {
                    emitter.queue.append(&encoded, keys, 0);
                }
                Kept::Update { .. } => emitter.queue.lose(1, LostReason::PageClosed),
                Kept::Lost(range) => {
                    let next = emitter.queue.created();
                    emitter.queue.lose((range.last + 1).saturating_sub(next), range.reason);
                }
            }
        }
        Ok(emitter)
    }

    /// Everything that was not sent on this connection is lost under `reason`, and the relay will be told.
    pub fn give_up(&mut self, reason: LostReason) {
        self.queue.give_up_unsent(reason);
    }
}

/// What a kept frame holds, piece by piece.
enum Kept {
    Update { seq: u64, encoded: Vec<u8>, keys: u32 },
    Lost(LostRange),
}

impl Kept {
    fn first(&self) -> u64 {
        match self {
            Self::Update { seq, .. } => *seq,
            Self::Lost(range) => range.first,
        }
    }
}

/// Reads a `Batch` frame of our own back; `kept` stays in the order of the numbers.
fn read_batch(bytes: &[u8], kept: &mut Vec<Kept>) -> Result<(), Malformed> {
    let (BATCH, body) = oneof(bytes).map(|(kind, body)| (kind as u32, body))? else {
        return Err(Malformed("not a batch"));
    };
    let mut next = 0;
    for field in Fields(body) {
        let field = field?;
        let piece = match field.number {
            1 => {
                next = field.content.uint()?;
                continue;
            }
            4 => {
                let update = field.content.bytes()?;
                let mut encoded = Vec::with_capacity(update.len() + 8);
                Writer(&mut encoded).bytes(BATCH_UPDATES, update);
                let seq = next;
                if seq >= limits::SEQ_END {
                    return Err(Malformed("an update's number is beyond the end"));
                }
                next += 1;
                Kept::Update { seq, encoded, keys: keys_of(update)? }
            }
            5 => Kept::Lost(read_lost(field.content.bytes()?)?),
            _ => continue,
        };
        // Nearly always at the end: a library's sort is 5 KB of the browser's module.
        let at = kept.partition_point(|other| other.first() <= piece.first());
        kept.insert(at, piece);
    }
    Ok(())
}

/// How many keys of the table an encoded update needs.
fn keys_of(update: &[u8]) -> Result<u32, Malformed> {
    let mut keys = 1;
    for field in Fields(update) {
        let field = field?;
        match field.number {
            1 => keys = field.content.uint()?.saturating_add(1),
            10 => return Ok(0),
            _ => {}
        }
    }
    u32::try_from(keys).map_err(|_| Malformed("an index beyond the table of keys"))
}

fn read_lost(message: &[u8]) -> Result<LostRange, Malformed> {
    let [first, last, reason] = frames::numbers(message)?;
    if last < first || last >= limits::SEQ_END {
        return Err(Malformed("a lost range is reversed or beyond the end"));
    }
    let known = LostReason::ALL.into_iter().find(|known| *known as u64 == reason);
    Ok(LostRange { first, last, reason: known.unwrap_or(LostReason::EmitterFailed) })
}

//! Atomwire in the browser: the session machine of `atomwire-wire` behind functions over numbers alone.
//!
//! An instance of the module is one session. It imports nothing and calls nobody: JavaScript owns the socket, the
//! timers, the page and the clock, writes bytes where [`input`] says, reads them where [`output`] says, and asks
//! [`step`] what to do. So a trap costs one instance, and nobody's code can run in the middle of ours.
//!
//! Times are microseconds since the Unix epoch, durations microseconds, sequence numbers whole: all exact in a double.

#![cfg_attr(not(feature = "std"), no_std)]

mod memory;
mod texts;

use atomwire_wire::LostReason;
use atomwire_wire::machine::{
    Heard, Hello, IDS, IDS_BYTES, INPUT, Key, LOG, Machine, Memory, OUTPUT, Parent, Step, Text, Update,
    WhenFull,
};
use memory::{Linear, SESSION, address};
use texts::{Texts, unhex};
use wasm_bindgen::prelude::wasm_bindgen;

/// The address of what JavaScript writes: room for the largest frame, and for the largest value with all that stands
/// beside it. Asked for before everything else, since it sees to the memory for all of it; 0 where there is none.
#[wasm_bindgen]
pub fn input() -> u32 {
    if SESSION.with(|session| session.memory().grow(LOG)) { address(INPUT) } else { 0 }
}

/// The address of what JavaScript reads: room for the largest frame.
#[wasm_bindgen]
pub fn output() -> u32 {
    address(OUTPUT)
}

/// Begins a session. The seed of its ids stands at [`input`], 32 bytes. `max_updates` and
/// `max_bytes` may be pending; `drop_oldest` says what is lost beyond that.
#[wasm_bindgen]
pub fn start(max_updates: u32, max_bytes: u32, drop_oldest: bool) {
    let when_full = if drop_oldest { WhenFull::DropOldest } else { WhenFull::DropNewest };
    SESSION.with(|session| {
        // Tests have one instance for all their sessions.
        #[cfg(feature = "std")]
        {
            let memory = std::mem::replace(session.memory(), Linear::NEW);
            *session = Machine::new(memory);
        }
        session.start(max_updates as usize, max_bytes as usize, when_full);
    });
}

/// The index of a new key, `length` bytes of UTF-8 at [`input`]; -1 once the table is full, and for one that is none
/// (empty, or beyond 256 bytes). Such a key goes in full with each [`push`].
#[wasm_bindgen]
pub fn intern(length: u32) -> i32 {
    SESSION.with(|session| session.intern(length as usize).map_or(-1, |index| index as i32))
}

/// What each entry of [`push`] says, in doubles.
const NUMBERS: usize = 12;

/// Takes `count` atom writes, in their order. Their texts stand at [`input`], one after the other: `bytes` of UTF-8,
/// which are `units` of UTF-16. Of each write these are, as far as it has them: the key, unless it has an index; error
/// type and message, of a write that failed; the app's own span above as W3C writes it; and the value, unless JSON
/// cannot hold it. The numbers of each stand at [`output`], twelve doubles:
///
/// - 0: the key's index, as [`intern`] gave it, or -1; 1: the key's units of UTF-16.
/// - 2: the error type's units, or -1 of a write that did not fail; 3: the error message's.
/// - 4: the units of the app's span above, which are 55, or 0.
/// - 5: the value's units, or -1; 6: 1 where JSON cannot hold all of the value.
/// - 7: the span's position in this session's id stream.
/// - 8, 9: when the write began, and when it ended.
/// - 10, 11: positions of the trace's first span and of this span's parent; -1 where that is not in this session.
#[wasm_bindgen]
pub fn push(bytes: u32, units: u32, count: u32) {
    SESSION.with(|session| {
        let mut texts = Texts::new(bytes == units);
        for entry in 0..count as usize {
            // In its turn it stands where the first one did: the module is smaller by what fixed addresses save.
            session.memory().copy(OUTPUT + 8 * NUMBERS * entry, OUTPUT, 8 * NUMBERS);
            push_one(session, &mut texts);
        }
    });
}

fn push_one(machine: &mut Machine<Linear>, texts: &mut Texts) {
    let number = |machine: &Machine<Linear>, at: usize| f64::from_bits(machine.word(OUTPUT + 8 * at));
    let mut text = |at: usize| texts.take(machine, number(machine, at));
    let key = number(machine, 0);
    let key = if key < 0.0 { Key::Inline(text(1)) } else { Key::Index(key as u32) };
    let error = (number(machine, 2) >= 0.0).then(|| (text(2), text(3)));
    let above = (number(machine, 4) > 0.0).then(|| text(4).at);
    let value = (number(machine, 5) >= 0.0).then(|| text(5));
    // Both in whole microseconds first: what ends after another begins does so in their spans, too.
    let (start, end) = (number(machine, 8) as u64, number(machine, 9) as u64);
    let update = Update {
        key,
        start,
        duration: end.saturating_sub(start),
        value,
        altered: number(machine, 6) > 0.0,
        error,
        parent: parent_of(machine, above, number(machine, 10), number(machine, 11)),
        position: number(machine, 7) as u64,
    };
    machine.push(&update, end);
}

/// What stands above is W3C's `traceparent`: `00-<trace id>-<span id>-<flags>`. A parent in this session inherits what
/// stands above it; without anything above, the trace is ours.
fn parent_of(machine: &mut Machine<Linear>, above: Option<usize>, root: f64, parent: f64) -> Option<Parent> {
    let local = parent >= 0.0;
    if above.is_none() && !local {
        return None;
    }
    let mut it = Parent {
        trace_id: IDS,
        span_id: IDS + 16,
        flags: 0,
        tracestate: Text::default(),
        local: above.is_none(),
    };
    if let Some(at) = above {
        machine.set_word(IDS, unhex(machine, at + 3, 16));
        machine.set_word(IDS + 8, unhex(machine, at + 19, 16));
        machine.set_word(IDS + 16, unhex(machine, at + 36, 16));
        it.flags = unhex(machine, at + 53, 2) as u8;
    } else {
        machine.write_ids(root as u64, IDS);
    }
    if local {
        machine.write_ids(parent as u64, IDS + IDS_BYTES);
        it.span_id += IDS_BYTES;
    }
    Some(it)
}

/// Creates `count` updates that are lost already, for a reason by its number in the protocol.
#[wasm_bindgen]
pub fn lose(count: f64, reason: u32) {
    SESSION.with(|session| session.lose(count as u64, LostReason::of(reason.into())));
}

/// Writes the ids at a position to [`output`]: 16 bytes of trace id, 8 of span id.
#[wasm_bindgen]
pub fn ids(position: f64) {
    SESSION.with(|session| session.write_ids(position as u64, OUTPUT));
}

/// A number of the account: 0 the number after the newest, 1 acknowledged, 2 pending, 3 to 9 lost, by reason in the
/// order of their numbers, 10 the number below which all is settled, 11 the first number that this instance knows of.
#[wasm_bindgen]
pub fn count(which: u32) -> f64 {
    SESSION.with(|session| session.number_of(which as usize) as f64)
}

/// The socket is open: the `Hello` to send stands at [`output`], and the answer is its length. At [`input`] stand
/// OpenTelemetry resource attributes, keys and values alternating with a NUL after each, then the token.
#[wasm_bindgen]
pub fn opened(now: f64, resource_bytes: u32, token_bytes: u32) -> u32 {
    let hello = Hello { resource: resource_bytes as usize, token: token_bytes as usize };
    SESSION.with(|session| session.opened(hello, now as u64) as u32)
}

/// Takes a frame from the relay, `length` bytes at [`input`]. 0: ask for the next step. Below: it is malformed (the
/// number says how), close. Above: the relay goes away and says why in one byte less, which stand at [`output`].
#[wasm_bindgen]
pub fn receive(length: u32, now: f64) -> i32 {
    SESSION.with(|session| match session.receive(length as usize, now as u64) {
        Ok(Heard::Continue) => 0,
        Ok(Heard::GoAway(message)) => {
            session.memory().copy(message.at, OUTPUT, message.len);
            message.len as i32 + 1
        }
        Err(malformed) => -(malformed as i32),
    })
}

/// What to do now. Above 0: ask again at this time. 0: close the socket. Below: send so many bytes, which stand at
/// [`output`], then ask again.
#[wasm_bindgen]
pub fn step(now: f64) -> f64 {
    SESSION.with(|session| match session.step(now as u64) {
        Step::Send(length) => -(length as f64),
        Step::Close => 0.0,
        Step::Wait(u64::MAX) => f64::INFINITY,
        Step::Wait(at) => at as f64,
    })
}

/// The socket is closed, or could not be opened; `random` is uniform in [0, 1). How long to wait before the next try;
/// -1: the relay does not want this session back, and what was pending is lost as rejected.
#[wasm_bindgen]
pub fn closed(now: f64, random: f64) -> f64 {
    SESSION.with(|session| session.closed(now as u64, random).map_or(-1.0, |wait| wait as f64))
}

/// Sends what is pending without waiting for company; with `end`, and says `Bye` once everything is settled.
#[wasm_bindgen]
pub fn hurry(end: bool) {
    SESSION.with(|session| if end { session.end() } else { session.hurry() });
}

/// The page's clock was set: what was learned of the relay's is void.
#[wasm_bindgen]
pub fn clock_jumped() {
    SESSION.with(Machine::clock_jumped);
}

/// Everything pending is lost for good, and nobody hears of it.
#[wasm_bindgen]
pub fn abandon(reason: u32) {
    SESSION.with(|session| session.abandon(LostReason::of(reason.into())));
}

/// Everything that was not sent on this connection is lost, and the relay will be told.
#[wasm_bindgen]
pub fn give_up(reason: u32) {
    SESSION.with(|session| session.give_up(LostReason::of(reason.into())));
}

/// Writes the body of a last request (PROTOCOL.md, section 11), of at most `bytes` bytes, to [`output`]: its length,
/// 0 when there is nothing to say. The socket must be closed; [`input`] is as for [`opened`]. With `for_good`, what
/// does not fit is lost as `page_closed`, and the session ends.
#[wasm_bindgen]
pub fn last_request(now: f64, bytes: u32, for_good: bool, resource_bytes: u32, token_bytes: u32) -> u32 {
    let hello = Hello { resource: resource_bytes as usize, token: token_bytes as usize };
    SESSION.with(|session| session.last_request(hello, bytes as usize, for_good, now as u64) as u32)
}

/// Writes what was made since the last call as a `Batch` frame to [`output`], for another page to go on with: its
/// length, 0 when nothing was. Ask again until then.
#[wasm_bindgen]
pub fn journal() -> u32 {
    SESSION.with(|session| session.journal() as u32)
}

/// Goes on with a session that an earlier page left, all of whose numbers below `base` are settled. Comes after
/// [`start`] and before everything else; then its keys come in their order, by [`intern`].
#[wasm_bindgen]
pub fn restore_at(base: f64) {
    SESSION.with(|session| session.restore_at(base as u64));
}

/// Takes a frame that [`journal`] gave, `length` bytes at [`input`], in their order; false when it is none.
#[wasm_bindgen]
pub fn restore(length: u32) -> bool {
    SESSION.with(|session| session.restore(length as usize).is_ok())
}

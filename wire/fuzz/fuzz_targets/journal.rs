//! Damaged frames of an earlier page into the emitter's machine. The input is frames, each preceded by its
//! length as a varint; whatever is taken must balance, and be what the relay's machine takes.
#![no_main]

use atomwire_wire::{LostReason, limits};
use atomwire_wire::emitter::{Config, Emitter, WhenFull};
use atomwire_wire::relay::{Event, Ledger, Limits, Session};
use bytes::{Buf, Bytes};
use libfuzzer_sys::fuzz_target;
use prost::encoding::decode_varint;

const NOW: u64 = 1_795_219_200_000_000;

fn balanced(emitter: &Emitter) {
    let stats = emitter.stats();
    assert_eq!(stats.created, stats.acknowledged + stats.lost.iter().sum::<u64>() + stats.pending);
}

/// The frames of a body; none when it is none.
fn frames(mut body: Bytes) -> Option<Vec<Bytes>> {
    let mut frames = Vec::new();
    while body.has_remaining() {
        let len = usize::try_from(decode_varint(&mut body).ok()?).ok()?;
        frames.push((len <= body.len()).then(|| body.split_to(len))?);
    }
    Some(frames)
}

fuzz_target!(|data: &[u8]| {
    let Some(kept) = frames(Bytes::copy_from_slice(data)) else { return };
    let config = Config {
        id_seed: [2; 32],
        resource: Vec::new(),
        token: String::new(),
        queue_updates: 40,
        queue_bytes: 20_000,
        when_full: WhenFull::DropOldest,
    };
    let kept: Vec<&[u8]> = kept.iter().map(|frame| &frame[..]).collect();
    let Ok(mut emitter) = Emitter::restore(config, vec!["cart".into(), "user".into()], &kept) else { return };
    balanced(&emitter);
    let Some(body) = emitter.last_request(60_000, true, NOW) else { return };
    balanced(&emitter);
    let mut session = Session::new(Limits::default());
    for frame in frames(body.into()).expect("a body of frames") {
        match session.receive(&frame, NOW) {
            Ok(Event::Hello(hello)) => {
                let ledger = Ledger::new(hello.id_seed, hello.first_unacked_seq);
                session.attach(ledger, NOW, limits::CREDIT);
            }
            Ok(Event::Batch(batch)) => assert!(batch.duplicates == 0 && batch.end <= 1 << 53),
            Ok(Event::Bye(_)) => emitter.abandon(LostReason::PageClosed),
            Ok(_) => panic!("nothing else is in a last request"),
            // What is inside an update is not looked at before it is sent.
            Err(violation) => {
                return assert!(
                    violation.to_string().starts_with("malformed")
                        || violation.to_string().starts_with("update.attributes"),
                    "{violation}"
                );
            }
        }
    }
    balanced(&emitter);
});

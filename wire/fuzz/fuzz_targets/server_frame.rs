//! Hostile frames into the emitter's machine. The input is frames, each preceded by its length as a
//! varint, as `POST /v1/batch` answers.
#![no_main]

use atomwire_wire::emitter::{Config, Emitter, Key, NewUpdate, Step, WhenFull};
use bytes::{Buf, Bytes};
use libfuzzer_sys::fuzz_target;
use prost::encoding::decode_varint;

const NOW: u64 = 1_795_219_200_000_000;

fn balanced(emitter: &Emitter) {
    let stats = emitter.stats();
    assert_eq!(stats.created, stats.acknowledged + stats.lost.iter().sum::<u64>() + stats.pending);
}

/// Sends what there is to send; the machine must come to rest.
fn drive(emitter: &mut Emitter) {
    emitter.hurry();
    for _ in 0..1_000 {
        let Step::Send(frame) = emitter.step(NOW) else { return };
        assert!(frame.len() <= atomwire_wire::limits::FRAME_BYTES);
    }
    panic!("the emitter never rests");
}

fuzz_target!(|data: &[u8]| {
    let mut emitter = Emitter::new(Config {
        id_seed: [2; 32],
        resource: Vec::new(),
        token: String::new(),
        queue_updates: 40,
        queue_bytes: 20_000,
        when_full: WhenFull::DropNewest,
    });
    let mut body = Bytes::copy_from_slice(data);
    let mut position = 0;
    emitter.opened(NOW);
    while body.has_remaining() {
        for _ in 0..5 {
            let value = "1".repeat((position as usize * 37) % 4_000 + 1);
            let update = NewUpdate {
                key: emitter.intern(&format!("atom-{position}")).map_or(Key::Inline("atom"), Key::Index),
                start: NOW,
                duration: 1,
                value: Some(&value),
                altered: false,
                error: None,
                parent: None,
                position,
            };
            emitter.push(&update, NOW);
            position += 1;
        }
        let Ok(len) = decode_varint(&mut body) else { return };
        let frame = body.split_to(body.len().min(len as usize));
        if emitter.receive(&frame, NOW).is_err() {
            emitter.closed(NOW, 0.5);
            emitter.opened(NOW);
        }
        balanced(&emitter);
        drive(&mut emitter);
        balanced(&emitter);
    }
});

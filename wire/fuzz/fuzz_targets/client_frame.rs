//! Hostile frames into the relay's machine. The input is a body of `POST /v1/batch`: frames, each
//! preceded by its length as a varint.
#![no_main]

use atomwire_wire::relay::{Event, Ledger, Limits, RejectedRange, Session, Update};
use bytes::{Buf, Bytes};
use libfuzzer_sys::fuzz_target;
use prost::encoding::decode_varint;

const NOW: u64 = 1_795_219_200_000_000;
const CREDIT: u32 = 2_000;

fuzz_target!(|data: &[u8]| {
    let mut body = Bytes::copy_from_slice(data);
    let mut session = Session::new(Limits::default());
    let mut next = 0;
    while body.has_remaining() {
        let Ok(len) = decode_varint(&mut body) else { return };
        let frame = body.split_to(body.len().min(len as usize));
        match session.receive(&frame, NOW) {
            Ok(Event::Hello(hello)) => {
                next = hello.first_unacked_seq;
                session.attach(Ledger::new(hello.id_seed, next), NOW, CREDIT);
            }
            Ok(Event::Batch(batch)) => {
                let lost: u64 = batch.lost.iter().map(|range| range.last - range.first + 1).sum();
                let rejected: u64 = batch.rejected.iter().map(RejectedRange::updates).sum();
                let fresh = batch.updates.len() as u64 + rejected;
                assert_eq!(batch.end - next, fresh + lost, "every number has one fate");
                assert!(batch.updates.is_sorted_by(|a, b| a.seq < b.seq));
                assert!(batch.updates.iter().all(|update| (next..batch.end).contains(&update.seq)));
                let over = |update: &Update| update.start == 0 || update.start + update.duration <= NOW;
                assert!(batch.updates.iter().all(over));
                next = batch.end;
                // Some of it is settled by the next connection only.
                session.settled(next.saturating_sub(3));
                session.ack(NOW, CREDIT);
                let mut ledger = session.detach().expect("it has a ledger");
                assert_eq!(ledger.accepted(), next);
                ledger.settle(next.saturating_sub(1));
                session.attach(ledger, NOW, CREDIT);
                session.settled(next);
                session.ack(NOW, 0);
            }
            Ok(_) => {}
            Err(violation) => {
                assert!(!violation.to_string().is_empty());
                return;
            }
        }
    }
});

//! What the tests share: one session, and both machines ready to talk.

use atomwire_wire::emitter::{Config, Emitter, Key, NewUpdate, Step, WhenFull};
use atomwire_wire::limits::CREDIT;
use atomwire_wire::proto::{self, client_frame::Frame, server_frame};
use atomwire_wire::relay::{Ledger, Limits, Session};
use atomwire_wire::{IdSeed, Micros};
use bytes::Bytes;
use prost::Message;
use std::{env, fs, path::Path};

pub(crate) const SEED: IdSeed = [7; 32];
/// 2026-11-21T00:00:00Z
pub(crate) const NOW: Micros = 1_795_219_200_000_000;

pub(crate) fn config() -> Config {
    Config {
        id_seed: SEED,
        resource: vec![("service.name".into(), "shop".into())],
        token: String::new(),
        queue_updates: 10_000,
        queue_bytes: 8 << 20,
        when_full: WhenFull::DropNewest,
    }
}

/// The seed of the session `number`.
pub(crate) fn id_seed(number: usize) -> IdSeed {
    std::array::from_fn(|at| number.to_le_bytes().get(at).copied().unwrap_or(7))
}

/// A write of `value` to the atom `n`.
pub(crate) fn write(position: u64, value: &str) -> NewUpdate<'_> {
    let key = Key::Inline("n");
    NewUpdate {
        key,
        start: NOW,
        duration: 3,
        value: Some(value),
        altered: false,
        error: None,
        parent: None,
        position,
    }
}

pub(crate) fn client(frame: Frame) -> Bytes {
    proto::ClientFrame { frame: Some(frame) }.encode_to_vec().into()
}

pub(crate) fn server(frame: server_frame::Frame) -> Bytes {
    proto::ServerFrame { frame: Some(frame) }.encode_to_vec().into()
}

pub(crate) fn batch(frame: &[u8]) -> proto::Batch {
    match proto::ClientFrame::decode(frame).unwrap().frame {
        Some(Frame::Batch(batch)) => batch,
        other => panic!("not a batch: {other:?}"),
    }
}

pub(crate) fn hello() -> proto::Hello {
    proto::Hello { id_seed: SEED.to_vec().into(), client_time_us: NOW, ..Default::default() }
}

/// A connection that has said `Hello` and was welcomed.
pub(crate) fn welcomed(limits: Limits) -> Session {
    granted(limits, CREDIT)
}

/// Likewise, and may send so many updates.
pub(crate) fn granted(limits: Limits, credit: u32) -> Session {
    let mut session = Session::new(limits);
    session.receive(&client(Frame::Hello(hello())), NOW).unwrap();
    session.attach(Ledger::new(SEED, 0), NOW, credit);
    session
}

/// An emitter on a connection that `welcome` has answered.
pub(crate) fn connected(mut emitter: Emitter, welcome: proto::Welcome) -> Emitter {
    emitter.opened(NOW);
    let times = Some(proto::Times { received_at_us: NOW, sent_at_us: NOW });
    let welcome = proto::Welcome { times, ..welcome };
    emitter.receive(&server(server_frame::Frame::Welcome(welcome)), NOW).unwrap();
    emitter
}

/// Every frame that the emitter has to send at `now`.
pub(crate) fn frames(emitter: &mut Emitter, now: Micros) -> Vec<Vec<u8>> {
    let mut frames = Vec::new();
    while let Step::Send(frame) = emitter.step(now) {
        frames.push(frame);
        assert!(frames.len() < 100_000, "the emitter never stops sending");
    }
    frames
}

/// Compares `text` with a file in `vectors/`, or writes it there when `UPDATE_VECTORS` is set.
pub(crate) fn vector_file(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors").join(name);
    if env::var_os("UPDATE_VECTORS").is_some() {
        fs::write(&path, text).unwrap();
    }
    let file = fs::read_to_string(&path).unwrap_or_default();
    assert!(file == text, "{name} is stale: UPDATE_VECTORS=1 writes it anew, review what changed");
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

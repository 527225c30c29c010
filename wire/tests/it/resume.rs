//! A session over many connections, settled at any time: what it is told, and what it may send, whatever the order.

use crate::support::{NOW, SEED, client, hello};
use atomwire_wire::limits::CREDIT;
use atomwire_wire::proto::{self, client_frame::Frame, server_frame};
use atomwire_wire::relay::{Event, Ledger, Limits, Session, Violation};
use bytes::Bytes;
use proptest::prelude::*;
use prost::Message;
use std::collections::BTreeSet;

#[derive(Debug, Clone)]
enum What {
    /// The client sends again from so many numbers below the next on, and so many new ones; every n-th is wrong.
    Send { again: u64, new: u64, wrong: u64 },
    /// Of what is not settled, this part is.
    Settle(prop::sample::Index),
    /// The relay may grant so much.
    Ack(u32),
    /// The connection ends…
    End,
    /// …and the next begins, with so much credit; of what the client could have heard, it heard all or nothing.
    Begin { credit: u32, heard: bool },
}

fn what() -> impl Strategy<Value = What> {
    let credit = || prop_oneof![Just(0), 1..20_u32, Just(u32::MAX)];
    prop_oneof![
        4 => (0..10_u64, 0..10_u64, 1..5_u64).prop_map(|(again, new, wrong)| What::Send { again, new, wrong }),
        4 => any::<prop::sample::Index>().prop_map(What::Settle),
        3 => credit().prop_map(What::Ack),
        1 => Just(What::End),
        2 => (credit(), any::<bool>()).prop_map(|(credit, heard)| What::Begin { credit, heard }),
    ]
}

enum Place {
    Connected(Session),
    Away(Ledger),
}

/// The session as it is without any protocol.
#[derive(Default)]
struct Model {
    accepted: u64,
    settled: u64,
    wrong: BTreeSet<u64>,
    /// The last answer's number, and the bound that it set.
    told: u64,
    granted: u64,
    /// What the client has heard.
    heard: u64,
}

impl Model {
    /// An answer says what is settled, and of it from `since` on exactly what was refused.
    fn check(&mut self, since: u64, next_seq: u64, credit: u32, rejected: &[proto::Rejected]) {
        assert_eq!(next_seq, self.settled);
        let named: BTreeSet<_> = rejected.iter().flat_map(|it| it.first..=it.last).collect();
        let named: Vec<_> = named.range(since..next_seq).collect();
        assert_eq!(named, self.wrong.range(since..next_seq).collect::<Vec<_>>());
        (self.told, self.granted) = (next_seq, next_seq + u64::from(credit));
    }

    fn bound(&self, credit: u32) -> u64 {
        self.settled + u64::from(credit.min(CREDIT))
    }

    fn send(&mut self, session: &mut Session, again: u64, new: u64, wrong: u64) {
        let (first_seq, end) = (self.accepted.saturating_sub(again), self.accepted + new);
        let is_wrong = |seq: &u64| seq.is_multiple_of(wrong);
        let update = |seq: u64| proto::Update {
            key: if is_wrong(&seq) { String::new() } else { "n".into() },
            ..Default::default()
        };
        let updates = (first_seq..end).map(update).collect();
        let batch = client(Frame::Batch(proto::Batch { first_seq, updates, ..Default::default() }));
        let accepted = match session.receive(&batch, NOW) {
            Ok(Event::Batch(accepted)) => accepted,
            Ok(other) => panic!("{other:?}"),
            Err(violation) => {
                assert!(matches!(violation, Violation::Credit { granted, .. } if granted == self.granted));
                return assert!(first_seq < end && end > self.granted);
            }
        };
        assert!(first_seq == end || end <= self.granted);
        let (refused, good): (Vec<_>, Vec<_>) = (self.accepted..end).partition(is_wrong);
        assert_eq!((accepted.duplicates, accepted.end), (self.accepted - first_seq, end));
        assert_eq!(accepted.updates.iter().map(|it| it.seq).collect::<Vec<_>>(), good);
        assert_eq!(accepted.rejected.iter().flat_map(|it| it.first..=it.last).collect::<Vec<_>>(), refused);
        self.wrong.extend(refused);
        self.accepted = end;
    }
}

fn decode(frame: Bytes) -> server_frame::Frame {
    proto::ServerFrame::decode(frame).unwrap().frame.unwrap()
}

proptest! {
    #[test]
    fn a_session_is_told_what_is_settled_whenever_it_is(story in prop::collection::vec(what(), 1..60)) {
        let (mut place, mut model) = (Place::Away(Ledger::new(SEED, 0)), Model::default());
        for what in story {
            place = match (place, what) {
                (Place::Connected(mut session), What::Send { again, new, wrong }) => {
                    model.send(&mut session, again, new, wrong);
                    Place::Connected(session)
                }
                (mut place, What::Settle(part)) => {
                    model.settled += part.index((model.accepted - model.settled + 1) as usize) as u64;
                    match &mut place {
                        Place::Connected(session) => session.settled(model.settled),
                        Place::Away(ledger) => ledger.settle(model.settled),
                    }
                    place
                }
                (Place::Connected(mut session), What::Ack(credit)) => {
                    let (since, granted) = (model.told, model.granted.max(model.bound(credit)));
                    let due = (model.settled, granted) != (model.told, model.granted);
                    let ack = session.ack(NOW, credit);
                    prop_assert_eq!(ack.is_some(), due);
                    if let Some(ack) = ack {
                        let server_frame::Frame::Ack(ack) = decode(ack) else { panic!("an ack") };
                        model.check(since, ack.next_seq, ack.credit, &ack.rejected);
                        prop_assert_eq!(model.granted, granted);
                    }
                    Place::Connected(session)
                }
                (Place::Connected(mut session), What::End) => Place::Away(session.detach().unwrap()),
                (Place::Away(mut ledger), What::Begin { credit, heard }) => {
                    model.heard = if heard { model.told } else { model.heard };
                    ledger.resume(model.heard);
                    let mut session = Session::new(Limits::default());
                    session.receive(&client(Frame::Hello(hello())), NOW).unwrap();
                    let welcome = session.attach(ledger, NOW, credit);
                    let server_frame::Frame::Welcome(welcome) = decode(welcome) else { panic!("a welcome") };
                    model.check(model.heard, welcome.next_seq, welcome.credit, &welcome.rejected);
                    prop_assert_eq!(model.granted, model.bound(credit));
                    Place::Connected(session)
                }
                (place, _) => place,
            };
        }
    }
}

//! The binary contract, spoken by the emitter's own machine.

use crate::plain_contract::malformed_states;
use crate::support::{Message, Plain, Raw, Relay, Session, Setup, Subscriber, hello, hex, now_us};
use atomwire_wire::emitter::{Config, Key, NewUpdate, WhenFull};
use atomwire_wire::ids::session_id;
use atomwire_wire::proto::client_frame::Frame;
use atomwire_wire::proto::{
    Batch, Bye, Error, GoAwayReason, Hello, Omitted, ParentContext, RejectReason, Update,
};

/// Updates of the atom `n`, from `first` on; their values are their numbers.
pub(crate) fn batch(first: u64, count: u64) -> Frame {
    let update =
        |seq: u64| Update { key: "n".into(), value: Some(seq.to_string().into()), ..Update::default() };
    let updates = (first..first + count).map(update).collect();
    Frame::Batch(Batch { first_seq: first, base_time_us: now_us(), updates, ..Batch::default() })
}

fn numbers(messages: &[Message]) -> Vec<u64> {
    messages.iter().map(Message::seq).collect()
}

#[tokio::test]
async fn a_burst_arrives_in_order_and_once() {
    let relay = Relay::start().await;
    let mut bus = Subscriber::connect(&relay, &["atom-updates"]).await;
    let mut session = Session::connected(&relay, 1).await;
    for number in 0..1000 {
        session.write(["cart", "user"][number % 2], &number.to_string());
    }
    session.settled().await;
    let messages = bus.take(1000).await;
    for (seq, message) in (0..).zip(&messages) {
        assert_eq!(message.seq(), seq);
        assert_eq!(message.json["value"], seq);
        assert_eq!(message.json["key"], ["cart", "user"][seq as usize % 2]);
        assert_eq!(message.json["session"], crate::support::session(1));
        assert_eq!(message.trace()[1], hex(&session.emitter.ids(seq).trace_id), "ids are derived, not sent");
        assert_eq!(message.trace()[3], "03");
    }
    let stats = session.emitter.stats();
    assert_eq!((stats.created, stats.acknowledged, stats.pending), (1000, 1000, 0));
    assert_eq!(relay.metric("updates_published_total").await, 1000);
    assert_eq!(relay.metric("updates_duplicate_total").await, 0);
    relay.balances().await;
}

#[tokio::test]
async fn a_new_socket_goes_on_where_the_last_one_ended() {
    let relay = Relay::start().await;
    let mut bus = Subscriber::connect(&relay, &["atom-updates"]).await;
    let mut session = Session::connected(&relay, 1).await;
    for round in 1..=10 {
        for _ in 0..10 {
            session.write("n", "1");
        }
        session.settled().await;
        session.disconnect();
        session.connect(&relay).await;
        relay.reaches("updates_published_total", round * 10).await;
    }
    assert_eq!(numbers(&bus.take(100).await), (0..100).collect::<Vec<_>>());
    assert_eq!(relay.metric("updates_received_total").await, 100, "nothing acknowledged was sent again");
}

#[tokio::test]
async fn what_is_sent_again_is_published_once() {
    let relay = Relay::start().await;
    let mut bus = Subscriber::connect(&relay, &["atom-updates"]).await;
    let (mut raw, _) = Raw::welcomed(&relay, 1).await;
    raw.send(batch(0, 10)).await;
    relay.reaches("updates_published_total", 10).await;
    // The acknowledgement is lost with the connection.
    drop(raw);
    let (mut raw, next_seq) = Raw::welcomed(&relay, 1).await;
    assert_eq!(next_seq, 10, "the relay says what it has");
    raw.send(batch(5, 10)).await;
    assert_eq!(raw.acknowledgement().await.next_seq, 15);
    assert_eq!(numbers(&bus.take(15).await), (0..15).collect::<Vec<_>>());
    assert_eq!(relay.metric("updates_duplicate_total").await, 5);
    relay.balances().await;
}

#[tokio::test]
async fn connections_that_break_at_any_moment_cost_nothing() {
    let relay = Relay::start().await;
    let mut bus = Subscriber::connect(&relay, &["atom-updates"]).await;
    let mut session = Session::new(1);
    for round in 0..20 {
        session.connect(&relay).await;
        for _ in 0..100 {
            session.write("n", "1");
        }
        session.until(|stats| stats.acknowledged > round * 50).await;
        session.disconnect();
    }
    session.connect(&relay).await;
    session.settled().await;
    assert_eq!(numbers(&bus.take(2000).await), (0..2000).collect::<Vec<_>>());
    relay.balances().await;
}

#[tokio::test]
async fn the_newest_connection_has_the_session() {
    let relay = Relay::start().await;
    let mut bus = Subscriber::connect(&relay, &["atom-updates"]).await;
    let (mut old, _) = Raw::welcomed(&relay, 1).await;
    old.send(batch(0, 3)).await;
    assert_eq!(old.acknowledgement().await.next_seq, 3);
    let (mut new, next_seq) = Raw::welcomed(&relay, 1).await;
    assert_eq!(next_seq, 3);
    old.sent_away(GoAwayReason::Replaced).await;
    new.send(batch(3, 3)).await;
    assert_eq!(new.acknowledgement().await.next_seq, 6);
    assert_eq!(numbers(&bus.take(6).await), (0..6).collect::<Vec<_>>());
    assert_eq!(relay.metric("sessions").await, 1);
}

#[tokio::test]
async fn a_connection_given_up_does_not_take_its_session_back() {
    let relay = Relay::start().await;
    // Its hello is still on the way when its client has connected again.
    let mut old = Raw::connect(&relay).await;
    let (mut new, _) = Raw::welcomed(&relay, 1).await;
    old.send(Frame::Hello(hello(1))).await;
    old.sent_away(GoAwayReason::Replaced).await;
    new.send(batch(0, 1)).await;
    assert_eq!(new.acknowledgement().await.next_seq, 1);
}

#[tokio::test]
async fn a_connection_that_reads_nothing_does_not_keep_its_session() {
    let relay = Relay::start().await;
    let (mut old, _) = Raw::welcomed(&relay, 1).await;
    old.stall().await;
    let (mut new, _) = Raw::welcomed(&relay, 1).await;
    new.send(batch(0, 1)).await;
    assert_eq!(new.acknowledgement().await.next_seq, 1);
}

#[tokio::test]
async fn a_session_belongs_to_whoever_has_its_seed() {
    let relay = Relay::start().await;
    let mut bus = Subscriber::connect(&relay, &["atom-updates"]).await;
    let (mut owner, _) = Raw::welcomed(&relay, 1).await;
    owner.send(batch(0, 1)).await;
    assert_eq!(owner.acknowledgement().await.next_seq, 1);
    let seen = bus.next().await.json["session"].clone();
    // Its id is on the bus for all to see, and opens nothing.
    let id = session_id([1; 32]);
    for seed in [[9; 32].to_vec(), [id, id].concat(), [id, [0; 16]].concat()] {
        let stranger = Hello { id_seed: seed.into(), ..hello(1) };
        let (mut stranger, next_seq) = Raw::welcomed_with(&relay, stranger).await;
        assert_eq!(next_seq, 0);
        stranger.send(batch(0, 1)).await;
        assert_ne!(bus.next().await.json["session"], seen);
    }
    let id_seed = id.to_vec().into();
    let mut stranger = Raw::connect(&relay).await;
    stranger.send(Frame::Hello(Hello { id_seed, ..hello(1) })).await;
    stranger.sent_away(GoAwayReason::ProtocolError).await;
    owner.send(batch(1, 1)).await;
    assert_eq!(owner.acknowledgement().await.next_seq, 2, "the owner does not notice");
    // A relay that never heard of the session knows its owner all the same.
    let second = Relay::start().await;
    let mut bus = Subscriber::connect(&second, &["atom-updates"]).await;
    let (mut owner, _) = Raw::welcomed(&second, 1).await;
    owner.send(batch(0, 1)).await;
    assert_eq!(bus.next().await.json["session"], seen);
}

#[tokio::test]
async fn a_token_is_asked_for_where_there_is_one() {
    let relay = Setup::new().env("ATOMWIRE_TOKEN", "sesame").start().await;
    for token in ["", "sesam", "sesames"] {
        let mut raw = Raw::connect(&relay).await;
        raw.send(Frame::Hello(Hello { token: token.into(), ..hello(1) })).await;
        let away = raw.sent_away(GoAwayReason::Unauthorized).await;
        assert!(away.message.contains("hello.token"), "{}", away.message);
    }
    let config = Config {
        id_seed: [1; 32],
        resource: Vec::new(),
        token: "sesame".into(),
        queue_updates: 10,
        queue_bytes: 1000,
        when_full: WhenFull::DropNewest,
    };
    let mut session = Session::with(config);
    session.connect(&relay).await;
    session.write("n", "1");
    session.settled().await;
    assert_eq!(session.emitter.stats().acknowledged, 1);
}

#[tokio::test]
async fn a_goodbye_right_behind_updates_waits_for_them() {
    let relay = Relay::start().await;
    let mut bus = Subscriber::connect(&relay, &["atom"]).await;
    let (mut raw, _) = Raw::welcomed(&relay, 1).await;
    raw.send(batch(0, 100)).await;
    raw.send(Frame::Bye(Bye { next_seq: 100 })).await;
    assert_eq!(raw.acknowledgement().await.next_seq, 100);
    assert_eq!(raw.message().await, None);
    assert_eq!(numbers(&bus.take(100).await), (0..100).collect::<Vec<_>>());
    assert_eq!(bus.next().await.json["next_seq"], 100);
}

#[tokio::test]
async fn a_malformed_tracestate_is_dropped_and_its_parent_is_not() {
    let relay = Relay::start().await;
    let mut bus = Subscriber::connect(&relay, &["atom-updates"]).await;
    let (mut raw, _) = Raw::welcomed(&relay, 1).await;
    for (seq, state) in (0..).zip(malformed_states()) {
        let Frame::Batch(mut it) = batch(seq, 1) else { unreachable!() };
        let (trace_id, span_id) = (vec![1; 16].into(), vec![2; 8].into());
        let parent = ParentContext { trace_id, span_id, flags: 3, tracestate: state.clone(), local: false };
        it.updates[0].parent = Some(parent);
        raw.send(Frame::Batch(it)).await;
        let message = bus.next().await;
        assert_eq!(message.trace()[1], "01".repeat(16));
        assert_eq!(message.json.get("tracestate"), None, "{state}");
    }
}

#[tokio::test]
async fn u_0000_does_not_stand_where_postgresql_has_text() {
    let relay = Relay::start().await;
    let mut bus = Subscriber::connect(&relay, &["atom"]).await;
    let (mut raw, _) = Raw::welcomed(&relay, 1).await;
    let Frame::Batch(mut it) = batch(0, 4) else { unreachable!() };
    it.new_keys = vec!["k\0".into()];
    it.updates[0].key = "k\0".into();
    (it.updates[1].key, it.updates[1].key_index) = (String::new(), 0);
    it.updates[2].error = Some(Error { r#type: "Type\0Error".into(), message: "\0".into() });
    it.updates[3].value = Some(r#""\u0000""#.into());
    raw.send(Frame::Batch(it)).await;
    let messages = bus.take(3).await;
    let refused = serde_json::json!([{ "first": 0, "last": 1, "reason": "invalid_key" }]);
    assert_eq!(messages[0].json["lost"], refused);
    assert_eq!(messages[1].json["error"], "Type\u{fffd}Error");
    assert_eq!(messages[2].json["value"], "\0", "a value is the browser's own");
}

#[tokio::test]
async fn a_value_or_a_write_may_fail() {
    let relay = Relay::start().await;
    let mut bus = Subscriber::connect(&relay, &["atom-updates"]).await;
    let mut session = Session::connected(&relay, 1).await;
    let update = NewUpdate {
        key: Key::Inline("cart"),
        start: now_us(),
        duration: 5,
        value: None,
        altered: false,
        error: Some(("TypeError", "cart is not iterable")),
        parent: None,
        position: 0,
    };
    session.push(&update);
    session.settled().await;
    let message = bus.next().await;
    assert_eq!((message.json.get("value"), &message.json["omitted"]), (None, &"value".into()));
    assert_eq!(message.json["error"], "TypeError");
}

#[tokio::test]
async fn a_value_that_lacks_parts_says_so() {
    let relay = Relay::start().await;
    let mut bus = Subscriber::connect(&relay, &["atom-updates"]).await;
    let (mut raw, _) = Raw::welcomed(&relay, 1).await;
    let Frame::Batch(mut it) = batch(0, 2) else { unreachable!() };
    it.updates[0].omitted = Omitted::Parts.into();
    raw.send(Frame::Batch(it)).await;
    let [altered, whole] = &bus.take(2).await[..] else { unreachable!() };
    assert_eq!((altered.json.get("value").is_some(), &altered.json["omitted"]), (true, &"parts".into()));
    assert_eq!(whole.json.get("omitted"), None);
}

#[tokio::test]
async fn an_update_that_is_wrong_in_itself_is_refused_alone() {
    let relay = Relay::start().await;
    let mut bus = Subscriber::connect(&relay, &["atom-updates"]).await;
    let (mut raw, _) = Raw::welcomed(&relay, 1).await;
    let Frame::Batch(mut it) = batch(0, 3) else { unreachable!() };
    it.updates[1].value = Some("{".into());
    raw.send(Frame::Batch(it)).await;
    let ack = raw.acknowledgement().await;
    assert_eq!(ack.next_seq, 3);
    let [rejected] = &ack.rejected[..] else { panic!("{:?}", ack.rejected) };
    assert_eq!((rejected.first, rejected.last, rejected.field.as_str()), (1, 1, "update.value"));
    assert_eq!(rejected.reason(), RejectReason::InvalidJson);
    assert_eq!(numbers(&bus.take(2).await), [0, 2]);
    assert_eq!(relay.metric(r#"updates_dropped_total{reason="invalid_json"}"#).await, 1);
    relay.balances().await;
}

#[tokio::test]
async fn a_client_hears_of_every_refusal_however_many() {
    let relay = Relay::start().await;
    let (mut raw, _) = Raw::welcomed(&relay, 1).await;
    for part in 0..4 {
        let Frame::Batch(mut it) = batch(part * 1024, 1024) else { unreachable!() };
        // No two neighbours for the same reason: each takes a range of its own.
        for (number, update) in it.updates.iter_mut().enumerate() {
            match number % 2 {
                0 => update.value = Some("{".into()),
                _ => update.key.clear(),
            }
        }
        raw.send(Frame::Batch(it)).await;
    }
    let mut refused = Vec::new();
    while refused.len() < 4096 {
        refused.extend(raw.acknowledgement().await.rejected.iter().map(|it| (it.first, it.last)));
    }
    assert!(refused.into_iter().eq((0..4096).map(|seq| (seq, seq))));
    assert_eq!(relay.metric(r#"updates_dropped_total{reason="invalid_key"}"#).await, 2048);
}

#[tokio::test]
async fn both_contracts_share_one_port() {
    let relay = Relay::start().await;
    let plain = Plain::connect_to(&relay, "/v1/stream").await;
    let (raw, _) = Raw::welcomed(&relay, 1).await;
    relay.reaches("connections", 2).await;
    drop((plain, raw));
    relay.settles("connections", |open| open == 0).await;
}

//! The ledger topic: with it, every number is a message, a loss with a place and a reason, or still open.

use crate::sessions::batch;
use crate::support::{Message, Plain, Raw, Relay, Session, Setup, Subscriber, body, hello, post, post_many};
use atomwire_wire::LostReason;
use atomwire_wire::proto::client_frame::Frame;
use atomwire_wire::proto::{self, Bye, Hello, LostRange};
use serde_json::{Value, json};

fn from(relay: &Relay, seq: u64) -> Value {
    json!({ "id": relay.id, "seq": seq })
}

/// The `Hello` of session number `id`, whose client says that everything below `first_unacked_seq` is settled.
fn settled_below(id: u8, first_unacked_seq: u64) -> Hello {
    Hello { first_unacked_seq, ..hello(id) }
}

#[tokio::test]
async fn what_a_browser_lost_and_the_end_of_its_session() {
    let relay = Relay::start().await;
    let mut ledger = Subscriber::connect(&relay, &["atomwire.ledger"]).await;
    let mut session = Session::connected(&relay, 1).await;
    session.write("n", "1");
    session.emitter.lose(3, LostReason::QueueFull);
    session.emitter.lose(1, LostReason::TooLarge);
    session.write("n", "1");
    session.settled().await;
    session.emitter.end();
    session.run().await;
    assert_eq!(session.sent_away, None);

    let session = crate::support::session(1);
    let lost = ledger.next().await;
    let ranges = json!([
        { "first": 1, "last": 3, "reason": "queue_full" },
        { "first": 4, "last": 4, "reason": "too_large" },
    ]);
    let expected =
        json!({ "session": session, "lost": ranges, "place": "browser", "relay": from(&relay, 0) });
    assert_eq!(lost.json, expected);
    let end = json!({
        "session": session, "end": true, "next_seq": 6, "reason": "closed", "relay": from(&relay, 1),
    });
    assert_eq!(ledger.next().await.json, end);
    assert_eq!(relay.metric(r#"client_updates_lost_total{reason="queue_full"}"#).await, 3);
    relay.settles("sessions", |kept| kept == 0).await;
}

#[tokio::test]
async fn what_the_relay_refused_is_a_loss_with_its_numbers() {
    let relay = Relay::start().await;
    let mut bus = Subscriber::connect(&relay, &["atom"]).await;
    let (mut raw, _) = Raw::welcomed(&relay, 1).await;
    let Frame::Batch(mut it) = batch(0, 10) else { unreachable!() };
    it.updates[2..5].iter_mut().for_each(|bad| bad.value = Some("{".into()));
    it.updates[5].key = "k".repeat(257);
    it.updates[9].value = Some(format!("\"{}\"", "x".repeat(256 << 10)).into());
    it.lost = vec![LostRange { first: 10, last: 11, reason: LostReason::PageClosed as i32 }];
    raw.send(Frame::Batch(it)).await;
    raw.send(Frame::Bye(Bye { next_seq: 12 })).await;

    // 2 losses, 5 updates, 1 end.
    let messages = bus.take(8).await;
    let session = crate::support::session(1);
    let lost = |place, ranges, seq| json!({ "session": session, "lost": ranges, "place": place, "relay": from(&relay, seq) });
    let of_browser = json!([{ "first": 10, "last": 11, "reason": "page_closed" }]);
    assert_eq!(messages[0].json, lost("browser", of_browser, 0));
    let of_relay = json!([
        { "first": 2, "last": 4, "reason": "invalid_json" },
        { "first": 5, "last": 5, "reason": "invalid_key" },
        { "first": 9, "last": 9, "reason": "too_large" },
    ]);
    assert_eq!(messages[1].json, lost("relay", of_relay, 1));
    assert!(messages[2..7].iter().map(Message::seq).eq([0, 1, 6, 7, 8]));
    assert_eq!(messages[7].json["next_seq"], 12);
    assert_eq!(relay.metric(r#"updates_dropped_total{reason="invalid_json"}"#).await, 3);
    relay.balances().await;
}

/// What a page says for an earlier one that died with 12 updates, of which it knew 5 to be settled.
fn speaks_for_the_dead() -> Vec<Frame> {
    let lost = vec![LostRange { first: 5, last: 11, reason: LostReason::PageKilled as i32 }];
    vec![
        Frame::Hello(settled_below(1, 5)),
        Frame::Batch(proto::Batch { lost, ..proto::Batch::default() }),
        Frame::Bye(Bye { next_seq: 12 }),
    ]
}

#[tokio::test]
async fn a_page_speaks_for_one_that_died() {
    let relay = Relay::start().await;
    let mut bus = Subscriber::connect(&relay, &["atom"]).await;
    let (mut dying, _) = Raw::welcomed(&relay, 1).await;
    dying.send(batch(0, 7)).await;
    assert_eq!(dying.acknowledgement().await.next_seq, 7);
    drop(dying);
    let answer = post(relay.listen, "/v1/batch", &body(speaks_for_the_dead())).await;
    assert_eq!(answer.0, 200);
    let messages = bus.take(9).await;
    assert!(messages[..7].iter().map(Message::seq).eq(0..7));
    // What the relay has taken is no loss, whatever the note says.
    let lost = json!([{ "first": 7, "last": 11, "reason": "page_killed" }]);
    assert_eq!((&messages[7].json["lost"], &messages[7].json["place"]), (&lost, &json!("browser")));
    assert_eq!((&messages[8].json["end"], &messages[8].json["next_seq"]), (&json!(true), &json!(12)));
    assert_eq!(relay.metric(r#"client_updates_lost_total{reason="page_killed"}"#).await, 5);
    relay.balances().await;
}

#[tokio::test]
async fn a_last_request_may_come_when_the_next_page_has_closed_the_session() {
    let relay = Relay::start().await;
    let mut bus = Subscriber::connect(&relay, &["atom"]).await;
    post(relay.listen, "/v1/batch", &body(speaks_for_the_dead())).await;
    let late = body(vec![Frame::Hello(settled_below(1, 5)), batch(5, 4)]);
    assert_eq!(post(relay.listen, "/v1/batch", &late).await.0, 200);
    let messages = bus.take(8).await;
    let ledger = |at: usize| &messages[at].json;
    assert_eq!((&ledger(0)["start"], &ledger(0)["next_seq"]), (&json!(true), &json!(5)));
    assert_eq!((&ledger(1)["lost"][0]["first"], &ledger(1)["lost"][0]["last"]), (&json!(5), &json!(11)));
    assert_eq!((&ledger(2)["end"], &ledger(2)["next_seq"]), (&json!(true), &json!(12)));
    // A row beats a loss: consumers get both, and know that from the number.
    assert_eq!((&ledger(3)["start"], &ledger(3)["next_seq"]), (&json!(true), &json!(5)));
    assert!(messages[4..].iter().map(Message::seq).eq(5..9));
    relay.balances().await;
}

#[tokio::test]
async fn a_refusal_is_announced_once() {
    let relay = Relay::start().await;
    let mut ledger = Subscriber::connect(&relay, &["atomwire.ledger"]).await;
    let Frame::Batch(mut it) = batch(0, 2) else { unreachable!() };
    it.updates[0].key.clear();
    it.lost = vec![LostRange { first: 2, last: 3, reason: 1 }];
    for _ in 0..2 {
        let (mut raw, _) = Raw::welcomed(&relay, 1).await;
        raw.send(Frame::Batch(it.clone())).await;
        // Answers come in the order of what they answer.
        raw.ping().await;
    }
    let (mut raw, _) = Raw::welcomed(&relay, 1).await;
    raw.send(Frame::Bye(Bye { next_seq: 4 })).await;
    let messages = ledger.take(3).await;
    assert_eq!(
        (&messages[0].json["place"], &messages[1].json["place"]),
        (&json!("browser"), &json!("relay"))
    );
    assert_eq!(messages[2].json["end"], true);
    assert_eq!(relay.metric("updates_duplicate_total").await, 2);
}

#[tokio::test]
async fn a_session_of_another_relay_starts_where_its_client_says() {
    let (first, second) = (Relay::start().await, Relay::start().await);
    let mut bus = Subscriber::connect(&second, &["atom"]).await;
    let mut session = Session::connected(&first, 1).await;
    for _ in 0..13 {
        session.write("n", "1");
    }
    session.settled().await;
    session.disconnect();
    session.connect(&second).await;
    session.write("n", "1");
    session.settled().await;
    let start = json!({ "session": crate::support::session(1), "start": true, "next_seq": 13, "relay": from(&second, 0) });
    assert_eq!(bus.next().await.json, start);
    assert_eq!(bus.next().await.seq(), 13);

    // Back and forth: here again, and everything since is settled, too.
    session.disconnect();
    session.connect(&first).await;
    session.write("n", "1");
    session.settled().await;
    session.disconnect();
    session.connect(&second).await;
    session.emitter.end();
    session.run().await;
    let messages = bus.take(2).await;
    assert_eq!((&messages[0].json["start"], &messages[0].json["next_seq"]), (&json!(true), &json!(15)));
    assert_eq!((&messages[1].json["end"], &messages[1].json["next_seq"]), (&json!(true), &json!(15)));
}

#[tokio::test]
async fn a_session_that_begins_here_or_is_known_has_no_start() {
    let relay = Relay::start().await;
    let mut ledger = Subscriber::connect(&relay, &["atomwire.ledger"]).await;
    let mut session = Session::connected(&relay, 1).await;
    for _ in 0..3 {
        session.write("n", "1");
        session.settled().await;
        session.disconnect();
        session.connect(&relay).await;
    }
    session.emitter.end();
    session.run().await;
    let first = ledger.next().await;
    assert_eq!((&first.json["end"], &first.json["next_seq"]), (&json!(true), &json!(3)));
}

#[tokio::test]
async fn a_claim_beyond_what_the_relay_has_is_on_record() {
    let relay = Relay::start().await;
    let mut ledger = Subscriber::connect(&relay, &["atomwire.ledger"]).await;
    let (mut raw, _) = Raw::welcomed(&relay, 1).await;
    raw.send(batch(0, 5)).await;
    assert_eq!(raw.acknowledgement().await.next_seq, 5);
    let end = (1 << 53) - 1;
    let (mut raw, next_seq) = Raw::welcomed_with(&relay, settled_below(1, end)).await;
    assert_eq!(next_seq, end);
    // There is one number left.
    raw.send(Frame::Bye(Bye { next_seq: end })).await;
    assert_eq!(raw.message().await, None);
    let messages = ledger.take(2).await;
    assert_eq!((&messages[0].json["start"], &messages[0].json["next_seq"]), (&json!(true), &json!(end)));
    assert_eq!((&messages[1].json["end"], &messages[1].json["next_seq"]), (&json!(true), &json!(end)));
}

#[tokio::test]
async fn a_session_that_was_forgotten_may_come_back() {
    let relay = Relay::start().await;
    let mut ledger = Subscriber::connect(&relay, &["atomwire.ledger"]).await;
    let (mut raw, _) = Raw::welcomed(&relay, 1).await;
    raw.send(batch(0, 3)).await;
    assert_eq!(raw.acknowledgement().await.next_seq, 3);
    drop(raw);
    relay.settles("connections", |open| open == 0).await;
    // As many as the relay keeps: it is the oldest.
    let others = (0..16_384_u64).map(|number| {
        let id_seed = [&[0xff; 24], &number.to_be_bytes()[..]].concat().into();
        vec![Frame::Hello(Hello { id_seed, ..hello(2) }), batch(0, 1)]
    });
    post_many(relay.listen, "/v1/batch", others).await;
    let end = json!({
        "session": crate::support::session(1), "end": true, "next_seq": 3, "reason": "forgotten",
        "relay": from(&relay, 0),
    });
    assert_eq!(ledger.next().await.json, end);
    assert_eq!(relay.metric("sessions").await, 16_384);

    let (mut raw, next_seq) = Raw::welcomed_with(&relay, settled_below(1, 3)).await;
    assert_eq!(next_seq, 3);
    raw.send(batch(3, 1)).await;
    let start = ledger.next().await.json;
    assert_eq!((&start["start"], &start["next_seq"]), (&json!(true), &json!(3)));
}

#[tokio::test]
async fn who_says_nothing_leaves_nothing() {
    let relay = Relay::start().await;
    let mut ledger = Subscriber::connect(&relay, &["atomwire.ledger"]).await;
    Plain::connect(&relay).await.close().await;
    Raw::welcomed_with(&relay, settled_below(1, 7)).await;
    let bye = || Frame::Bye(Bye { next_seq: 0 });
    let (mut raw, _) = Raw::welcomed(&relay, 2).await;
    raw.send(bye()).await;
    assert_eq!(raw.message().await, None);
    for frames in [vec![Frame::Hello(settled_below(3, 7))], vec![Frame::Hello(hello(4)), bye()]] {
        assert_eq!(post(relay.listen, "/v1/batch", &body(frames)).await.0, 200);
    }
    relay.settles("sessions", |known| known == 0).await;
    relay.settles("connections", |open| open == 0).await;
    let (mut raw, _) = Raw::welcomed(&relay, 5).await;
    raw.send(batch(0, 1)).await;
    raw.send(Frame::Bye(Bye { next_seq: 1 })).await;
    assert_eq!(ledger.next().await.json["session"], crate::support::session(5));
}

/// `count` ranges of one update each from `first` on, each for another reason than its neighbours.
pub(crate) fn ranges(first: u64, count: u64) -> Vec<LostRange> {
    let reason = |seq: u64| [LostReason::QueueFull, LostReason::TooLarge][seq as usize % 2] as i32;
    (first..first + count).map(|seq| LostRange { first: seq, last: seq, reason: reason(seq) }).collect()
}

/// The numbers that a message of the ledger calls lost, range for range.
fn lost(message: &Message) -> Vec<(u64, u64)> {
    let ranges = message.json["lost"].as_array().expect("losses");
    ranges.iter().map(|it| (it["first"].as_u64().unwrap(), it["last"].as_u64().unwrap())).collect()
}

#[tokio::test]
async fn a_session_cannot_fill_the_ledger() {
    let relay = Relay::start().await;
    let mut ledger = Subscriber::connect(&relay, &["atomwire.ledger"]).await;
    let end = 400 * 256;
    // Half of it by one connection, half by another.
    for half in [0, end / 2] {
        let (mut raw, next_seq) = Raw::welcomed(&relay, 1).await;
        assert_eq!(next_seq, half);
        for first in (half..half + end / 2).step_by(256) {
            let lost = ranges(first, 256);
            raw.send(Frame::Batch(proto::Batch { lost, ..proto::Batch::default() })).await;
        }
        if half > 0 {
            raw.send(Frame::Bye(Bye { next_seq: end })).await;
            while raw.message().await.is_some() {}
        } else {
            raw.ping().await;
        }
    }
    let (mut told, mut next) = (0, 0);
    loop {
        let message = ledger.next().await;
        if message.json["end"] == true {
            break assert_eq!(message.json["next_seq"], end);
        }
        for (first, last) in lost(&message) {
            assert_eq!(first, next, "no number is missing, or told twice");
            next = last + 1;
            told += 1;
        }
    }
    assert_eq!(next, end);
    // Two batches as they came, and the rest in a few.
    assert!(told < 1024, "{told}");
    for reason in ["queue_full", "too_large"] {
        let series = format!(r#"client_updates_lost_total{{reason="{reason}"}}"#);
        assert_eq!(relay.metric(&series).await, end as i64 / 2, "counted by their own reasons");
    }
}

#[tokio::test]
async fn losses_that_wait_hold_up_what_comes_after_them_and_no_more() {
    let relay = Relay::start().await;
    let mut ledger = Subscriber::connect(&relay, &["atomwire.ledger"]).await;
    let (mut raw, _) = Raw::welcomed(&relay, 1).await;
    // Three times what a session may tell at once, and nothing that could be merged.
    let end = 2 * 768;
    for first in (0..end).step_by(2) {
        let Frame::Batch(it) = batch(first, 1) else { unreachable!() };
        raw.send(Frame::Batch(proto::Batch { lost: ranges(first + 1, 1), ..it })).await;
    }
    relay.reaches("updates_published_total", 768).await;
    let mut told = Vec::new();
    while told.len() < 768 {
        told.extend(lost(&ledger.next().await));
    }
    assert!(told.into_iter().eq((1..end).step_by(2).map(|seq| (seq, seq))));
    while raw.acknowledgement().await.next_seq < end {}
    relay.balances().await;
}

#[tokio::test]
async fn the_last_message_of_a_relay_says_how_many_there_were() {
    let mut relay = Relay::start().await;
    let mut bus = Subscriber::connect(&relay, &["atom"]).await;
    let mut plain = Plain::connect(&relay).await;
    let mut session = Session::connected(&relay, 1).await;
    session.write("n", "1");
    session.settled().await;
    plain.send(r#"{"key":"n","value":1}"#).await;
    assert!(bus.take(2).await.iter().map(Message::relay_seq).eq(0..2));
    relay.terminate().await;
    session.run().await;
    plain.goodbye().await;
    assert!(relay.ended().await.success(), "{}", relay.log());
    let messages = bus.take(2).await;
    assert_eq!(messages[0].json["reason"], "closed", "what the drain ends comes first");
    let end = json!({ "end": true, "topics": { "atom-updates": 2 }, "relay": from(&relay, 1) });
    assert_eq!((messages[1].topic.as_str(), &messages[1].json), ("atomwire.ledger", &end));
}

#[tokio::test]
async fn a_relay_that_published_nothing_says_so() {
    let mut relay = Relay::start().await;
    let mut ledger = Subscriber::connect(&relay, &["atomwire.ledger"]).await;
    relay.terminate().await;
    let end = json!({ "end": true, "topics": {}, "relay": from(&relay, 0) });
    assert_eq!(ledger.next().await.json, end);
    assert!(relay.ended().await.success(), "{}", relay.log());
}

#[tokio::test]
async fn the_last_message_names_a_bounded_number_of_topics() {
    let mut relay = Setup::new().flags(&["--topic", "updates.{key}"]).start().await;
    let mut ledger = Subscriber::connect(&relay, &["atomwire.ledger"]).await;
    let mut session = Session::connected(&relay, 1).await;
    for number in 0..1_500 {
        session.write(&format!("\"{number}\""), "1");
    }
    session.write("\"1499\"", "1");
    session.settled().await;
    relay.terminate().await;
    session.run().await;
    let end = ledger.next().await.json;
    let topics = end["topics"].as_object().unwrap();
    assert_eq!(topics.len(), 1_000);
    assert_eq!((&topics["updates.\"1499\""], &topics["updates.\"500\""]), (&json!(2), &json!(1)));
    assert!(relay.ended().await.success(), "{}", relay.log());
}

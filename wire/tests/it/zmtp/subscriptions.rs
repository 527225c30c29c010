//! A peer's subscriptions are a set of prefixes.

use atomwire_wire::zmtp::Subscriptions;
use proptest::prelude::*;
use std::collections::HashSet;

#[derive(Debug, Clone)]
enum Step {
    Insert(Vec<u8>),
    Remove(Vec<u8>),
    Match(Vec<u8>),
}

/// Few letters and short words, so that they are often each other's prefixes; one letter has all bits set.
fn word() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(prop::sample::select(vec![0, b'a', b'b', 0xff]), 0..6)
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        word().prop_map(Step::Insert),
        word().prop_map(Step::Remove),
        word().prop_map(Step::Match),
        word().prop_map(Step::Match),
    ]
}

#[test]
fn a_prefix_of_a_prefix_goes_on_alone() {
    let mut subscriptions = Subscriptions::default();
    assert!(!subscriptions.matches(b"") && subscriptions.is_empty());
    assert!(subscriptions.insert(b"cart") && subscriptions.insert(b"cart.items"));
    assert!(!subscriptions.insert(b"cart"), "a set");
    assert!(subscriptions.matches(b"cart.total") && !subscriptions.matches(b"car"));
    assert!(subscriptions.remove(b"cart") && !subscriptions.remove(b"cart"));
    assert!(!subscriptions.matches(b"cart.total") && subscriptions.matches(b"cart.items[0]"));
    assert!(subscriptions.insert(b"") && subscriptions.matches_all());
    assert!(subscriptions.matches(b"") && subscriptions.matches(b"anything"));
    assert_eq!(subscriptions.len(), 2);
}

proptest! {
    #[test]
    fn as_a_naive_set(steps in prop::collection::vec(step(), 0..60)) {
        let mut subscriptions = Subscriptions::default();
        let mut model = HashSet::new();
        for step in steps {
            match step {
                Step::Insert(prefix) => {
                    prop_assert_eq!(subscriptions.insert(&prefix), model.insert(prefix));
                }
                Step::Remove(prefix) => {
                    prop_assert_eq!(subscriptions.remove(&prefix), model.remove(&prefix));
                }
                Step::Match(topic) => {
                    let expected = model.iter().any(|prefix| topic.starts_with(prefix));
                    prop_assert_eq!(subscriptions.matches(&topic), expected);
                }
            }
            prop_assert_eq!(subscriptions.len(), model.len());
            prop_assert_eq!(subscriptions.is_empty(), model.is_empty());
            prop_assert_eq!(subscriptions.matches_all(), model.contains(&[][..]));
        }
    }
}

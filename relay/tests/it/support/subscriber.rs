//! A consumer, written from the bus contract alone, on a library that is not the relay's.

use super::{Relay, within};
use serde_json::Value;
use zeromq::{Socket as _, SocketRecv as _, SubSocket};

pub(crate) struct Subscriber(SubSocket);

/// One message of the bus.
#[derive(Debug)]
pub(crate) struct Message {
    pub(crate) topic: String,
    pub(crate) text: String,
    pub(crate) json: Value,
}

impl Subscriber {
    /// Connects, and waits until the relay knows of it.
    pub(crate) async fn connect(relay: &Relay, topics: &[&str]) -> Self {
        let before = relay.metric("bus_subscriptions").await;
        let mut socket = SubSocket::new();
        within("a connection to the bus", socket.connect(&relay.bus)).await.unwrap();
        for topic in topics {
            socket.subscribe(topic).await.unwrap();
        }
        relay.reaches("bus_subscriptions", before + topics.len() as i64).await;
        Self(socket)
    }

    pub(crate) async fn next(&mut self) -> Message {
        let parts = within("a message", self.0.recv()).await.unwrap().into_vec();
        Message::of(parts.iter().map(|part| part.to_vec()).collect())
    }

    pub(crate) async fn take(&mut self, count: usize) -> Vec<Message> {
        let mut messages = Vec::with_capacity(count);
        while messages.len() < count {
            messages.push(self.next().await);
        }
        messages
    }
}

impl Message {
    pub(crate) fn of(parts: Vec<Vec<u8>>) -> Self {
        let [topic, payload] = parts.try_into().expect("two parts");
        let text = String::from_utf8(payload).expect("UTF-8");
        let json = serde_json::from_str(&text).expect("JSON");
        Self { topic: String::from_utf8(topic).expect("UTF-8"), text, json }
    }

    pub(crate) fn seq(&self) -> u64 {
        self.json["seq"].as_u64().expect("a number")
    }

    pub(crate) fn relay_seq(&self) -> u64 {
        self.json["relay"]["seq"].as_u64().expect("a number")
    }

    /// The parts of its `traceparent`: version, trace id, span id, flags.
    pub(crate) fn trace(&self) -> [&str; 4] {
        let parts: Vec<_> = self.json["traceparent"].as_str().expect("a string").split('-').collect();
        parts.try_into().expect("four parts")
    }
}

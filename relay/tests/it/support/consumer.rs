//! A consumer that reads with a cursor, on libzmq, written from `wire/PROTOCOL.md` alone.

use super::{Message, Relay};
use serde_json::{Value, json};

pub(crate) struct Consumer {
    pub(crate) socket: zmq::Socket,
    name: String,
}

impl Consumer {
    pub(crate) fn connect(relay: &Relay, name: &str) -> Self {
        let socket = zmq::Context::new().socket(zmq::DEALER).unwrap();
        socket.set_rcvtimeo(15_000).unwrap();
        socket.set_linger(0).unwrap();
        // What it has not read stays the relay's matter.
        socket.set_rcvhwm(1).unwrap();
        socket.set_rcvbuf(4096).unwrap();
        socket.connect(&relay.replay).unwrap();
        Self { socket, name: name.to_owned() }
    }

    pub(crate) fn send(&self, request: &str) {
        self.socket.send(request, 0).unwrap();
    }

    /// Asks for what comes from a position on.
    pub(crate) fn ask(&self, relay: &str, from: u64, topics: &[&str]) {
        let request = json!({ "consumer": self.name, "relay": relay, "from": from, "topics": topics });
        self.send(&request.to_string());
    }

    /// An answer: its head, and its messages.
    pub(crate) fn answer(&self) -> (Value, Vec<Message>) {
        let head = self.head();
        let count = head["messages"].as_u64().unwrap_or_else(|| panic!("{head}"));
        let messages = (0..count).map(|_| Message::of(self.receive()));
        (head.clone(), messages.collect())
    }

    pub(crate) fn read(&self, relay: &str, from: u64, topics: &[&str]) -> (Value, Vec<Message>) {
        self.ask(relay, from, topics);
        self.answer()
    }

    /// What the relay says to a request that it does not take.
    pub(crate) fn error(&self) -> String {
        self.head()["error"].as_str().expect("an error").to_owned()
    }

    pub(crate) fn head(&self) -> Value {
        let [head] = self.receive().try_into().expect("one part");
        serde_json::from_slice(&head).expect("JSON")
    }

    /// The first head that is not of an answer without messages.
    pub(crate) fn head_but_empty(&self) -> Value {
        loop {
            let head = self.head();
            if head["messages"] != 0 {
                return head;
            }
        }
    }

    fn receive(&self) -> Vec<Vec<u8>> {
        loop {
            match self.socket.recv_multipart(0) {
                // Another test's process has ended.
                Err(zmq::Error::EINTR) => {}
                parts => return parts.expect("an answer"),
            }
        }
    }
}

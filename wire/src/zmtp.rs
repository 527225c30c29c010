//! The bus's wire protocol, [ZMTP 3.1](https://rfc.zeromq.org/spec/37/), at the relay's end: one [`Peer`] a connection.
//!
//! ```text
//!   socket ── receive ──▶ Event::Ready, Subscribed, Cancelled, Message
//!     ▲                     │
//!     └──── Event::Send ◀───┘   and messages: frame_head, then the body, part by part
//! ```
//! Peers of every later version are spoken to as 3.1, those of 3.0 as well: what differs is how they subscribe, and
//! both ways are understood. The mechanism is NULL.

mod command;
mod fault;
mod frame;
mod greeting;
mod subscriptions;

pub use fault::Fault;
pub use frame::{Frame, Frames, frame_head, frames};
pub use subscriptions::Subscriptions;

use crate::Micros;
use bytes::Bytes;
use frame::Head;

/// What the relay is on a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// XPUB: peers are SUB and XSUB.
    Publisher,
    /// ROUTER: peers are REQ, DEALER and ROUTER.
    Router,
}

impl Role {
    /// The `Socket-Type` that it announces.
    pub fn socket_type(self) -> &'static str {
        match self {
            Self::Publisher => "XPUB",
            Self::Router => "ROUTER",
        }
    }

    fn takes(self, socket_type: &[u8]) -> bool {
        match self {
            Self::Publisher => matches!(socket_type, b"SUB" | b"XSUB"),
            Self::Router => matches!(socket_type, b"REQ" | b"DEALER" | b"ROUTER"),
        }
    }
}

/// What a peer may say, and how much. Nothing is allocated for what has not come: a connection holds at the most a
/// frame and a message of `message_bytes`, and `subscriptions` topics of that length.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Bytes of one message, all its parts together, or of one command. A READY with the longest identity is 296.
    pub message_bytes: usize,
    /// Parts of one message.
    pub message_parts: usize,
    /// Subscriptions that a peer may have at a time.
    pub subscriptions: usize,
}

/// What received bytes mean.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Send this, whole frames. It is never longer than what it answers, but for the READY.
    Send(Bytes),
    /// The handshake is complete: messages may be sent.
    Ready,
    /// To a publisher: the peer wants messages that begin with these bytes, and did not before.
    Subscribed(Box<[u8]>),
    /// To a publisher: it wants them no longer.
    Cancelled(Box<[u8]>),
    /// To a router: the parts of a message. A REQ's first is empty, and so must be the answer's.
    Message(Vec<Bytes>),
}

/// The relay's end of one connection.
#[derive(Debug)]
pub struct Peer {
    role: Role,
    limits: Limits,
    stage: Stage,
    /// What has come of the greeting, or of one frame.
    partial: Vec<u8>,
    /// What has come of a message, and its bytes.
    parts: Vec<Bytes>,
    parts_bytes: usize,
    subscriptions: Subscriptions,
    ttl: Option<Micros>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Greeting,
    Handshake,
    Traffic,
}

impl Peer {
    /// A connection that was just accepted.
    pub fn new(role: Role, limits: Limits) -> Self {
        Self {
            role,
            limits,
            stage: Stage::Greeting,
            partial: Vec::new(),
            parts: Vec::new(),
            parts_bytes: 0,
            subscriptions: Subscriptions::default(),
            ttl: None,
        }
    }

    /// What to send as soon as the connection is open: 64 bytes.
    pub fn greeting(&self) -> &'static [u8] {
        &greeting::OURS
    }

    /// Whether the handshake is complete: messages may be sent.
    pub fn is_ready(&self) -> bool {
        self.stage == Stage::Traffic
    }

    /// What the peer has subscribed to.
    pub fn subscriptions(&self) -> &Subscriptions {
        &self.subscriptions
    }

    /// The silence after which the peer, by its last PING, may be taken for dead: up to 6553.5 seconds.
    pub fn ttl(&self) -> Option<Micros> {
        self.ttl
    }

    /// Takes received bytes, however they are cut; what they mean is appended to `events`, in order.
    ///
    /// # Errors
    /// A [`Fault`] ends the connection, after [`Fault::farewell`] is sent. What came before it is in `events`; what
    /// comes after it is not read, and answered by the same.
    pub fn receive(&mut self, mut bytes: &[u8], events: &mut Vec<Event>) -> Result<(), Fault> {
        loop {
            let missing = self.expected()? - self.partial.len();
            if missing == 0 {
                let whole = core::mem::take(&mut self.partial);
                let taken = self.take(&whole, events);
                self.partial = whole;
                // A fault leaves what it is in, and is met again.
                taken?;
                self.partial.clear();
            } else if bytes.is_empty() {
                return Ok(());
            } else {
                let (next, rest) = bytes.split_at(missing.min(bytes.len()));
                self.partial.extend_from_slice(next);
                bytes = rest;
            }
        }
    }

    /// How many bytes `partial` must have before more can be said of it: as many as it has when it is whole.
    fn expected(&self) -> Result<usize, Fault> {
        if self.stage == Stage::Greeting {
            return greeting::check(&self.partial).map(|()| greeting::BYTES);
        }
        let Some(head) = Head::read(&self.partial)? else { return Ok(self.partial.len() + 1) };
        let (field, before) = if head.command { ("command", 0) } else { ("message", self.parts_bytes) };
        let body = limit(field, self.limits.message_bytes, head.body.saturating_add(before as u64))? - before;
        Ok(head.bytes + body)
    }

    /// Takes a whole greeting or frame.
    fn take(&mut self, whole: &[u8], events: &mut Vec<Event>) -> Result<(), Fault> {
        if self.stage == Stage::Greeting {
            self.stage = Stage::Handshake;
            return Ok(());
        }
        let head = Head::read(whole)?.expect("`expected` has read it");
        let body = &whole[head.bytes..];
        match (self.stage, head.command) {
            (Stage::Traffic, true) => self.command(body, events),
            (Stage::Traffic, false) => self.part(body, head.more, events),
            (_, true) => self.shake_hands(body, events),
            (_, false) => Err(Fault::BeforeReady),
        }
    }

    fn shake_hands(&mut self, body: &[u8], events: &mut Vec<Event>) -> Result<(), Fault> {
        let metadata = match command::read(body)? {
            (b"READY", metadata) => metadata,
            (b"ERROR", reason) => return Err(command::refused(reason)),
            _ => return Err(Fault::BeforeReady),
        };
        if let Some(theirs) = command::property(metadata, "Socket-Type")?
            && !self.role.takes(theirs)
        {
            let theirs = theirs.escape_ascii().to_string();
            return Err(Fault::SocketType { ours: self.role.socket_type(), theirs });
        }
        self.stage = Stage::Traffic;
        events.push(Event::Send(command::ready(self.role.socket_type())));
        events.push(Event::Ready);
        Ok(())
    }

    /// A command may come between the parts of a message: libzmq's PING does.
    fn command(&mut self, body: &[u8], events: &mut Vec<Event>) -> Result<(), Fault> {
        match command::read(body)? {
            (b"SUBSCRIBE", topic) => self.subscribe(topic, events)?,
            (b"CANCEL", topic) => self.cancel(topic, events),
            (b"PING", data) => {
                let (ttl, context) = command::ping(data)?;
                self.ttl = ttl;
                events.push(Event::Send(command::write("PONG", context)));
            }
            (b"ERROR", reason) => return Err(command::refused(reason)),
            _ => {}
        }
        Ok(())
    }

    fn part(&mut self, body: &[u8], more: bool, events: &mut Vec<Event>) -> Result<(), Fault> {
        limit("message.parts", self.limits.message_parts, self.parts.len() as u64 + 1)?;
        self.parts.push(Bytes::copy_from_slice(body));
        self.parts_bytes += body.len();
        if more {
            return Ok(());
        }
        self.parts_bytes = 0;
        let parts = core::mem::take(&mut self.parts);
        match (self.role, &parts[..]) {
            (Role::Router, _) => events.push(Event::Message(parts)),
            // A subscription as ZMTP 3.0 has it. Other messages to a publisher are the application's own.
            (Role::Publisher, [part]) => match &part[..] {
                [1, topic @ ..] => self.subscribe(topic, events)?,
                [0, topic @ ..] => self.cancel(topic, events),
                _ => {}
            },
            (Role::Publisher, _) => {}
        }
        Ok(())
    }

    fn subscribe(&mut self, topic: &[u8], events: &mut Vec<Event>) -> Result<(), Fault> {
        if self.role == Role::Router || self.subscriptions.contains(topic) {
            return Ok(());
        }
        limit("subscriptions", self.limits.subscriptions, self.subscriptions.len() as u64 + 1)?;
        self.subscriptions.insert(topic);
        events.push(Event::Subscribed(topic.into()));
        Ok(())
    }

    fn cancel(&mut self, topic: &[u8], events: &mut Vec<Event>) {
        if self.subscriptions.remove(topic) {
            events.push(Event::Cancelled(topic.into()));
        }
    }
}

/// `got`, which is not beyond `limit`.
fn limit(field: &'static str, limit: usize, got: u64) -> Result<usize, Fault> {
    usize::try_from(got).ok().filter(|got| *got <= limit).ok_or(Fault::Limit { field, limit, got })
}

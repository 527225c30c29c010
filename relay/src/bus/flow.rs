//! What required consumers let clients do.

use super::consumers::Lag;
use super::ring::Position;
use crate::config::Acknowledge;
use atomwire_wire::limits;

/// Room in the window for what required consumers are not done with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Room {
    /// Clients get credit.
    Plenty,
    /// Less than a half: clients use up the credit that they have.
    Little,
    /// Less than an eighth: nothing is read from clients.
    None,
}

/// What required consumers let clients do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Flow {
    pub(super) room: Room,
    /// What was published before this position is settled.
    pub(crate) settled: u64,
}

impl Flow {
    /// What a client may have beyond what is settled, unless it has more already.
    pub(crate) fn credit(self) -> u32 {
        if self.room == Room::Plenty { limits::CREDIT } else { 0 }
    }

    /// Whether anything may be read from clients.
    pub(crate) fn has_room(self) -> bool {
        self.room != Room::None
    }

    /// While nobody has confirmed anything.
    pub(crate) fn start(acknowledge: Acknowledge) -> Self {
        let settled = match acknowledge {
            Acknowledge::Taken => u64::MAX,
            Acknowledge::Delivered => 0,
        };
        Self { room: Room::Plenty, settled }
    }

    /// When all required consumers are done with everything before `done`, in a window that ends at `end` and holds
    /// `most` bytes.
    pub(super) fn of(acknowledge: Acknowledge, done: Position, end: Position, most: u64) -> Self {
        let used = end.bytes - done.bytes;
        let room = if used < most / 2 {
            Room::Plenty
        } else if used < most / 8 * 7 {
            Room::Little
        } else {
            Room::None
        };
        let settled = match acknowledge {
            Acknowledge::Taken => u64::MAX,
            Acknowledge::Delivered => done.messages,
        };
        Self { room, settled }
    }

    /// Says why clients wait, or that they do no longer.
    pub(super) fn log(self, behind: impl Iterator<Item = Lag>) {
        match self.room {
            Room::Plenty => tracing::info!("clients have credit again"),
            Room::Little | Room::None => {
                for Lag { consumer, messages, bytes, .. } in behind {
                    let room = if self.room == Room::None { "no" } else { "little" };
                    tracing::warn!(%consumer, messages, bytes, room, "clients wait for a required consumer");
                }
            }
        }
    }
}

//! RFC 6455, section 5.2: of a frame's length, "the minimal number of bytes MUST be used". tungstenite takes any.

/// Follows a client's frames as their bytes come.
#[derive(Debug, Default)]
pub(super) struct Lengths {
    /// A frame's head up to the end of its length, as far as it has come.
    head: [u8; 10],
    come: usize,
    /// Bytes of the frame that are still to come: its mask and its payload.
    rest: u64,
}

impl Lengths {
    /// Takes what comes next; false when a length in it could have been shorter.
    pub(super) fn are_minimal(&mut self, mut bytes: &[u8]) -> bool {
        while !bytes.is_empty() {
            let passed = usize::try_from(self.rest).map_or(bytes.len(), |rest| rest.min(bytes.len()));
            self.rest -= passed as u64;
            bytes = &bytes[passed..];
            let Some((byte, others)) = bytes.split_first() else { break };
            self.head[self.come] = *byte;
            self.come += 1;
            bytes = others;
            let Some((length, least)) = self.length() else { continue };
            if length < least {
                return false;
            }
            let mask = if self.head[1] & 0x80 == 0 { 0 } else { 4 };
            (self.come, self.rest) = (0, length.saturating_add(mask));
        }
        true
    }

    /// The payload's length, once it is there, and the least that is written so.
    fn length(&self) -> Option<(u64, u64)> {
        let (bytes, least) = match self.head[1] & 0x7f {
            _ if self.come < 2 => return None,
            126 => (2, 126),
            127 => (8, 1 << 16),
            length => return Some((length.into(), 0)),
        };
        let length = self.head[2..2 + bytes].iter().fold(0, |sum, byte| (sum << 8) | u64::from(*byte));
        (self.come == 2 + bytes).then_some((length, least))
    }
}

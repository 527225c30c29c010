//! Protobuf's wire format, written by hand: what the browser's half needs and nothing else.
//! (<https://protobuf.dev/programming-guides/encoding/>)

/// Appends fields to a buffer. Default values are the caller's to leave out.
pub(crate) struct Writer<'a>(pub(crate) &'a mut Vec<u8>);

impl Writer<'_> {
    pub(crate) fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    /// A varint field, left out when zero.
    pub(crate) fn uint(&mut self, field: u32, value: u64) {
        if value != 0 {
            self.varint(u64::from(field << 3));
            self.varint(value);
        }
    }

    /// A zigzag varint field, left out when zero.
    pub(crate) fn sint(&mut self, field: u32, value: i64) {
        self.uint(field, zigzag(value));
    }

    /// A length-delimited field, written even when empty.
    pub(crate) fn bytes(&mut self, field: u32, value: &[u8]) {
        self.head(field, value.len());
        self.0.extend_from_slice(value);
    }

    /// A string field, left out when empty.
    pub(crate) fn string(&mut self, field: u32, value: &str) {
        if !value.is_empty() {
            self.bytes(field, value.as_bytes());
        }
    }

    /// The tag and length of a length-delimited field whose content follows.
    pub(crate) fn head(&mut self, field: u32, len: usize) {
        self.varint(u64::from(field << 3 | 2));
        self.varint(len as u64);
    }

    /// A nested message. Its length is not known before it is written, so it is written in place and
    /// moved up by its length's own bytes: messages here are small.
    pub(crate) fn message(&mut self, field: u32, fill: impl FnOnce(&mut Writer<'_>)) {
        self.varint(u64::from(field << 3 | 2));
        let start = self.0.len();
        fill(&mut Writer(self.0));
        let len = self.0.len() - start;
        self.varint(len as u64);
        let head = self.0.len() - start - len;
        self.0[start..].rotate_right(head);
    }
}

pub(crate) fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

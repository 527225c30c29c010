//! Protobuf's wire format, read from memory: one field after the other, up to the end or the first fault.

use super::Machine;
use super::memory::{INPUT, Memory, Text};
use crate::decode::Malformed;

/// Numbers beyond this are taken for this: sums of a few of them do not overflow.
const HUGE: u64 = 1 << 60;

/// Where reading is, and what was read last.
#[derive(Debug)]
pub(super) struct Reader {
    at: usize,
    end: usize,
    /// The first: nothing is read after it.
    pub(super) fault: Option<Malformed>,
    /// The field: its number and wire type, as protobuf packs them…
    pub(super) tag: u64,
    /// …what a varint holds…
    pub(super) value: u64,
    /// …and what a length-delimited field holds.
    pub(super) text: Text,
    /// What `scan` found, by field number.
    pub(super) numbers: [u64; 8],
    pub(super) texts: [Text; 8],
}

impl Reader {
    pub(super) const NEW: Self = Self {
        at: 0,
        end: 0,
        fault: None,
        tag: 0,
        value: 0,
        text: Text { at: 0, len: 0 },
        numbers: [0; 8],
        texts: [Text { at: 0, len: 0 }; 8],
    };

    pub(super) fn fail(&mut self, fault: Malformed) {
        self.at = self.end;
        self.fault = self.fault.or(Some(fault));
    }

    /// What is left of the message.
    pub(super) fn rest(&self) -> Text {
        Text { at: self.at, len: self.end - self.at }
    }

    /// Reads this instead.
    pub(super) fn enter(&mut self, message: Text) {
        (self.at, self.end) = (message.at, message.at + message.len);
    }

    /// Whether the field holds bytes.
    pub(super) fn is_text(&self) -> bool {
        self.tag & 7 == 2
    }
}

impl<M: Memory> Machine<M> {
    #[inline(never)]
    fn read_varint(&mut self) -> u64 {
        let (mut value, mut shift) = (0, 0);
        while self.reader.at < self.reader.end {
            let byte = self.byte_at(self.reader.at);
            self.reader.at += 1;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return value;
            }
            shift += 7;
            if shift > 63 {
                self.reader.fail(Malformed::VarintLong);
                return 0;
            }
        }
        self.reader.fail(Malformed::VarintCut);
        0
    }

    /// Reads the next field; false when there is none.
    #[inline(never)]
    pub(super) fn read_field(&mut self) -> bool {
        if self.reader.at >= self.reader.end {
            return false;
        }
        self.reader.tag = self.read_varint();
        self.reader.value = 0;
        let mut len = 0;
        match self.reader.tag & 7 {
            0 => self.reader.value = self.read_varint().min(HUGE),
            1 => len = 8,
            2 => len = self.read_varint(),
            5 => len = 4,
            _ => self.reader.fail(Malformed::WireType),
        }
        let reader = &mut self.reader;
        if len > (reader.end - reader.at) as u64 {
            reader.fail(Malformed::Length);
        } else {
            reader.text = Text { at: reader.at, len: len as usize };
            reader.at += len as usize;
        }
        reader.fault.is_none()
    }

    /// Goes into the message of the frame at the input; the answer is its field number. There is exactly one. Of
    /// several of one kind protobuf would make one, and with them what was counted in each alone.
    #[inline(never)]
    pub(super) fn read_frame(&mut self, len: usize) -> u64 {
        self.reader.fault = None;
        self.reader.enter(Text { at: INPUT, len });
        if !self.read_field() {
            self.reader.fail(Malformed::Empty);
        }
        let (tag, message) = (self.reader.tag, self.reader.text);
        if self.read_field() {
            self.reader.fail(Malformed::MoreThanOne);
        }
        if tag & 7 != 2 {
            self.reader.fail(Malformed::NoBytes);
        }
        if self.reader.fault.is_none() {
            self.reader.enter(message);
        }
        tag >> 3
    }

    /// Reads the fields of a message by their numbers, where those are below 8: of several of one number the last,
    /// as protobuf has it. A field of another type than it should have is one of a later version.
    #[inline(never)]
    pub(super) fn scan(&mut self, message: Text) {
        self.reader.enter(message);
        self.reader.numbers = [0; 8];
        self.reader.texts = [Text::default(); 8];
        while self.read_field() {
            let number = (self.reader.tag >> 3) as usize;
            if self.reader.is_text() {
                if let Some(text) = self.reader.texts.get_mut(number) {
                    *text = self.reader.text;
                }
            } else if let Some(value) = self.reader.numbers.get_mut(number) {
                *value = self.reader.value;
            }
        }
    }
}

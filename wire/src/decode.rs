//! What can be wrong with a frame, and the relay's look at its shape before prost allocates for it. (The browser's
//! half reads by address: `machine/reader.rs`.)

/// The bytes are not a frame of this protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the message says it")]
#[non_exhaustive]
pub enum Malformed {
    #[error("malformed frame: the frame is empty")]
    Empty = 1,
    #[error("malformed frame: more than one message in a frame")]
    MoreThanOne,
    #[error("malformed frame: a length is beyond the frame")]
    Length,
    #[error("malformed frame: a varint is cut off")]
    VarintCut,
    #[error("malformed frame: a varint has more than ten bytes")]
    VarintLong,
    #[error("malformed frame: unknown wire type")]
    WireType,
    #[error("malformed frame: a length-delimited field has another wire type")]
    NoBytes,
    #[error("malformed frame: more rejected ranges than the protocol allows")]
    TooManyRejected,
    #[error("malformed frame: not a batch")]
    NoBatch,
    #[error("malformed frame: numbers are reversed or beyond the end")]
    BadRange,
}

/// One field of a message: a number, or bytes. Others (32 and 64 bits, none in this schema) have neither.
#[cfg(feature = "relay")]
#[derive(Debug, Clone, Copy)]
pub(crate) struct Field<'a> {
    pub(crate) number: u64,
    /// What a varint holds.
    pub(crate) value: u64,
    /// What a length-delimited field holds.
    pub(crate) bytes: Option<&'a [u8]>,
}

/// The fields of a message, in the order in which they stand, up to the end or the first fault.
#[cfg(feature = "relay")]
#[derive(Debug)]
pub(crate) struct Fields<'a> {
    rest: &'a [u8],
    fault: Option<Malformed>,
}

#[cfg(feature = "relay")]
impl<'a> Fields<'a> {
    pub(crate) fn new(message: &'a [u8]) -> Self {
        Self { rest: message, fault: None }
    }

    /// How it ended.
    ///
    /// # Errors
    /// The first fault.
    pub(crate) fn finish(self) -> Result<(), Malformed> {
        self.fault.map_or(Ok(()), Err)
    }

    fn fail(&mut self, fault: Malformed) {
        self.rest = &[];
        self.fault = self.fault.or(Some(fault));
    }

    fn varint(&mut self) -> u64 {
        // Most are one byte long.
        if let [byte @ 0..0x80, rest @ ..] = self.rest {
            self.rest = rest;
            return u64::from(*byte);
        }
        let (mut value, mut shift) = (0, 0);
        while let [byte, rest @ ..] = self.rest {
            self.rest = rest;
            value |= u64::from(byte & 0x7f) << shift;
            if *byte < 0x80 {
                return value;
            }
            shift += 7;
            if shift > 63 {
                self.fail(Malformed::VarintLong);
                return 0;
            }
        }
        self.fail(Malformed::VarintCut);
        0
    }
}

#[cfg(feature = "relay")]
impl<'a> Iterator for Fields<'a> {
    type Item = Field<'a>;

    fn next(&mut self) -> Option<Field<'a>> {
        if self.rest.is_empty() {
            return None;
        }
        let tag = self.varint();
        let mut field = Field { number: tag >> 3, value: 0, bytes: None };
        let len = match tag & 7 {
            0 => {
                field.value = self.varint();
                0
            }
            1 => 8,
            2 => self.varint(),
            5 => 4,
            _ => {
                self.fail(Malformed::WireType);
                0
            }
        };
        if len > self.rest.len() as u64 {
            self.fail(Malformed::Length);
        } else if let Some((bytes, rest)) = self.rest.split_at_checked(len as usize) {
            self.rest = rest;
            field.bytes = (tag & 7 == 2).then_some(bytes);
        }
        self.fault.is_none().then_some(field)
    }
}

/// The message in a frame: its field number and content. There is exactly one. Of several of one kind
/// protobuf would make one, and with them what was counted in each alone.
#[cfg(feature = "relay")]
pub(crate) fn oneof(frame: &[u8]) -> Result<(u64, &[u8]), Malformed> {
    let mut fields = Fields::new(frame);
    let Some(field) = fields.next() else { return Err(fields.fault.unwrap_or(Malformed::Empty)) };
    if fields.next().is_some() {
        return Err(Malformed::MoreThanOne);
    }
    fields.finish()?;
    field.bytes.map(|bytes| (field.number, bytes)).ok_or(Malformed::NoBytes)
}

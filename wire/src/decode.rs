//! Protobuf's wire format, read by hand: the browser's half, and the relay's look at a frame's shape
//! before prost allocates for it.

/// The bytes are not a frame of this protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("malformed frame: {0}")]
pub struct Malformed(pub &'static str);

/// One field: its number and its content.
pub(crate) struct Field<'a> {
    pub(crate) number: u64,
    pub(crate) content: Content<'a>,
}

pub(crate) enum Content<'a> {
    Varint(u64),
    Bytes(&'a [u8]),
    /// A 32 or 64 bit field: none in this schema, skipped as an unknown field must be.
    Fixed,
}

impl<'a> Content<'a> {
    pub(crate) fn uint(self) -> Result<u64, Malformed> {
        match self {
            Self::Varint(value) => Ok(value),
            _ => Err(Malformed("a number field has another wire type")),
        }
    }

    pub(crate) fn bytes(self) -> Result<&'a [u8], Malformed> {
        match self {
            Self::Bytes(value) => Ok(value),
            _ => Err(Malformed("a length-delimited field has another wire type")),
        }
    }

    pub(crate) fn string(self) -> Result<&'a str, Malformed> {
        std::str::from_utf8(self.bytes()?).map_err(|_| Malformed("a string is not UTF-8"))
    }
}

/// The fields of a message, in the order in which they stand.
pub(crate) struct Fields<'a>(pub(crate) &'a [u8]);

impl<'a> Iterator for Fields<'a> {
    type Item = Result<Field<'a>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_err() {
            self.0 = &[];
        }
        Some(field)
    }
}

impl<'a> Fields<'a> {
    fn field(&mut self) -> Result<Field<'a>, Malformed> {
        let tag = self.varint()?;
        let content = match tag & 7 {
            0 => Content::Varint(self.varint()?),
            1 => self.take(8).map(|_| Content::Fixed)?,
            2 => {
                let len = self.varint()?;
                let len = usize::try_from(len).map_err(|_| Malformed("a length is beyond the frame"))?;
                Content::Bytes(self.take(len)?)
            }
            5 => self.take(4).map(|_| Content::Fixed)?,
            _ => return Err(Malformed("unknown wire type")),
        };
        Ok(Field { number: tag >> 3, content })
    }

    fn take(&mut self, len: usize) -> Result<&'a [u8], Malformed> {
        let (head, tail) = self.0.split_at_checked(len).ok_or(Malformed("a length is beyond the frame"))?;
        self.0 = tail;
        Ok(head)
    }

    fn varint(&mut self) -> Result<u64, Malformed> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let (&byte, tail) = self.0.split_first().ok_or(Malformed("a varint is cut off"))?;
            self.0 = tail;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(Malformed("a varint has more than ten bytes"))
    }
}

/// The message in a frame: its field number and content. There is exactly one. Of several of one kind
/// protobuf would make one, and with them what was counted in each alone.
pub(crate) fn oneof(frame: &[u8]) -> Result<(u64, &[u8]), Malformed> {
    let mut fields = Fields(frame);
    let field = fields.next().ok_or(Malformed("the frame is empty"))??;
    if fields.next().is_some() {
        return Err(Malformed("more than one message in a frame"));
    }
    Ok((field.number, field.content.bytes()?))
}

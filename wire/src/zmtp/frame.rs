//! Frames: a byte of flags, a length in one byte or in eight, a body.

use super::Fault;
use bytes::BufMut;

const MORE: u8 = 1;
const LONG: u8 = 2;
const COMMAND: u8 = 4;

/// What stands before a frame's body.
#[derive(Debug, Clone, Copy)]
pub(super) struct Head {
    pub(super) more: bool,
    pub(super) command: bool,
    /// The head's own bytes: 2 or 9.
    pub(super) bytes: usize,
    /// The body's.
    pub(super) body: u64,
}

impl Head {
    /// The head at the front of `bytes`; none when there is more to come of it.
    ///
    /// # Errors
    /// [`Fault::Malformed`] where flags are set that no frame has.
    pub(super) fn read(bytes: &[u8]) -> Result<Option<Self>, Fault> {
        let Some((flags, rest)) = bytes.split_first() else { return Ok(None) };
        if flags & !(MORE | LONG | COMMAND) != 0 {
            return Err(Fault::Malformed("reserved flags of a frame are set"));
        }
        if flags & COMMAND != 0 && flags & MORE != 0 {
            return Err(Fault::Malformed("a command of more than one frame"));
        }
        let (bytes, body) = if flags & LONG == 0 {
            (2, rest.first().map(|len| u64::from(*len)))
        } else {
            (9, rest.first_chunk().map(|len| u64::from_be_bytes(*len)))
        };
        let (more, command) = (flags & MORE != 0, flags & COMMAND != 0);
        Ok(body.map(|body| Self { more, command, bytes, body }))
    }
}

/// Appends what stands before the body of a message's part: 2 bytes, or 9 where `len`, the body's length in bytes, is
/// above 255. `more` says that the message has parts after this one.
pub fn frame_head(len: usize, more: bool, into: &mut impl BufMut) {
    head(u8::from(more), len, into);
}

/// The same for a command.
pub(super) fn command_head(len: usize, into: &mut impl BufMut) {
    head(COMMAND, len, into);
}

fn head(flags: u8, len: usize, into: &mut impl BufMut) {
    if let Ok(len) = u8::try_from(len) {
        into.put_slice(&[flags, len]);
    } else {
        into.put_u8(flags | LONG);
        into.put_u64(len as u64);
    }
}

/// One part of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame<'a> {
    /// What it carries.
    pub body: &'a [u8],
    /// The message has parts after this one.
    pub more: bool,
}

/// The frames of which `bytes` consist, up to the first that is not whole.
pub fn frames(bytes: &[u8]) -> Frames<'_> {
    Frames { rest: bytes }
}

/// Walks over encoded messages.
#[derive(Debug, Clone)]
pub struct Frames<'a> {
    rest: &'a [u8],
}

impl<'a> Frames<'a> {
    /// What has not been walked over.
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }
}

impl<'a> Iterator for Frames<'a> {
    type Item = Frame<'a>;

    fn next(&mut self) -> Option<Frame<'a>> {
        let head = Head::read(self.rest).ok()??;
        let (body, rest) = self.rest[head.bytes..].split_at_checked(usize::try_from(head.body).ok()?)?;
        self.rest = rest;
        Some(Frame { body, more: head.more })
    }
}

//! Texts that JavaScript has encoded all at once: it knows how long each is in UTF-16, not in UTF-8.

/// Where the next text begins.
pub(crate) struct Texts {
    at: usize,
    /// A unit is a byte.
    ascii: bool,
}

impl Texts {
    pub(crate) const NONE: Self = Self::new(true);

    pub(crate) const fn new(ascii: bool) -> Self {
        Self { at: 0, ascii }
    }

    /// The next text, `units` of UTF-16 long. Asked for five times: it stands in the module once.
    #[inline(never)]
    pub(crate) fn take<'a>(&mut self, input: &'a [u8], units: usize) -> &'a [u8] {
        let rest = input.get(self.at..).unwrap_or_default();
        let mut end = units;
        if !self.ascii {
            let mut left = units;
            end = 0;
            while left > 0
                && let Some(first) = rest.get(end)
            {
                // By its first byte: how long a character is, and that four bytes are two units.
                end += 1
                    + usize::from(*first >= 0xc0)
                    + usize::from(*first >= 0xe0)
                    + usize::from(*first >= 0xf0);
                left = left.saturating_sub(1 + usize::from(*first >= 0xf0));
            }
        }
        self.at += end;
        rest.get(..end).unwrap_or(rest)
    }
}

/// Reads `into` from the hexadecimal digits of `text` from `at` on.
#[inline(never)]
pub(crate) fn unhex(text: &[u8], at: usize, into: &mut [u8]) {
    let mut digits = text.iter().skip(at);
    for byte in into {
        for _ in 0..2 {
            let digit = digits.next().copied().unwrap_or_default();
            // Of `0` to `9` the low four bits are the digit, of letters nine less.
            *byte = *byte << 4 | (digit & 15) + 9 * (digit >> 6);
        }
    }
}

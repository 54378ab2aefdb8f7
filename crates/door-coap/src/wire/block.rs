//! Which piece of a body a message has (RFC 7959 §2.2): its number, whether more follow, and how large pieces are.

/// A piece of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Block {
    /// Its number, from zero, in units of its size.
    pub(crate) number: u32,
    /// More pieces follow.
    pub(crate) more: bool,
    /// How large it is.
    pub(crate) size: Size,
}

/// The size of pieces: 16 bytes, doubled so many times; or, in streams, any number of kilobytes (RFC 8323 §6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Size(u8);

impl Size {
    /// 16 bytes.
    pub(crate) const SMALLEST: Self = Self(0);
    /// 1024 bytes, the largest in a datagram.
    pub(crate) const LARGEST: Self = Self(6);
    /// Many kilobytes at once.
    pub(crate) const BERT: Self = Self(7);

    /// What its number counts, in bytes.
    pub(crate) const fn unit(self) -> usize {
        if self.0 >= 6 { 1024 } else { 16 << self.0 }
    }

    /// The largest that is not larger than this, and fits into so many bytes. The smallest, if none does.
    pub(crate) fn within(self, bytes: usize) -> Self {
        let fitting = (0..=self.0.min(6)).rev().map(Self).find(|size| size.unit() <= bytes);
        fitting.unwrap_or(Self::SMALLEST)
    }
}

impl Block {
    /// Largest number of a piece: 20 bits.
    pub(crate) const NUMBER_MAX: u32 = (1 << 20) - 1;

    /// From an option's value, which has up to three bytes.
    pub(crate) fn from_value(value: u32) -> Self {
        let size = Size(u8::try_from(value & 7).unwrap_or(0));
        Self { number: value >> 4 & Self::NUMBER_MAX, more: value & 8 != 0, size }
    }

    /// The option's value.
    pub(crate) fn value(self) -> u32 {
        self.number << 4 | u32::from(self.more) << 3 | u32::from(self.size.0)
    }

    /// Where in the body it begins.
    pub(crate) fn offset(self) -> usize {
        super::to_usize(self.number).saturating_mul(self.size.unit())
    }
}

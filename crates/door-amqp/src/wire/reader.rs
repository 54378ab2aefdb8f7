//! Reading the elementary fields (§4.2.5).

use std::ops::Deref;

use super::SyntaxError;
use super::table::Table;

/// Reads fields one after the other.
#[derive(Debug, Clone)]
pub struct Reader<'a> {
    rest: &'a [u8],
    /// An octet of bits, and how many of them were read. Any other field ends it (§4.2.5.2).
    bits: u8,
    bits_read: u8,
}

/// A text of up to 255 bytes, or whatever else somebody put there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Short<'a>(pub &'a [u8]);

/// Bytes with a length of four bytes before them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Long<'a>(pub &'a [u8]);

impl Deref for Short<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.0
    }
}

impl Deref for Long<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.0
    }
}

/// Something that a [`Reader`] can read and a method can have as an argument.
pub trait Field<'a>: Sized {
    /// What it is on the wire.
    const KIND: FieldKind;

    /// Reads it.
    ///
    /// # Errors
    /// It is not whole, or not what it should be.
    fn read(reader: &mut Reader<'a>) -> Result<Self, SyntaxError>;
}

/// The domains of arguments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldKind {
    /// One of up to eight in an octet.
    Bit,
    /// One byte.
    Octet,
    /// Two bytes.
    Short,
    /// Four bytes.
    Long,
    /// Eight bytes.
    LongLong,
    /// Up to 255 bytes.
    ShortString,
    /// Up to 4 GiB.
    LongString,
    /// Names and values.
    Table,
}

impl<'a> Reader<'a> {
    /// Reads from the first byte on.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes, bits: 0, bits_read: 8 }
    }

    /// What was not read yet.
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Nothing more may come.
    ///
    /// # Errors
    /// Something does.
    pub fn end(&self) -> Result<(), SyntaxError> {
        if self.rest.is_empty() { Ok(()) } else { Err(SyntaxError::TooLong) }
    }

    /// So many bytes.
    ///
    /// # Errors
    /// There are fewer.
    pub fn take(&mut self, count: usize) -> Result<&'a [u8], SyntaxError> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(SyntaxError::TooShort)?;
        self.rest = rest;
        self.bits_read = 8;
        Ok(taken)
    }

    /// So many bytes, as an array.
    ///
    /// # Errors
    /// There are fewer.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], SyntaxError> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or(SyntaxError::TooShort)?;
        self.rest = rest;
        self.bits_read = 8;
        Ok(*taken)
    }

    /// A field of any kind.
    ///
    /// # Errors
    /// It is not whole, or not what it should be.
    pub fn field<F: Field<'a>>(&mut self) -> Result<F, SyntaxError> {
        F::read(self)
    }

    fn bit(&mut self) -> Result<bool, SyntaxError> {
        if self.bits_read >= 8 {
            [self.bits] = self.array()?;
            self.bits_read = 0;
        }
        let bit = self.bits >> self.bits_read & 1 == 1;
        self.bits_read += 1;
        Ok(bit)
    }
}

impl Field<'_> for bool {
    const KIND: FieldKind = FieldKind::Bit;

    fn read(reader: &mut Reader<'_>) -> Result<Self, SyntaxError> {
        reader.bit()
    }
}

macro_rules! numbers {
    ($($type:ty: $kind:ident),*) => {$(
        impl Field<'_> for $type {
            const KIND: FieldKind = FieldKind::$kind;

            fn read(reader: &mut Reader<'_>) -> Result<Self, SyntaxError> {
                Ok(Self::from_be_bytes(reader.array()?))
            }
        }
    )*};
}

numbers!(u8: Octet, u16: Short, u32: Long, u64: LongLong);

impl<'a> Field<'a> for Short<'a> {
    const KIND: FieldKind = FieldKind::ShortString;

    fn read(reader: &mut Reader<'a>) -> Result<Self, SyntaxError> {
        let length: u8 = reader.field()?;
        Ok(Self(reader.take(length.into())?))
    }
}

impl<'a> Field<'a> for Long<'a> {
    const KIND: FieldKind = FieldKind::LongString;

    fn read(reader: &mut Reader<'a>) -> Result<Self, SyntaxError> {
        let length: u32 = reader.field()?;
        Ok(Self(reader.take(usize::try_from(length).map_err(|_| SyntaxError::TooShort)?)?))
    }
}

impl<'a> Field<'a> for Table<'a> {
    const KIND: FieldKind = FieldKind::Table;

    fn read(reader: &mut Reader<'a>) -> Result<Self, SyntaxError> {
        let Long(bytes) = reader.field()?;
        Self::new(bytes)
    }
}

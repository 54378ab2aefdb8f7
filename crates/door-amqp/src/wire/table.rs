//! Field tables (§4.2.5.5): names and values, in their order, with their types, and twice if somebody wrote them twice.
//!
//! The letters of the types are those that RabbitMQ and its clients use; the specification's own were never used
//! (RabbitMQ's errata to 0-9-1, "Field types").

use super::SyntaxError;
use super::reader::{Long, Reader, Short};
use super::writer::{Put, Writer};

/// Tables and arrays within each other, at most. A history of dead letters has three.
pub const DEPTH_MAX: usize = 32;

/// A table as it was received: checked to be one, and not taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Table<'a>(&'a [u8]);

/// An array as it was received: checked to be one, and not taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Array<'a>(&'a [u8]);

/// A value of a table or an array.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Value<'a> {
    /// `t`.
    Bool(bool),
    /// `b`.
    I8(i8),
    /// `B`.
    U8(u8),
    /// `s`.
    I16(i16),
    /// `u`.
    U16(u16),
    /// `I`.
    I32(i32),
    /// `i`.
    U32(u32),
    /// `l`, or `L` of some clients.
    I64(i64),
    /// `f`.
    F32(f32),
    /// `d`.
    F64(f64),
    /// `D`: a number, of which so many digits come after the point.
    Decimal {
        /// Digits after the point.
        scale: u8,
        /// The digits as a number.
        digits: u32,
    },
    /// `S`: most often text.
    String(&'a [u8]),
    /// `x`.
    Bytes(&'a [u8]),
    /// `T`: seconds since the epoch.
    Timestamp(u64),
    /// `A`.
    Array(Array<'a>),
    /// `F`.
    Table(Table<'a>),
    /// `V`.
    Void,
}

impl<'a> Value<'a> {
    fn read(reader: &mut Reader<'a>, depth: usize) -> Result<Self, SyntaxError> {
        Ok(match reader.field::<u8>()? {
            b't' => Self::Bool(reader.field::<u8>()? != 0),
            b'b' => Self::I8(i8::from_be_bytes(reader.array()?)),
            b'B' => Self::U8(reader.field()?),
            b's' => Self::I16(i16::from_be_bytes(reader.array()?)),
            b'u' => Self::U16(reader.field()?),
            b'I' => Self::I32(i32::from_be_bytes(reader.array()?)),
            b'i' => Self::U32(reader.field()?),
            b'l' | b'L' => Self::I64(i64::from_be_bytes(reader.array()?)),
            b'f' => Self::F32(f32::from_be_bytes(reader.array()?)),
            b'd' => Self::F64(f64::from_be_bytes(reader.array()?)),
            b'D' => Self::Decimal { scale: reader.field()?, digits: reader.field()? },
            b'S' => Self::String(reader.field::<Long<'_>>()?.0),
            b'x' => Self::Bytes(reader.field::<Long<'_>>()?.0),
            b'T' => Self::Timestamp(reader.field()?),
            b'A' => Self::Array(Array::at(reader.field::<Long<'_>>()?.0, depth + 1)?),
            b'F' => Self::Table(Table::at(reader.field::<Long<'_>>()?.0, depth + 1)?),
            b'V' => Self::Void,
            other => return Err(SyntaxError::ValueType(other)),
        })
    }

    /// Appends the letter of its type, and it.
    fn put(&self, writer: &mut Writer<'_>) {
        let mut put = |letter: u8, bytes: &[u8]| {
            writer.bytes(&[letter]);
            writer.bytes(bytes);
        };
        match self {
            Self::Bool(value) => put(b't', &[u8::from(*value)]),
            Self::I8(value) => put(b'b', &value.to_be_bytes()),
            Self::U8(value) => put(b'B', &[*value]),
            Self::I16(value) => put(b's', &value.to_be_bytes()),
            Self::U16(value) => put(b'u', &value.to_be_bytes()),
            Self::I32(value) => put(b'I', &value.to_be_bytes()),
            Self::U32(value) => put(b'i', &value.to_be_bytes()),
            Self::I64(value) => put(b'l', &value.to_be_bytes()),
            Self::F32(value) => put(b'f', &value.to_be_bytes()),
            Self::F64(value) => put(b'd', &value.to_be_bytes()),
            Self::Timestamp(value) => put(b'T', &value.to_be_bytes()),
            Self::Decimal { scale, digits } => {
                put(b'D', &[*scale]);
                writer.bytes(&digits.to_be_bytes());
            }
            Self::String(value) => put_long(writer, b'S', value),
            Self::Bytes(value) => put_long(writer, b'x', value),
            Self::Array(value) => put_long(writer, b'A', value.0),
            Self::Table(value) => put_long(writer, b'F', value.0),
            Self::Void => put(b'V', &[]),
        }
    }

    /// The number that it is, of whatever size; none for what is no whole number, or too large.
    pub fn integer(&self) -> Option<i64> {
        Some(match *self {
            Self::I8(value) => value.into(),
            Self::U8(value) => value.into(),
            Self::I16(value) => value.into(),
            Self::U16(value) => value.into(),
            Self::I32(value) => value.into(),
            Self::U32(value) => value.into(),
            Self::I64(value) => value,
            _ => return None,
        })
    }

    /// The bytes of a string.
    pub fn string(&self) -> Option<&'a [u8]> {
        match *self {
            Self::String(value) | Self::Bytes(value) => Some(value),
            _ => None,
        }
    }
}

fn put_long(writer: &mut Writer<'_>, letter: u8, bytes: &[u8]) {
    writer.bytes(&[letter]);
    Long(bytes).put(writer);
}

impl<'a> Table<'a> {
    /// A table of these bytes, which have no length before them.
    ///
    /// # Errors
    /// They are no table.
    pub fn new(bytes: &'a [u8]) -> Result<Self, SyntaxError> {
        Self::at(bytes, 1)
    }

    fn at(bytes: &'a [u8], depth: usize) -> Result<Self, SyntaxError> {
        if depth > DEPTH_MAX {
            return Err(SyntaxError::TooDeep);
        }
        let mut reader = Reader::new(bytes);
        while !reader.rest().is_empty() {
            reader.field::<Short<'_>>()?;
            Value::read(&mut reader, depth)?;
        }
        Ok(Self(bytes))
    }

    /// As it was received, without its length.
    pub fn bytes(&self) -> &'a [u8] {
        self.0
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What is in it, in order.
    pub fn entries(&self) -> impl Iterator<Item = (&'a [u8], Value<'a>)> + use<'a> {
        let mut reader = Reader::new(self.0);
        // It was checked, so what cannot be read is its end.
        std::iter::from_fn(move || {
            let name: Short<'a> = reader.field().ok()?;
            // What is in it was counted when it was checked.
            Some((name.0, Value::read(&mut reader, 1).ok()?))
        })
    }

    /// The first value of this name.
    pub fn get(&self, name: &[u8]) -> Option<Value<'a>> {
        self.entries().find(|(known, _)| *known == name).map(|(_, value)| value)
    }
}

impl<'a> Array<'a> {
    /// An array of these bytes, which have no length before them.
    ///
    /// # Errors
    /// They are no array.
    pub fn new(bytes: &'a [u8]) -> Result<Self, SyntaxError> {
        Self::at(bytes, 1)
    }

    fn at(bytes: &'a [u8], depth: usize) -> Result<Self, SyntaxError> {
        if depth > DEPTH_MAX {
            return Err(SyntaxError::TooDeep);
        }
        let mut reader = Reader::new(bytes);
        while !reader.rest().is_empty() {
            Value::read(&mut reader, depth)?;
        }
        Ok(Self(bytes))
    }

    /// What is in it, in order.
    pub fn values(&self) -> impl Iterator<Item = Value<'a>> + use<'a> {
        let mut reader = Reader::new(self.0);
        std::iter::from_fn(move || Value::read(&mut reader, 1).ok())
    }
}

/// A table that is being made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TableBuf(Vec<u8>);

impl TableBuf {
    /// Adds a value. A name of more than 255 bytes is cut.
    pub fn push(&mut self, name: &[u8], value: Value<'_>) {
        let mut writer = Writer::new(&mut self.0);
        Short(name).put(&mut writer);
        value.put(&mut writer);
    }

    /// With a value more.
    #[must_use]
    pub fn with(mut self, name: &[u8], value: Value<'_>) -> Self {
        self.push(name, value);
        self
    }

    /// As one that was received.
    pub fn table(&self) -> Table<'_> {
        Table(&self.0)
    }

    /// Its bytes, without a length before them.
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }
}

/// An array that is being made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ArrayBuf(Vec<u8>);

impl ArrayBuf {
    /// Adds a value.
    pub fn push(&mut self, value: Value<'_>) {
        value.put(&mut Writer::new(&mut self.0));
    }

    /// As one that was received.
    pub fn array(&self) -> Array<'_> {
        Array(&self.0)
    }
}

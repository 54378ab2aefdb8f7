//! Writing the elementary fields (§4.2.5).

use super::reader::{Long, Short};
use super::table::Table;

/// Appends fields one after the other.
#[derive(Debug)]
pub struct Writer<'o> {
    out: &'o mut Vec<u8>,
    /// Bits in the last byte that were written; none, where that byte is something else.
    bits: u8,
}

/// Something that a [`Writer`] can write.
pub trait Put {
    /// Appends it.
    fn put(&self, writer: &mut Writer<'_>);
}

impl<'o> Writer<'o> {
    /// Appends to `out`.
    pub fn new(out: &'o mut Vec<u8>) -> Self {
        Self { out, bits: 0 }
    }

    /// Appends bytes as they are.
    pub fn bytes(&mut self, bytes: &[u8]) {
        self.bits = 0;
        self.out.extend_from_slice(bytes);
    }

    fn bit(&mut self, bit: bool) {
        let (used, value) = (self.bits % 8, u8::from(bit));
        match self.out.last_mut().filter(|_| used > 0) {
            Some(last) => *last |= value << used,
            None => self.out.push(value),
        }
        self.bits = used + 1;
    }
}

impl Put for bool {
    fn put(&self, writer: &mut Writer<'_>) {
        writer.bit(*self);
    }
}

macro_rules! numbers {
    ($($type:ty),*) => {$(
        impl Put for $type {
            fn put(&self, writer: &mut Writer<'_>) {
                writer.bytes(&self.to_be_bytes());
            }
        }
    )*};
}

numbers!(u8, u16, u32, u64);

impl Put for Short<'_> {
    /// What is longer is cut: there is no way to say more.
    fn put(&self, writer: &mut Writer<'_>) {
        let length = u8::try_from(self.len()).unwrap_or(u8::MAX);
        length.put(writer);
        writer.bytes(self.get(..length.into()).unwrap_or_default());
    }
}

impl Put for Long<'_> {
    /// What is longer than four bytes can say is cut. Nobody has that much in one piece.
    fn put(&self, writer: &mut Writer<'_>) {
        let length = u32::try_from(self.len()).unwrap_or(u32::MAX);
        length.put(writer);
        let end = usize::try_from(length).unwrap_or(usize::MAX).min(self.len());
        writer.bytes(self.get(..end).unwrap_or_default());
    }
}

impl Put for Table<'_> {
    fn put(&self, writer: &mut Writer<'_>) {
        Long(self.bytes()).put(writer);
    }
}

//! Random but repeatable messages for tests, and what the tests do with every message.

use bytes::Bytes;

use super::{Message, Reader, WireError, Writer};

/// A source of values (SplitMix64).
pub(crate) struct Sample {
    state: u64,
}

impl Sample {
    pub(crate) fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Small numbers, extremes and anything else, each now and then.
    pub(crate) fn i64(&mut self) -> i64 {
        match self.next() % 6 {
            0 => 0,
            1 => -1,
            2 => i64::MAX,
            3 => i64::MIN,
            _ => self.next() as i64,
        }
    }

    pub(crate) fn bool(&mut self) -> bool {
        self.next() & 1 == 1
    }

    pub(crate) fn i8(&mut self) -> i8 {
        self.i64() as i8
    }

    pub(crate) fn i16(&mut self) -> i16 {
        self.i64() as i16
    }

    pub(crate) fn i32(&mut self) -> i32 {
        self.i64() as i32
    }

    pub(crate) fn u16(&mut self) -> u16 {
        self.i64() as u16
    }

    #[allow(dead_code, reason = "no message has such a field yet")]
    pub(crate) fn u32(&mut self) -> u32 {
        self.i64() as u32
    }

    pub(crate) fn f64(&mut self) -> f64 {
        // Not a bit pattern: NaN is not equal to itself.
        self.i32().into()
    }

    pub(crate) fn uuid(&mut self) -> [u8; 16] {
        (u128::from(self.next()) << 64 | u128::from(self.next())).to_be_bytes()
    }

    /// Now and then longer than a one-byte varint can say.
    pub(crate) fn string(&mut self) -> String {
        let length = match self.next() % 8 {
            0 => 0,
            1 => 127 + self.next() % 80,
            _ => self.next() % 12,
        };
        let letters = ['a', 'Z', '0', '.', '-', 'é', '漢', '🚢'];
        (0..length).filter_map(|_| letters.get((self.next() % 8) as usize)).collect()
    }

    pub(crate) fn bytes(&mut self) -> Bytes {
        let length = self.next() % if self.bool() { 300 } else { 5 };
        (0..length).map(|_| self.next() as u8).collect()
    }

    pub(crate) fn array<T>(&mut self, mut one: impl FnMut(&mut Self) -> T) -> Vec<T> {
        let count = self.next() % 4;
        (0..count).map(|_| one(self)).collect()
    }

    pub(crate) fn nullable<T>(&mut self, one: impl FnOnce(&mut Self) -> T) -> Option<T> {
        (!self.next().is_multiple_of(3)).then(|| one(self))
    }
}

/// A message that can make up a value of itself, as far as a version can carry it.
pub(crate) trait Sampled: Message {
    fn sample(s: &mut Sample, version: i16) -> Self;
}

/// What tests want to know of a message and do with it.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) key: Option<i16>,
    pub(crate) is_request: bool,
    pub(crate) min: i16,
    pub(crate) max: i16,
    pub(crate) flexible_from: Option<i16>,
    /// A random value, encoded.
    pub(crate) sample: fn(&mut Sample, i16) -> Bytes,
    /// Whether a random value comes back as it was, with nothing left over.
    pub(crate) round_trip: fn(&mut Sample, i16) -> Result<(), String>,
    /// Reads a message and says what it holds, written again.
    pub(crate) decode: fn(&mut Reader, i16) -> Result<Bytes, WireError>,
}

impl Case {
    pub(crate) const fn of<M: Sampled + PartialEq + std::fmt::Debug>(
        key: Option<i16>,
        is_request: bool,
    ) -> Self {
        Self {
            name: M::NAME,
            key,
            is_request,
            min: M::MIN_VERSION,
            max: M::MAX_VERSION,
            flexible_from: M::FLEXIBLE_FROM,
            sample: |s, version| encoded(&M::sample(s, version), version).unwrap_or_default(),
            round_trip: round_trip::<M>,
            decode: |r, version| encoded(&M::decode(r, version)?, version),
        }
    }
}

fn encoded<M: Message>(message: &M, version: i16) -> Result<Bytes, WireError> {
    let mut w = Writer::default();
    message.encode(&mut w, version)?;
    Ok(w.finish())
}

fn round_trip<M: Sampled + PartialEq + std::fmt::Debug>(
    s: &mut Sample,
    version: i16,
) -> Result<(), String> {
    let at = |text: String| format!("{} v{version}: {text}", M::NAME);
    let message = M::sample(s, version);
    let bytes = encoded(&message, version).map_err(|error| at(error.to_string()))?;
    let mut r = Reader::new(bytes);
    let again = M::decode(&mut r, version).map_err(|error| at(error.to_string()))?;
    if again != message {
        return Err(at(format!("{message:#?} came back as {again:#?}")));
    }
    if r.remaining() != 0 {
        return Err(at(format!("{} bytes left over", r.remaining())));
    }
    Ok(())
}

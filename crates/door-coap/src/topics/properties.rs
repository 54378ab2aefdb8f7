//! What a topic is said to be (draft-ietf-core-coap-pubsub-20 §2.2): a map of CBOR with small numbers for names.

use crate::wire::cbor::{self, Major, NotCbor, Reader};

/// The names' numbers (§5).
pub(crate) mod key {
    pub(crate) const NAME: u64 = 0;
    pub(crate) const DATA: u64 = 1;
    pub(crate) const RESOURCE_TYPE: u64 = 2;
    pub(crate) const CONTENT_FORMAT: u64 = 3;
    pub(crate) const TYPE: u64 = 4;
    pub(crate) const EXPIRATION: u64 = 5;
    pub(crate) const MAX_SUBSCRIBERS: u64 = 6;
    pub(crate) const OBSERVER_CHECK: u64 = 7;
    pub(crate) const INITIALIZE: u64 = 8;
    /// Not of a topic: what of it is asked for.
    pub(crate) const FILTER: u64 = 9;
}

/// Most properties of one map; there are nine.
const PROPERTIES_MAX: u64 = 16;

/// Properties, those that somebody said.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Properties {
    pub(crate) name: Option<String>,
    pub(crate) data: Option<String>,
    pub(crate) resource_type: Option<String>,
    pub(crate) content_format: Option<u16>,
    pub(crate) topic_type: Option<String>,
    /// Seconds since 1970.
    pub(crate) expiration: Option<i64>,
    pub(crate) max_subscribers: Option<u64>,
    /// Seconds; not zero.
    pub(crate) observer_check: Option<u64>,
    pub(crate) initialize: Option<Vec<u8>>,
}

impl Properties {
    /// Reads a map of properties.
    ///
    /// # Errors
    /// It is none, has a property that there is not, one twice, or one of another type.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, NotCbor> {
        let mut reader = Reader::new(bytes);
        let count = reader.map()?;
        if count > PROPERTIES_MAX {
            return Err(NotCbor);
        }
        let mut properties = Self::default();
        for _ in 0..count {
            let key = reader.uint()?;
            properties.take(key, &mut reader)?;
        }
        reader.end()?;
        Ok(properties)
    }

    fn take(&mut self, key: u64, reader: &mut Reader<'_>) -> Result<(), NotCbor> {
        let once = |is_new: bool| if is_new { Ok(()) } else { Err(NotCbor) };
        match key {
            key::NAME => once(self.name.replace(reader.text()?.into()).is_none()),
            key::DATA => once(self.data.replace(reader.text()?.into()).is_none()),
            key::RESOURCE_TYPE => once(self.resource_type.replace(reader.text()?.into()).is_none()),
            key::CONTENT_FORMAT => {
                let format = u16::try_from(reader.uint()?).map_err(|_| NotCbor)?;
                once(self.content_format.replace(format).is_none())
            }
            key::TYPE => once(self.topic_type.replace(reader.text()?.into()).is_none()),
            key::EXPIRATION => {
                once(reader.tag()? == 1)?;
                once(self.expiration.replace(reader.seconds()?).is_none())
            }
            key::MAX_SUBSCRIBERS => once(self.max_subscribers.replace(reader.uint()?).is_none()),
            key::OBSERVER_CHECK => {
                let seconds = reader.uint()?;
                once(seconds > 0)?;
                once(self.observer_check.replace(seconds).is_none())
            }
            key::INITIALIZE => once(self.initialize.replace(reader.bytes()?.into()).is_none()),
            _ => Err(NotCbor),
        }
    }

    /// All of them.
    pub(crate) fn encode(&self) -> Vec<u8> {
        self.encode_some(|_| true)
    }

    /// Those of these numbers.
    pub(crate) fn encode_some(&self, wanted: impl Fn(u64) -> bool) -> Vec<u8> {
        let (mut count, mut pairs) = (0, Vec::new());
        let mut put = |key: u64, write: &mut dyn FnMut(&mut Vec<u8>)| {
            if wanted(key) {
                count += 1;
                cbor::head(Major::Uint, key, &mut pairs);
                write(&mut pairs);
            }
        };
        let texts = [
            (key::NAME, &self.name),
            (key::DATA, &self.data),
            (key::RESOURCE_TYPE, &self.resource_type),
        ];
        for (key, text) in texts {
            if let Some(text) = text {
                put(key, &mut |out| cbor::text(text, out));
            }
        }
        if let Some(format) = self.content_format {
            put(key::CONTENT_FORMAT, &mut |out| cbor::head(Major::Uint, format.into(), out));
        }
        if let Some(text) = &self.topic_type {
            put(key::TYPE, &mut |out| cbor::text(text, out));
        }
        if let Some(seconds) = self.expiration {
            put(key::EXPIRATION, &mut |out| cbor::time(seconds, out));
        }
        let numbers = [
            (key::MAX_SUBSCRIBERS, self.max_subscribers),
            (key::OBSERVER_CHECK, self.observer_check),
        ];
        for (key, number) in numbers {
            if let Some(number) = number {
                put(key, &mut |out| cbor::head(Major::Uint, number, out));
            }
        }
        if let Some(bytes) = &self.initialize {
            put(key::INITIALIZE, &mut |out| cbor::bytes(bytes, out));
        }
        let mut out = Vec::with_capacity(1 + pairs.len());
        cbor::head(Major::Map, count, &mut out);
        out.extend_from_slice(&pairs);
        out
    }

    /// Whether all that a filter says is so here (§3.4.2).
    pub(crate) fn matches(&self, filter: &Self) -> bool {
        fn same<T: PartialEq>(wanted: &Option<T>, is: &Option<T>) -> bool {
            wanted.is_none() || wanted == is
        }
        same(&filter.name, &self.name)
            && same(&filter.data, &self.data)
            && same(&filter.resource_type, &self.resource_type)
            && same(&filter.content_format, &self.content_format)
            && same(&filter.topic_type, &self.topic_type)
            && same(&filter.expiration, &self.expiration)
            && same(&filter.max_subscribers, &self.max_subscribers)
            && same(&filter.observer_check, &self.observer_check)
            && same(&filter.initialize, &self.initialize)
    }

    /// Whether it keeps what can never change (§3.5.3).
    pub(crate) fn keeps(&self, other: &Self) -> bool {
        let same = |new: &Option<String>, old: &Option<String>| new.is_none() || new == old;
        same(&other.name, &self.name)
            && same(&other.data, &self.data)
            && same(&other.resource_type, &self.resource_type)
    }

    /// The numbers of the properties that are asked for: in a map (-20), or as they are.
    ///
    /// # Errors
    /// It is neither.
    pub(crate) fn decode_filter(bytes: &[u8]) -> Result<Vec<u64>, NotCbor> {
        let mut reader = Reader::new(bytes);
        let mut in_map = reader;
        if in_map.map().is_ok_and(|count| count == 1) && in_map.uint() == Ok(key::FILTER) {
            reader = in_map;
        }
        let count = reader.array()?;
        if count > PROPERTIES_MAX {
            return Err(NotCbor);
        }
        let keys = (0..count).map(|_| reader.uint()).collect::<Result<_, _>>()?;
        reader.end()?;
        Ok(keys)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The map of §3.4.3 of the draft, in its bytes.
    const CREATED: &[u8] = b"\xa2\x00\x72living-room-sensor\x02\x6ccore.ps.data";

    #[test]
    fn the_maps_of_the_draft_are_read_and_written() {
        let read = Properties::decode(CREATED).expect("properties");
        assert_eq!(read.name.as_deref(), Some("living-room-sensor"));
        assert_eq!(read.resource_type.as_deref(), Some("core.ps.data"));
        assert_eq!(read.encode(), CREATED);
        let whole = Properties {
            data: Some("/ps/data/1bd0d6d".into()),
            content_format: Some(112),
            topic_type: Some("temperature".into()),
            expiration: Some(1_680_393_599),
            max_subscribers: Some(100),
            observer_check: Some(86_400),
            initialize: Some(vec![0x80]),
            ..read
        };
        assert_eq!(Properties::decode(&whole.encode()), Ok(whole.clone()));
        let some = whole.encode_some(|key| key == key::DATA || key == key::CONTENT_FORMAT);
        assert_eq!(some, b"\xa2\x01\x70/ps/data/1bd0d6d\x03\x18\x70");
        let filter = Properties { content_format: Some(112), ..Properties::default() };
        assert!(whole.matches(&filter) && whole.keeps(&filter));
        let other = Properties { content_format: Some(50), ..Properties::default() };
        assert!(!whole.matches(&other));
        let renamed = Properties { name: Some("other".into()), ..Properties::default() };
        assert!(!whole.keeps(&renamed));
    }

    #[test]
    fn what_is_no_map_of_properties_is_refused() {
        for bytes in [
            &b""[..],
            b"\x80",
            b"\xa1\x0a\x01",
            b"\xa1\x61a\x01",
            b"\xa2\x00\x61a\x00\x61b",
            b"\xa1\x00\x41a",
            b"\xa1\x07\x00",
            b"\xa1\x05\x01",
            b"\xa1\x03\x1a\x00\x01\x00\x00",
            b"\xa1\x00\x61a\x00",
            b"\xb8\xff\x00\x61a",
        ] {
            assert_eq!(Properties::decode(bytes), Err(NotCbor), "{}", bytes.escape_ascii());
        }
        assert_eq!(Properties::decode_filter(b"\xa1\x09\x82\x01\x03"), Ok(vec![1, 3]));
        assert_eq!(Properties::decode_filter(b"\x82\x01\x03"), Ok(vec![1, 3]));
        assert_eq!(Properties::decode_filter(b"\xa1\x08\x82\x01\x03"), Err(NotCbor));
    }
}

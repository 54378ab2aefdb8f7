//! PUBLISH (3.1.1 §3.3, 5.0 §3.3): a message. Most packets are these.

use super::header::to_usize;
use super::property::{self, Properties, Set, Value, flag, not_zero};
use super::reader::Reader;
use super::{Version, WireError, name, writer};

const PROPERTIES: Set = Set::of(&[
    property::PAYLOAD_FORMAT,
    property::MESSAGE_EXPIRY,
    property::CONTENT_TYPE,
    property::RESPONSE_TOPIC,
    property::CORRELATION_DATA,
    property::TOPIC_ALIAS,
    property::USER_PROPERTY,
]);

/// A message as a client sends it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Publish<'a> {
    pub(crate) dup: bool,
    pub(crate) qos: u8,
    pub(crate) retain: bool,
    /// Empty where an alias stands for it.
    pub(crate) topic: &'a str,
    /// Zero for QoS 0.
    pub(crate) packet_id: u16,
    pub(crate) alias: Option<u16>,
    pub(crate) properties: MessageProperties<'a>,
    pub(crate) payload: &'a [u8],
}

impl<'a> Publish<'a> {
    /// Reads what follows the header.
    #[inline]
    pub(crate) fn decode(version: Version, flags: u8, body: &'a [u8]) -> Result<Self, WireError> {
        let (dup, qos, retain) = (flags & 8 != 0, flags >> 1 & 3, flags & 1 != 0);
        if qos == 3 {
            return Err(WireError::Malformed("QoS 3"));
        }
        if dup && qos == 0 {
            return Err(WireError::Malformed("a duplicate of QoS 0"));
        }
        let mut reader = Reader::new(body);
        let topic = reader.text()?;
        let packet_id = if qos > 0 { reader.packet_id()? } else { 0 };
        let (mut alias, mut properties) = (None, MessageProperties::default());
        if version == Version::V5 {
            let block = reader.block()?;
            if !block.is_empty() {
                (alias, properties) = decode_properties(block)?;
            }
        }
        if !topic.is_empty() || alias.is_none() {
            name::check_topic(topic)?;
        }
        let payload = reader.rest();
        Ok(Self { dup, qos, retain, topic, packet_id, alias, properties, payload })
    }
}

fn decode_properties(block: &[u8]) -> Result<(Option<u16>, MessageProperties<'_>), WireError> {
    let (mut alias, mut found) = (None, MessageProperties::default());
    let mut properties = Properties::new(block, PROPERTIES);
    loop {
        let before = properties.left();
        let Some((id, value)) = properties.next()? else { break };
        match id {
            property::TOPIC_ALIAS => {
                alias = Some(u16::try_from(value.number()).unwrap_or(0));
                found.skip(block, before, properties.left());
            }
            _ => found.set(id, value, block, (before, properties.left()))?,
        }
    }
    found.finish(block);
    Ok((alias, found))
}

/// The properties of a message that travel with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct MessageProperties<'a> {
    /// The payload is text.
    pub(crate) is_text: bool,
    /// In seconds.
    pub(crate) expiry: Option<u32>,
    pub(crate) content_type: Option<&'a str>,
    pub(crate) response_topic: Option<&'a str>,
    pub(crate) correlation: Option<&'a [u8]>,
    pub(crate) has_user_properties: bool,
    /// The properties that are passed on as they are, in one or two pieces: all but those that are
    /// between two parties (alias) or change on the way (expiry).
    kept: Kept<'a>,
}

/// Bytes of properties: what lies between those that were left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Kept<'a> {
    pieces: [&'a [u8]; 3],
    used: usize,
    /// Where the piece that is open begins.
    from: usize,
}

impl<'a> MessageProperties<'a> {
    /// Takes a property over. `span`: how many bytes of the block were left before and after it.
    #[inline]
    pub(super) fn set(
        &mut self,
        id: u8,
        value: Value<'a>,
        block: &'a [u8],
        span: (usize, usize),
    ) -> Result<(), WireError> {
        match id {
            property::PAYLOAD_FORMAT => self.is_text = flag(value)?,
            property::CONTENT_TYPE => self.content_type = Some(value.text()),
            property::CORRELATION_DATA => self.correlation = Some(value.binary()),
            property::USER_PROPERTY => self.has_user_properties = true,
            property::RESPONSE_TOPIC => {
                name::check_topic(value.text())?;
                self.response_topic = Some(value.text());
            }
            property::MESSAGE_EXPIRY => {
                self.expiry = Some(value.number());
                self.skip(block, span.0, span.1);
            }
            _ => {}
        }
        Ok(())
    }

    /// Leaves a property out of what is passed on.
    pub(super) fn skip(&mut self, block: &'a [u8], before: usize, after: usize) {
        self.kept.close(block, block.len() - before);
        self.kept.from = block.len() - after;
    }

    pub(super) fn finish(&mut self, block: &'a [u8]) {
        self.kept.close(block, block.len());
    }

    /// The bytes of the properties that are passed on, in pieces that follow each other.
    pub(crate) fn kept(&self) -> &[&'a [u8]] {
        self.kept.pieces.get(..self.kept.used).unwrap_or_default()
    }
}

impl<'a> Kept<'a> {
    fn close(&mut self, block: &'a [u8], to: usize) {
        let piece = block.get(self.from..to).unwrap_or_default();
        // At most two properties are left out, so that there are at most three pieces.
        if let (false, Some(place)) = (piece.is_empty(), self.pieces.get_mut(self.used)) {
            *place = piece;
            self.used += 1;
        }
    }
}

/// The user properties in bytes that were checked before, in their order.
pub(crate) fn user_properties(kept: &[u8]) -> impl Iterator<Item = (&str, &str)> {
    let mut properties = Properties::new(kept, PROPERTIES);
    std::iter::from_fn(move || {
        loop {
            match properties.next() {
                Ok(Some((_, Value::Pair(name, value)))) => return Some((name, value)),
                Ok(Some(_)) => {}
                Ok(None) | Err(_) => return None,
            }
        }
    })
}

/// Reads properties that were kept with a message.
///
/// # Errors
/// They are none.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn check_kept(kept: &[u8]) -> Result<MessageProperties<'_>, WireError> {
    decode_properties(kept).map(|(_, properties)| properties)
}

/// A message as it is sent to a client.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Outgoing<'a> {
    pub(crate) qos: u8,
    pub(crate) dup: bool,
    pub(crate) retain: bool,
    /// Empty where an alias stands for it.
    pub(crate) topic: &'a [u8],
    /// Zero for QoS 0.
    pub(crate) packet_id: u16,
    pub(crate) payload: &'a [u8],
    pub(crate) properties: OutgoingProperties<'a>,
}

/// What follows a message's topic, in 5.0 only.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct OutgoingProperties<'a> {
    pub(crate) alias: Option<u16>,
    /// What is left of it, in seconds.
    pub(crate) expiry: Option<u32>,
    pub(crate) subscription_ids: &'a [u32],
    /// Properties as they are passed on.
    pub(crate) kept: &'a [u8],
}

impl OutgoingProperties<'_> {
    fn len(&self) -> usize {
        let ids = self.subscription_ids.iter();
        let ids = ids.map(|id| 1 + writer::varint_len(to_usize(*id))).sum::<usize>();
        self.alias.map_or(0, |_| 3) + self.expiry.map_or(0, |_| 5) + ids + self.kept.len()
    }

    fn encode(&self, out: &mut Vec<u8>) {
        if let Some(alias) = self.alias {
            out.push(property::TOPIC_ALIAS);
            out.extend_from_slice(&alias.to_be_bytes());
        }
        if let Some(expiry) = self.expiry {
            out.push(property::MESSAGE_EXPIRY);
            out.extend_from_slice(&expiry.to_be_bytes());
        }
        for id in self.subscription_ids {
            out.push(property::SUBSCRIPTION_ID);
            writer::varint(out, to_usize(*id));
        }
        out.extend_from_slice(self.kept);
    }
}

impl Outgoing<'_> {
    fn remaining(&self, version: Version) -> usize {
        let id = if self.qos > 0 { 2 } else { 0 };
        let properties = if version == Version::V5 {
            let length = self.properties.len();
            writer::varint_len(length) + length
        } else {
            0
        };
        2 + self.topic.len() + id + properties + self.payload.len()
    }

    /// Bytes of the whole packet.
    pub(crate) fn size(&self, version: Version) -> usize {
        let remaining = self.remaining(version);
        1 + writer::varint_len(remaining) + remaining
    }

    /// Writes the packet.
    #[inline]
    pub(crate) fn encode(&self, version: Version, out: &mut Vec<u8>) {
        let remaining = self.remaining(version);
        out.reserve(remaining + 5);
        let first = 0x30 | u8::from(self.dup) << 3 | self.qos << 1 | u8::from(self.retain);
        out.push(first);
        writer::varint(out, remaining);
        writer::binary(out, self.topic);
        if self.qos > 0 {
            out.extend_from_slice(&self.packet_id.to_be_bytes());
        }
        if version == Version::V5 {
            writer::varint(out, self.properties.len());
            self.properties.encode(out);
        }
        out.extend_from_slice(self.payload);
    }
}

/// The number of a subscription that a client gave it: one to 268,435,455 (5.0 §3.8.2.1.2).
pub(super) fn subscription_id(value: Value<'_>) -> Result<u32, WireError> {
    not_zero(value)
}

//! SUBSCRIBE and UNSUBSCRIBE (3.1.1 §3.8 to §3.11, 5.0 the same) and their answers.

use super::header::Kind;
use super::name::SharedFilter;
use super::property::{self, Properties, Set};
use super::reader::Reader;
use super::reason::Reason;
use super::{Version, WireError, publish, writer};
use crate::limits::LEVELS_MAX;

const PROPERTIES: Set = Set::of(&[property::SUBSCRIPTION_ID, property::USER_PROPERTY]);
const UNSUBSCRIBE_PROPERTIES: Set = Set::of(&[property::USER_PROPERTY]);

/// When retained messages are sent for a new subscription (5.0 §3.8.3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum RetainHandling {
    /// Always.
    #[default]
    Send,
    /// If the subscription is new.
    SendIfNew,
    /// Never.
    DoNotSend,
}

/// The options of a subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Options {
    pub(crate) qos: u8,
    /// The client does not get what it published itself.
    pub(crate) no_local: bool,
    /// Messages keep the retain flag that they were published with.
    pub(crate) retain_as_published: bool,
    pub(crate) retain_handling: RetainHandling,
}

impl Options {
    fn decode(version: Version, byte: u8) -> Result<Self, WireError> {
        let qos = byte & 3;
        let reserved = if version == Version::V5 { 0xc0 } else { 0xfc };
        if qos == 3 || byte & reserved != 0 {
            return Err(WireError::Malformed("the options of a subscription"));
        }
        let retain_handling = match byte >> 4 & 3 {
            0 => RetainHandling::Send,
            1 => RetainHandling::SendIfNew,
            2 => RetainHandling::DoNotSend,
            _ => return Err(WireError::Malformed("retain handling 3")),
        };
        let (no_local, retain_as_published) = (byte & 4 != 0, byte & 8 != 0);
        Ok(Self { qos, no_local, retain_as_published, retain_handling })
    }
}

impl Options {
    /// As they stand in SUBSCRIBE.
    pub(crate) fn encode(self) -> u8 {
        let retain_handling = match self.retain_handling {
            RetainHandling::Send => 0,
            RetainHandling::SendIfNew => 1,
            RetainHandling::DoNotSend => 2,
        };
        let (no_local, as_published) =
            (u8::from(self.no_local), u8::from(self.retain_as_published));
        self.qos | no_local << 2 | as_published << 3 | retain_handling << 4
    }

    /// From that; the defaults, if it is none.
    pub(crate) fn of(byte: u8) -> Self {
        Self::decode(Version::V5, byte).unwrap_or_default()
    }
}

/// A SUBSCRIBE, whose list was checked.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Subscribe<'a> {
    pub(crate) packet_id: u16,
    pub(crate) subscription_id: Option<u32>,
    version: Version,
    list: Reader<'a>,
}

/// One filter of it. A filter that is none is answered for itself (5.0 §3.9.3).
pub(crate) type Wanted<'a> = (&'a str, Result<SharedFilter<'a>, WireError>, Options);

impl<'a> Subscribe<'a> {
    /// Reads what follows the header.
    pub(crate) fn decode(version: Version, body: &'a [u8]) -> Result<Self, WireError> {
        let mut reader = Reader::new(body);
        let packet_id = reader.packet_id()?;
        let mut subscription_id = None;
        if version == Version::V5 {
            let mut properties = Properties::new(reader.block()?, PROPERTIES);
            while let Some((id, value)) = properties.next()? {
                if id == property::SUBSCRIPTION_ID {
                    subscription_id = Some(publish::subscription_id(value)?);
                }
            }
        }
        let all = Self { packet_id, subscription_id, version, list: reader };
        if reader.is_empty() {
            return Err(WireError::Protocol("no filter"));
        }
        while !reader.is_empty() {
            let (text, filter, options) = all.one(&mut reader)?;
            if text.is_empty() || text.bytes().filter(|byte| *byte == b'/').count() >= LEVELS_MAX {
                return Err(WireError::Malformed("a filter without levels, or with too many"));
            }
            if filter.is_ok_and(|filter| filter.group.is_some()) && options.no_local {
                return Err(WireError::Protocol("a shared subscription with no-local"));
            }
        }
        Ok(all)
    }

    /// The filters, in their order.
    pub(crate) fn filters(&self) -> impl Iterator<Item = Wanted<'a>> {
        let (all, mut reader) = (*self, self.list);
        // What was checked before does not fail.
        std::iter::from_fn(move || all.one(&mut reader).ok())
    }

    fn one(&self, reader: &mut Reader<'a>) -> Result<Wanted<'a>, WireError> {
        let text = reader.text()?;
        let options = Options::decode(self.version, reader.u8()?)?;
        Ok((text, SharedFilter::parse(text), options))
    }
}

/// An UNSUBSCRIBE, whose list was checked.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Unsubscribe<'a> {
    pub(crate) packet_id: u16,
    list: Reader<'a>,
}

impl<'a> Unsubscribe<'a> {
    /// Reads what follows the header.
    pub(crate) fn decode(version: Version, body: &'a [u8]) -> Result<Self, WireError> {
        let mut reader = Reader::new(body);
        let packet_id = reader.packet_id()?;
        if version == Version::V5 {
            Properties::new(reader.block()?, UNSUBSCRIBE_PROPERTIES).check()?;
        }
        let list = reader;
        if reader.is_empty() {
            return Err(WireError::Protocol("no filter"));
        }
        while !reader.is_empty() {
            if reader.text()?.is_empty() {
                return Err(WireError::Malformed("a filter without levels"));
            }
        }
        Ok(Self { packet_id, list })
    }

    /// The filters, in their order.
    pub(crate) fn filters(&self) -> impl Iterator<Item = &'a str> {
        let mut reader = self.list;
        std::iter::from_fn(move || reader.text().ok())
    }
}

/// Writes a SUBACK.
pub(crate) fn encode_suback(
    version: Version,
    packet_id: u16,
    reasons: &[Reason],
    out: &mut Vec<u8>,
) {
    writer::packet(out, (Kind::Suback as u8) << 4, |out| {
        out.extend_from_slice(&packet_id.to_be_bytes());
        if version == Version::V5 {
            out.push(0);
        }
        // Older versions have one code for all that failed, and 3.1 has none: those clients of it
        // that look see a QoS that there is not.
        let code = |reason: &Reason| match version {
            Version::V5 => reason.0,
            _ if reason.is_failure() => Reason::UNSPECIFIED.0,
            _ => reason.0,
        };
        out.extend(reasons.iter().map(code));
    });
}

/// Writes an UNSUBACK, which before 5.0 says nothing.
pub(crate) fn encode_unsuback(
    version: Version,
    packet_id: u16,
    reasons: &[Reason],
    out: &mut Vec<u8>,
) {
    writer::packet(out, (Kind::Unsuback as u8) << 4, |out| {
        out.extend_from_slice(&packet_id.to_be_bytes());
        if version == Version::V5 {
            out.push(0);
            out.extend(reasons.iter().map(|reason| reason.0));
        }
    });
}

//! PUBACK, PUBREC, PUBREL and PUBCOMP (3.1.1 §3.4 to §3.7, 5.0 the same): the steps of QoS 1 and 2.

use super::header::Kind;
use super::property::{self, Properties, Set};
use super::reader::Reader;
use super::reason::Reason;
use super::{Version, WireError};

const PROPERTIES: Set = Set::of(&[property::REASON_STRING, property::USER_PROPERTY]);

/// One step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ack {
    pub(crate) packet_id: u16,
    pub(crate) reason: Reason,
}

impl Ack {
    /// Reads what follows the header.
    #[inline]
    pub(crate) fn decode(version: Version, body: &[u8]) -> Result<Self, WireError> {
        let mut reader = Reader::new(body);
        let packet_id = reader.packet_id()?;
        let mut reason = Reason::SUCCESS;
        if version == Version::V5 && !reader.is_empty() {
            reason = Reason(reader.u8()?);
            if !reader.is_empty() {
                Properties::new(reader.block()?, PROPERTIES).check()?;
            }
        }
        reader.end()?;
        Ok(Self { packet_id, reason })
    }

    /// Writes the packet, as short as it can be.
    #[inline]
    pub(crate) fn encode(&self, kind: Kind, version: Version, out: &mut Vec<u8>) {
        let flags = if kind == Kind::Pubrel { 2 } else { 0 };
        let [high, low] = self.packet_id.to_be_bytes();
        let first = (kind as u8) << 4 | flags;
        if version == Version::V5 && self.reason != Reason::SUCCESS {
            out.extend_from_slice(&[first, 3, high, low, self.reason.0]);
        } else {
            out.extend_from_slice(&[first, 2, high, low]);
        }
    }
}

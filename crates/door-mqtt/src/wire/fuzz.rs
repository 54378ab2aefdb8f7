//! Every decoder of this door, for fuzzing. Only there with the cargo feature `fuzzing`.

use super::ack::Ack;
use super::close::{Auth, Disconnect};
use super::connect::{Connect, Protocol};
use super::header::{Header, Kind};
use super::publish::{self, Outgoing, OutgoingProperties, Publish};
use super::reader::Reader;
use super::subscribe::{Subscribe, Unsubscribe};
use super::{Version, WireError};

/// Most bytes of a packet here.
const PACKET_MAX: usize = 1 << 20;

/// Reads the packets that `bytes` begin with, as a client's of each version.
///
/// # Panics
/// When a message that was read and written is not read as the same.
pub fn packets(bytes: &[u8]) {
    for version in [Version::V3, Version::V4, Version::V5] {
        let mut rest = bytes;
        while let Ok(Some(header)) = Header::decode(rest, PACKET_MAX) {
            let Some((packet, after)) = rest.split_at_checked(header.total()) else { break };
            let body = packet.get(header.size..).unwrap_or_default();
            if read(version, header, body).is_err() {
                break;
            }
            rest = after;
        }
    }
}

fn read(version: Version, header: Header, body: &[u8]) -> Result<(), WireError> {
    match header.kind {
        Kind::Connect => {
            let mut reader = Reader::new(body);
            if let Ok(protocol) = Protocol::decode(&mut reader) {
                Connect::decode(protocol.version, &mut reader)?;
            }
        }
        Kind::Publish => written_again(version, &Publish::decode(version, header.flags, body)?),
        Kind::Puback | Kind::Pubrec | Kind::Pubrel | Kind::Pubcomp => {
            Ack::decode(version, body)?;
        }
        Kind::Subscribe => {
            Subscribe::decode(version, body)?.filters().count();
        }
        Kind::Unsubscribe => {
            Unsubscribe::decode(version, body)?.filters().count();
        }
        Kind::Disconnect => {
            Disconnect::decode(version, body)?;
        }
        Kind::Auth => {
            Auth::decode(body)?;
        }
        Kind::Connack | Kind::Suback | Kind::Unsuback | Kind::Pingreq | Kind::Pingresp => {}
    }
    Ok(())
}

fn written_again(version: Version, publish: &Publish<'_>) {
    let kept = publish.properties.kept().concat();
    let again = publish::check_kept(&kept);
    assert!(again.is_ok(), "what is kept of properties cannot be read");
    let outgoing = Outgoing {
        qos: publish.qos,
        dup: publish.dup,
        retain: publish.retain,
        topic: publish.topic.as_bytes(),
        packet_id: publish.packet_id,
        payload: publish.payload,
        properties: OutgoingProperties {
            alias: publish.alias,
            expiry: publish.properties.expiry,
            subscription_ids: &[],
            kept: &kept,
        },
    };
    let mut out = Vec::new();
    outgoing.encode(version, &mut out);
    assert_eq!(out.len(), outgoing.size(version), "the size foretold");
    let header = Header::decode(&out, usize::MAX).ok().flatten();
    let read = header.and_then(|header| {
        let body = out.get(header.size..)?;
        Publish::decode(version, header.flags, body).ok()
    });
    let same = read.is_some_and(|read| {
        read.topic == publish.topic
            && read.payload == publish.payload
            && read.packet_id == publish.packet_id
            && read.alias == publish.alias
            && read.properties.kept().concat() == kept
    });
    assert!(same, "a message that was written is not read as the same");
}

//! What is published for a client that goes without a word.

use std::time::Duration;

use broker::Message;
use bytes::Bytes;

use crate::map::{self, Published};
use crate::wire::reader::Reader;
use crate::wire::{connect, property, writer};

/// A will, ready to be published but for the time.
#[derive(Debug)]
pub(crate) struct Will {
    pub(crate) topic: Box<str>,
    pub(crate) delay: Duration,
    pub(crate) retain: bool,
    /// In seconds from when it is published.
    pub(crate) expiry: Option<u32>,
    pub(crate) message: Message,
}

impl Will {
    /// Takes over what a client said.
    pub(crate) fn of(will: &connect::Will<'_>, publisher: broker::PublisherId) -> Self {
        let published = Published { qos: will.qos, retain: will.retain };
        let payload = Bytes::copy_from_slice(will.payload);
        let message = map::message(published, &will.properties, payload, publisher, || 0);
        Self {
            topic: will.topic.into(),
            delay: Duration::from_secs(will.delay.into()),
            retain: will.retain,
            expiry: will.properties.expiry,
            message,
        }
    }

    /// For a session that outlives the broker, in which it waits:
    ///
    /// ```text
    /// QoS and RETAIN u8 (4), then as in a CONNECT of 5.0: properties but for the delay, topic, payload
    /// ```
    pub(crate) fn encode(&self) -> Vec<u8> {
        let original = self.message.original.as_ref().map(|original| &original.bytes[..]);
        let (first, kept) = original.and_then(<[u8]>::split_first).unwrap_or((&0, &[]));
        let mut out = vec![*first];
        writer::measured(&mut out, |out| {
            out.extend_from_slice(kept);
            if let Some(seconds) = self.expiry {
                out.push(property::MESSAGE_EXPIRY);
                out.extend_from_slice(&seconds.to_be_bytes());
            }
        });
        writer::binary(&mut out, self.topic.as_bytes());
        writer::binary(&mut out, self.message.value.as_deref().unwrap_or_default());
        out
    }

    /// From that. What another version wrote is as good as nothing.
    pub(crate) fn decode(bytes: &[u8], publisher: broker::PublisherId) -> Option<Self> {
        let mut reader = Reader::new(bytes);
        let first = reader.u8().ok()?;
        let will = connect::Will::alone(first & 3, first & 4 != 0, &mut reader).ok()?;
        Some(Self::of(&will, publisher))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_will_that_is_written_down_is_the_same_when_it_is_read_back() {
        let user = [&[property::USER_PROPERTY, 0, 1][..], b"k", &[0, 1], b"v"].concat();
        let expiry = [property::MESSAGE_EXPIRY, 0, 0, 0, 9];
        for (properties, payload) in [
            (Vec::new(), &b""[..]),
            (user.clone(), &b"gone"[..]),
            ([&expiry[..], &user].concat(), &b"x"[..]),
            ([&user[..], &expiry, &user].concat(), &[0xff; 65_535][..]),
        ] {
            for (qos, retain) in [(0, false), (1, true), (2, false)] {
                let mut bytes = Vec::new();
                writer::measured(&mut bytes, |out| out.extend_from_slice(&properties));
                writer::binary(&mut bytes, b"a/b");
                writer::binary(&mut bytes, payload);
                let said = connect::Will::alone(qos, retain, &mut Reader::new(&bytes)).unwrap();
                let publisher = broker::PublisherId(7);
                let will = Will::of(&said, publisher);
                let again = Will::decode(&will.encode(), publisher).unwrap();
                assert_eq!(format!("{will:?}"), format!("{again:?}"));
                assert_eq!((again.retain, again.message.guaranteed), (retain, qos > 0));
            }
        }
        assert!(Will::decode(b"", broker::PublisherId(7)).is_none());
        assert!(Will::decode(b"\x01\xff\xff\xff\xff\xff", broker::PublisherId(7)).is_none());
    }
}

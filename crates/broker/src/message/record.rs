//! Messages as records, and back. What crosses protocols is plain text in headers, for readers who know nothing of
//! this; the table is in `docs/messages.md`.

use base::Millis;
use base::subject::TEXT;
use bytes::{Buf, BufMut, Bytes, BytesMut};
use store::batch::{NewRecord, Record};

use super::{Death, Message, Original, Properties, Via};

/// A media type.
pub(super) const CONTENT_TYPE: &str = "content-type";
/// The subject of answers, as text.
pub(super) const REPLY_TO: &str = "reply-to";
/// Any bytes.
pub(super) const CORRELATION_ID: &str = "correlation-id";
/// Milliseconds since the epoch, in decimal digits.
pub(super) const EXPIRES_AT: &str = "expires-at";
/// 0 to 255, in decimal digits.
pub(super) const PRIORITY: &str = "priority";
/// Who published it. No plain header: anybody can set those, and readers trust this.
pub(super) const USER: &str = "entrepot-user";
/// One byte that says whose, and that protocol's own properties.
pub(super) const ORIGINAL: &str = "entrepot-original";
/// The exchange through which it came into a queue, and …
pub(super) const EXCHANGE: &str = "entrepot-exchange";
/// … the routing key.
pub(super) const ROUTING_KEY: &str = "entrepot-routing-key";
/// Other routing keys that it was published with.
pub(super) const FURTHER_KEYS: &str = "entrepot-further-keys";
/// The queues in which it died.
pub(super) const DEATHS: &str = "entrepot-deaths";
/// Its queue does not want it any more from then on: milliseconds since the epoch, in decimal digits.
pub(crate) const DEADLINE: &str = "entrepot-deadline";
/// Another topic has the same message, and it is delivered from there.
pub(super) const COPY: &str = "entrepot-copy";
/// Who published it, for as long as the broker runs: there only if that is not to get it back.
pub(crate) const PUBLISHER: &str = "entrepot-publisher";

/// Sessions have it from elsewhere.
pub(super) const QUEUED: &str = "entrepot-queued";
/// The sessions that it is for: eight bytes each.
pub(crate) const SESSIONS: &str = "entrepot-sessions";

/// What a door wants to know when the message is taken.
pub(crate) const NOTE: &str = "entrepot-note";

/// The group of which a session was picked for it.
pub(crate) const GROUP: &str = "entrepot-group";

/// What readers have no use for.
const OWN: [&str; 7] = [COPY, PUBLISHER, QUEUED, SESSIONS, NOTE, GROUP, DEADLINE];

/// Most decimal digits of a time, and its sign.
const DEADLINE_BYTES_MAX: usize = 20;
/// Most bytes of a length, and of an offset.
const LENGTH_BYTES_MAX: usize = 5;
/// Most bytes of a record besides key, value and headers: attributes, time, and five numbers.
const RECORD_OVERHEAD: usize = 1 + 10 + 5 * LENGTH_BYTES_MAX;

/// A message as its record will be.
#[derive(Debug, Clone)]
pub(crate) struct NewMessage {
    pub(crate) key: Option<Bytes>,
    pub(crate) value: Option<Bytes>,
    pub(crate) headers: Vec<(Bytes, Option<Bytes>)>,
    pub(crate) timestamp: Millis,
}

impl NewMessage {
    /// No fewer bytes than the record takes.
    pub(crate) fn bytes_max(&self) -> usize {
        let length = |bytes: &Option<Bytes>| bytes.as_ref().map_or(0, Bytes::len);
        let header = |(name, value): &(Bytes, Option<Bytes>)| {
            name.len() + length(value) + 2 * LENGTH_BYTES_MAX
        };
        let headers: usize = self.headers.iter().map(header).sum();
        RECORD_OVERHEAD + length(&self.key) + length(&self.value) + headers
    }

    /// Says by which exchange it came into its queue.
    pub(crate) fn mark_via(&mut self, exchange: &Bytes, key: &Bytes) {
        self.headers.push((Bytes::from_static(EXCHANGE.as_bytes()), Some(exchange.clone())));
        self.headers.push((Bytes::from_static(ROUTING_KEY.as_bytes()), Some(key.clone())));
    }

    /// No fewer bytes than that, and until when its queue wants it, take.
    pub(crate) fn queue_bytes_max(exchange: &Bytes, key: &Bytes) -> usize {
        let names = EXCHANGE.len() + ROUTING_KEY.len() + DEADLINE.len();
        names + exchange.len() + key.len() + DEADLINE_BYTES_MAX + 6 * LENGTH_BYTES_MAX
    }

    /// Says until when its queue wants it.
    pub(crate) fn mark_deadline(&mut self, at: Millis) {
        let at = Some(Bytes::from(at.to_string()));
        self.headers.push((Bytes::from_static(DEADLINE.as_bytes()), at));
    }

    /// Says that it is delivered from another topic.
    pub(crate) fn mark_copy(&mut self) {
        self.headers.push((Bytes::from_static(COPY.as_bytes()), None));
    }

    /// Says that sessions have it from elsewhere.
    pub(crate) fn mark_queued(&mut self) {
        self.headers.push((Bytes::from_static(QUEUED.as_bytes()), None));
    }

    /// Says which sessions it is for.
    pub(crate) fn mark_sessions(&mut self, sessions: Bytes) {
        self.headers.push((Bytes::from_static(SESSIONS.as_bytes()), Some(sessions)));
    }

    /// Says of which group a session was picked for it.
    pub(crate) fn mark_group(&mut self, group: Bytes) {
        self.headers.push((Bytes::from_static(GROUP.as_bytes()), Some(group)));
    }

    /// Adds what a door wants to know of it.
    pub(crate) fn mark_note(&mut self, note: Bytes) {
        self.headers.push((Bytes::from_static(NOTE.as_bytes()), Some(note)));
    }

    /// Says who is not to get it back.
    pub(crate) fn mark_publisher(&mut self, publisher: Bytes) {
        self.headers.push((Bytes::from_static(PUBLISHER.as_bytes()), Some(publisher)));
    }
}

/// A message that has no headers and no properties, where it lies. Its record is the same as that of such a [`Message`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlainMessage<'a> {
    /// As in [`Message::key`].
    pub key: Option<&'a [u8]>,
    /// As in [`Message::value`].
    pub value: Option<&'a [u8]>,
    /// When it was made, or else when it came.
    pub timestamp: Millis,
}

impl<'a> PlainMessage<'a> {
    /// Its record.
    pub(crate) fn record(&self) -> NewRecord<'a> {
        let Self { key, value, timestamp } = *self;
        NewRecord { timestamp, key, value, headers: &[] }
    }

    /// No fewer bytes than the record takes.
    pub(crate) fn bytes_max(&self) -> usize {
        let length = |bytes: Option<&[u8]>| bytes.map_or(0, <[u8]>::len);
        RECORD_OVERHEAD + length(self.key) + length(self.value)
    }
}

impl Message {
    /// Its record. `subject` is the name of what it is about, and its key if it has none.
    pub(crate) fn to_record(&self, subject: Option<&Bytes>, now: Millis) -> NewMessage {
        let mut headers = self.headers.clone();
        // Readers trust these: only doors say them.
        headers.retain(|(name, _)| name != USER && name != ORIGINAL);
        let mut add = |name: &'static str, value: Option<Bytes>| {
            if value.is_some() {
                headers.push((Bytes::from_static(name.as_bytes()), value));
            }
        };
        let Properties { content_type, reply_to, correlation_id, expires_at, priority, user } =
            &self.properties;
        add(CONTENT_TYPE, content_type.clone());
        add(REPLY_TO, reply_to.as_ref().map(|subject| TEXT.name(subject)));
        add(CORRELATION_ID, correlation_id.clone());
        add(EXPIRES_AT, expires_at.map(|at| Bytes::from(at.to_string())));
        add(PRIORITY, priority.map(|priority| Bytes::from(priority.to_string())));
        add(USER, user.clone());
        add(ORIGINAL, self.original.as_ref().map(Original::to_bytes));
        add(EXCHANGE, self.via.as_ref().map(|via| via.exchange.clone()));
        add(ROUTING_KEY, self.via.as_ref().map(|via| via.key.clone()));
        add(FURTHER_KEYS, (!self.further_keys.is_empty()).then(|| put_keys(&self.further_keys)));
        add(DEATHS, (!self.deaths.is_empty()).then(|| Death::encode(&self.deaths)));
        NewMessage {
            key: self.key.as_ref().or(subject).cloned(),
            value: self.value.clone(),
            headers,
            timestamp: self.timestamp.unwrap_or(now),
        }
    }

    /// From its record. Of several headers of one name the last is the property, the others stay headers.
    pub fn from_record(record: &Record) -> Self {
        let headers = record.headers.iter().map(|header| (header.key, header.value));
        let mut message = Self {
            key: record.key.clone(),
            value: record.value.clone(),
            timestamp: Some(record.timestamp),
            guaranteed: record.headers.iter().any(|header| header.key == QUEUED),
            headers: headers.filter(|(name, _)| !OWN.iter().any(|own| name == own)).collect(),
            ..Self::default()
        };
        if message.headers.is_empty() {
            return message;
        }
        message.deaths = message.take(DEATHS, Death::decode).unwrap_or_default();
        message.further_keys = message.take(FURTHER_KEYS, take_keys).unwrap_or_default();
        let key = message.take(ROUTING_KEY, |key| Some(key.clone()));
        let exchange = message.take(EXCHANGE, |exchange| Some(exchange.clone()));
        message.via = exchange.zip(key).map(|(exchange, key)| Via { exchange, key });
        message.original = message.take(ORIGINAL, |bytes| Original::from_bytes(bytes.clone()));
        message.properties = Properties {
            user: message.take(USER, |user| Some(user.clone())),
            priority: message.take(PRIORITY, number),
            expires_at: message.take(EXPIRES_AT, number),
            correlation_id: message.take(CORRELATION_ID, |id| Some(id.clone())),
            reply_to: message.take(REPLY_TO, |text| TEXT.subject(text).ok()),
            content_type: message.take(CONTENT_TYPE, |text| Some(text.clone())),
        };
        message
    }

    /// Takes a property out of the headers, if the last header of this name is one.
    fn take<T>(&mut self, name: &str, read: impl FnOnce(&Bytes) -> Option<T>) -> Option<T> {
        let at = self.headers.iter().rposition(|(key, _)| key == name)?;
        let property = self.headers.get(at)?.1.as_ref().and_then(read)?;
        self.headers.remove(at);
        Some(property)
    }
}

/// Keys, each a `u32` length (big-endian) and bytes.
fn put_keys(keys: &[Bytes]) -> Bytes {
    let mut out = BytesMut::new();
    for key in keys {
        out.put_u32(u32::try_from(key.len()).unwrap_or(u32::MAX));
        out.put_slice(key);
    }
    out.freeze()
}

/// The reverse; `None`: these bytes are no such list. Takes no more memory than it is given.
fn take_keys(bytes: &Bytes) -> Option<Vec<Bytes>> {
    let (mut bytes, mut keys) = (bytes.clone(), Vec::new());
    while !bytes.is_empty() {
        let length = usize::try_from(bytes.try_get_u32().ok()?).ok()?;
        keys.push((length <= bytes.len()).then(|| bytes.split_to(length))?);
    }
    Some(keys)
}

/// Whether a record's message is delivered from another topic.
pub(crate) fn is_copy(record: &Record) -> bool {
    record.headers.iter().any(|header| header.key == COPY)
}

fn number<N: std::str::FromStr>(text: &Bytes) -> Option<N> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

impl Original {
    fn to_bytes(&self) -> Bytes {
        [&[self.door], &self.bytes[..]].concat().into()
    }

    fn from_bytes(mut bytes: Bytes) -> Option<Self> {
        let door = *bytes.first()?;
        Some(Self { door, bytes: bytes.split_off(1) })
    }
}

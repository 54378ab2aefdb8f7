//! Where the registry stands in the metadata store, and how its values are written.
//!
//! | key | value |
//! |---|---|
//! | `registry/head` | the newest write's tag |
//! | `registry/step` | what the newest write that others may wait for did, in order |
//! | `registry/entry/<path>` | an entry |
//! | `registry/children/<path>` | how many children the entry ever had, in decimal |
//! | `registry/access/<path>` | who may do what with it, where that is not everybody everything (JSON) |
//! | `registry/session/<number>` | a session (JSON) |
//!
//! An entry's children have a key of their own so that a child that comes or goes does not write
//! the parent's data again. Numbers in binary values are big-endian.

use std::sync::Arc;

use base::{BrokerId, Millis};
use bytes::{Buf, BufMut, Bytes};
use cluster::{KeyValue, Op, RangeResponse, WatchBatch};
use serde::{Deserialize, Serialize};

pub(super) const HEAD: &str = "registry/head";
pub(super) const STEP: &str = "registry/step";
pub(super) const SESSIONS: &str = "registry/session/";
const ENTRIES: &str = "registry/entry";
const CHILDREN: &str = "registry/children";
const ACCESS: &str = "registry/access";

/// What the longest key has beside a path.
pub(super) const KEY_BYTES_MAX: usize = CHILDREN.len();

/// First byte of every binary value.
const FORMAT: u8 = 1;

/// Bits of an entry's flags.
const HAS_DATA: u8 = 1;
const IS_CONTAINER: u8 = 2;

/// Names one write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Tag {
    /// Random, chosen by the writer when it starts.
    pub writer: u64,
    /// The writer's own count.
    pub counter: u64,
}

/// An entry of the tree.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Entry {
    /// Its data; none is not the same as empty.
    pub data: Option<Bytes>,
    /// How often its data was replaced.
    pub version: i32,
    /// When it was created.
    pub created_at: Millis,
    /// When its data was last written.
    pub modified_at: Millis,
    /// The session that it ends with, or 0.
    pub owner: i64,
    /// It ends when its last child has gone.
    pub container: bool,
    /// The revision that created it. To be written with an entry: 0 for one whose key is created
    /// by this write or one before it, [`Entry::HERE`] for one that this write creates in the
    /// place of another.
    pub created: u64,
    /// The revision that last wrote its data; the store fills it in.
    pub modified: u64,
}

impl Entry {
    /// See [`Entry::created`].
    pub const HERE: u64 = u64::MAX;
}

/// What is known of an entry's children.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Children {
    /// How many were created ever.
    pub created: i32,
    /// The revision at which the last one came or went; the store fills it in.
    pub changed: u64,
}

/// Who may do what with an entry.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Access {
    /// How often it was replaced.
    pub version: i32,
    /// The rules; without any, everybody may do everything.
    pub rules: Vec<Rule>,
}

/// Permissions for somebody.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Rule {
    /// What may be done, as the door's bits.
    pub permissions: i32,
    /// How `id` is to be read.
    pub scheme: String,
    /// Who may.
    pub id: String,
}

/// A session that a client opened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// What the client shows to go on with it.
    pub secret: [u8; 16],
    /// Milliseconds of silence after which it ends.
    pub timeout: i32,
    /// The broker that sees to that.
    pub broker: i32,
}

impl Session {
    /// The broker that looks after the session.
    pub fn broker(&self) -> BrokerId {
        BrokerId(self.broker)
    }
}

/// The new state of one thing; none where it is gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// An entry.
    Entry(Arc<str>, Option<Entry>),
    /// An entry's count of children.
    Children(Arc<str>, Option<Children>),
    /// An entry's access rules.
    Access(Arc<str>, Option<Access>),
    /// A session, by number.
    Session(i64, Option<Session>),
}

/// What a write did to an entry, for those who wait for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventKind {
    /// It came.
    Created,
    /// It went.
    Deleted,
    /// Its data was written.
    Written,
}

/// A write's name, and what it did in the order in which it did it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The write.
    pub tag: Tag,
    /// What happened to which path.
    pub events: Vec<(EventKind, Arc<str>)>,
}

/// All changes of one revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// The revision.
    pub revision: u64,
    /// The write that made them.
    pub step: Option<Step>,
    /// The changes, parents before children.
    pub changes: Vec<Change>,
}

impl Batch {
    pub(crate) fn load(range: &RangeResponse) -> Self {
        let mut batch = Self { revision: range.revision, step: None, changes: Vec::new() };
        range.kvs.iter().for_each(|kv| batch.take(&kv.key, Some(kv)));
        // What the newest write did is part of the picture already.
        batch.step.iter_mut().for_each(|step| step.events.clear());
        batch
    }

    pub(crate) fn of(changes: &WatchBatch) -> Self {
        let mut batch = Self { revision: changes.revision, step: None, changes: Vec::new() };
        for change in &changes.changes {
            match change {
                cluster::Change::Put(kv) => batch.take(&kv.key, Some(kv)),
                cluster::Change::Delete { key } => batch.take(key, None),
            }
        }
        batch
    }

    /// A value that cannot be read was written by a newer version: it is left alone, and said.
    fn take(&mut self, key: &Bytes, kv: Option<&KeyValue>) {
        if self.try_take(key, kv).is_none() {
            let key = String::from_utf8_lossy(key);
            tracing::error!(%key, "cannot read a value of the registry");
        }
    }

    fn try_take(&mut self, key: &[u8], kv: Option<&KeyValue>) -> Option<()> {
        let key = std::str::from_utf8(key).ok()?;
        if key == HEAD {
            self.step = match kv {
                Some(kv) => Some(Step { tag: Tag::decode(&kv.value)?, events: Vec::new() }),
                None => None,
            };
        } else if key == STEP {
            // The head comes first in the order of keys.
            if let (Some(kv), Some(step)) = (kv, &mut self.step) {
                step.events = decode_events(kv.value.clone())?;
            }
        } else if let Some(number) = key.strip_prefix(SESSIONS) {
            let number = u64::from_str_radix(number, 16).ok()?.cast_signed();
            self.changes.push(Change::Session(number, parse(kv)?));
        } else if let Some(path) = key.strip_prefix(ENTRIES) {
            let entry = match kv {
                Some(kv) => Some(Entry::decode(kv)?),
                None => None,
            };
            self.changes.push(Change::Entry(path.into(), entry));
        } else if let Some(path) = key.strip_prefix(CHILDREN) {
            let children = match kv {
                Some(kv) => {
                    let created = std::str::from_utf8(&kv.value).ok()?.parse().ok()?;
                    Some(Children { created, changed: kv.mod_revision })
                }
                None => None,
            };
            self.changes.push(Change::Children(path.into(), children));
        } else if let Some(path) = key.strip_prefix(ACCESS) {
            self.changes.push(Change::Access(path.into(), parse(kv)?));
        }
        Some(())
    }
}

/// A JSON value: none where it is gone, nothing at all where it cannot be read.
#[allow(clippy::option_option, reason = "the outer one is a failure, the inner one a value")]
fn parse<T: serde::de::DeserializeOwned>(kv: Option<&KeyValue>) -> Option<Option<T>> {
    kv.map_or(Some(None), |kv| serde_json::from_slice(&kv.value).ok().map(Some))
}

impl Change {
    pub(super) fn op(&self) -> Op {
        let (key, value) = match self {
            Self::Entry(path, entry) => {
                (format!("{ENTRIES}{path}"), entry.as_ref().map(Entry::encode))
            }
            Self::Children(path, children) => {
                let value = children.map(|children| children.created.to_string().into_bytes());
                (format!("{CHILDREN}{path}"), value)
            }
            Self::Access(path, access) => {
                (format!("{ACCESS}{path}"), access.as_ref().map(crate::metadata::keys::encode))
            }
            Self::Session(number, session) => {
                let key = format!("{SESSIONS}{:016x}", number.cast_unsigned());
                (key, session.as_ref().map(crate::metadata::keys::encode))
            }
        };
        match value {
            Some(value) => Op::put(key, value),
            None => Op::delete(key),
        }
    }
}

impl Tag {
    pub(super) fn encode(self) -> Vec<u8> {
        let mut bytes = vec![FORMAT];
        bytes.put_u64(self.writer);
        bytes.put_u64(self.counter);
        bytes
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let mut bytes = bytes.strip_prefix(&[FORMAT])?;
        let writer = bytes.try_get_u64().ok()?;
        Some(Self { writer, counter: bytes.try_get_u64().ok()? })
    }
}

impl Step {
    /// The events: for each a kind, the length of the path, and the path.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![FORMAT];
        for (kind, path) in &self.events {
            bytes.put_u8(match kind {
                EventKind::Created => 1,
                EventKind::Deleted => 2,
                EventKind::Written => 3,
            });
            bytes.put_u32(u32::try_from(path.len()).unwrap_or(u32::MAX));
            bytes.put_slice(path.as_bytes());
        }
        bytes
    }
}

pub(super) fn decode_events(mut bytes: Bytes) -> Option<Vec<(EventKind, Arc<str>)>> {
    let mut events = Vec::new();
    (bytes.try_get_u8().ok()? == FORMAT).then_some(())?;
    while bytes.has_remaining() {
        let kind = match bytes.get_u8() {
            1 => EventKind::Created,
            2 => EventKind::Deleted,
            3 => EventKind::Written,
            _ => return None,
        };
        let length = usize::try_from(bytes.try_get_u32().ok()?).ok()?;
        let path = (length <= bytes.len()).then(|| bytes.split_to(length))?;
        events.push((kind, std::str::from_utf8(&path).ok()?.into()));
    }
    Some(events)
}

impl Entry {
    fn encode(&self) -> Vec<u8> {
        let data = self.data.as_deref();
        let mut bytes = Vec::with_capacity(64 + data.map_or(0, <[u8]>::len));
        bytes.put_u8(FORMAT);
        let has_data = if data.is_some() { HAS_DATA } else { 0 };
        bytes.put_u8(has_data | if self.container { IS_CONTAINER } else { 0 });
        bytes.put_u64(self.created);
        bytes.put_i64(self.created_at);
        bytes.put_i64(self.modified_at);
        bytes.put_i32(self.version);
        bytes.put_i64(self.owner);
        bytes.put_slice(data.unwrap_or_default());
        bytes
    }

    fn decode(kv: &KeyValue) -> Option<Self> {
        let mut bytes = kv.value.clone();
        (bytes.try_get_u8().ok()? == FORMAT).then_some(())?;
        let flags = bytes.try_get_u8().ok()?;
        let created = match bytes.try_get_u64().ok()? {
            0 => kv.create_revision,
            Self::HERE => kv.mod_revision,
            revision => revision,
        };
        Some(Self {
            created_at: bytes.try_get_i64().ok()?,
            modified_at: bytes.try_get_i64().ok()?,
            version: bytes.try_get_i32().ok()?,
            owner: bytes.try_get_i64().ok()?,
            // What is left shares the memory of the metadata store.
            data: (flags & HAS_DATA != 0).then_some(bytes),
            container: flags & IS_CONTAINER != 0,
            created,
            modified: kv.mod_revision,
        })
    }
}

//! The records of replies and events.

use broker::registry::Rule;

use super::code::Code;
use super::jute::{Malformed, Reader, Writer};
use super::op;

/// The `xid` of an event, which answers no request.
pub(crate) const EVENT_XID: i32 = -1;

/// The `xid` of the answer to a ping, whatever the request's was.
pub(crate) const PING_XID: i32 = -2;

/// Bytes of a reply's header.
const HEADER_BYTES: usize = 4 + 8 + 4;

/// What each reply begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ReplyHeader {
    /// The request's number.
    pub(crate) xid: i32,
    /// The state that the reply shows.
    pub(crate) zxid: i64,
    /// Zero, or a [`Code`]; then no record follows.
    pub(crate) error: i32,
}

impl ReplyHeader {
    /// The whole frame of a reply with this header and this record.
    pub(crate) fn frame(self, record: &[u8]) -> Writer {
        let mut out = Writer::default();
        let record = if self.error == 0 { record } else { &[] };
        out.count(HEADER_BYTES + record.len());
        out.int(self.xid);
        out.long(self.zxid);
        out.int(self.error);
        out.raw(record);
        out
    }
}

/// What is known of a node beside its data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Stat {
    /// Change that created the node.
    pub(crate) czxid: i64,
    /// Change that last wrote its data.
    pub(crate) mzxid: i64,
    /// When it was created, in milliseconds since the epoch.
    pub(crate) ctime: i64,
    /// When its data was last written.
    pub(crate) mtime: i64,
    /// How often its data was written after its creation.
    pub(crate) version: i32,
    /// How often a child was created or deleted.
    pub(crate) cversion: i32,
    /// How often its access list was replaced.
    pub(crate) aversion: i32,
    /// The session that the node ends with; zero for none.
    pub(crate) ephemeral_owner: i64,
    pub(crate) data_length: usize,
    pub(crate) children: usize,
    /// Change that last created or deleted a child.
    pub(crate) pzxid: i64,
}

impl Stat {
    pub(crate) fn encode(&self, out: &mut Writer) {
        out.long(self.czxid);
        out.long(self.mzxid);
        out.long(self.ctime);
        out.long(self.mtime);
        out.int(self.version);
        out.int(self.cversion);
        out.int(self.aversion);
        out.long(self.ephemeral_owner);
        out.count(self.data_length);
        out.count(self.children);
        out.long(self.pzxid);
    }

    pub(crate) fn decode(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        let count = |number: i32| usize::try_from(number).map_err(|_| Malformed);
        Ok(Self {
            czxid: reader.long()?,
            mzxid: reader.long()?,
            ctime: reader.long()?,
            mtime: reader.long()?,
            version: reader.int()?,
            cversion: reader.int()?,
            aversion: reader.int()?,
            ephemeral_owner: reader.long()?,
            data_length: count(reader.int()?)?,
            children: count(reader.int()?)?,
            pzxid: reader.long()?,
        })
    }
}

/// What a watch reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i32)]
pub(crate) enum EventKind {
    Created = 1,
    Deleted = 2,
    DataChanged = 3,
    ChildrenChanged = 4,
}

/// The whole frame of an event about `path`. Its zxid is -1 in ZooKeeper 3.8 (later versions tell
/// the change's).
pub(crate) fn event(kind: EventKind, path: &str) -> Writer {
    const CONNECTED: i32 = 3;
    let mut record = Writer::default();
    record.int(kind as i32);
    record.int(CONNECTED);
    record.text(path);
    ReplyHeader { xid: EVENT_XID, zxid: -1, error: 0 }.frame(record.as_slice())
}

/// An access list.
pub(crate) fn acl(rules: &[Rule], out: &mut Writer) {
    out.count(rules.len());
    for Rule { permissions, scheme, id } in rules {
        out.int(*permissions);
        out.text(scheme);
        out.text(id);
    }
}

/// The header of one result of a `multi` or `multiRead` that succeeded.
pub(crate) fn multi_result(op: i32, out: &mut Writer) {
    out.int(op);
    out.boolean(false);
    out.int(0);
}

/// One result of a `multi` or `multiRead` that failed, or (none) was undone by another's failure.
pub(crate) fn multi_error(code: Option<Code>, out: &mut Writer) {
    let number = code.map_or(0, Code::number);
    out.int(op::ERROR);
    out.boolean(false);
    out.int(number);
    out.int(number);
}

/// What ends the results of a `multi` or `multiRead`.
pub(crate) fn multi_end(out: &mut Writer) {
    out.int(op::ERROR);
    out.boolean(true);
    out.int(-1);
}

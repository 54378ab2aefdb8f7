//! The records of requests. Each is named for its operation in [`super::op`].

use super::jute::{Malformed, Reader};

/// What each request begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RequestHeader {
    /// The client's number for the request, which the reply repeats.
    pub(crate) xid: i32,
    /// The operation.
    pub(crate) op: i32,
}

impl RequestHeader {
    pub(crate) fn decode(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(Self { xid: reader.int()?, op: reader.int()? })
    }
}

/// `exists`, `getData`, `getChildren`, `getChildren2`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Read<'a> {
    pub(crate) path: &'a str,
    /// Leave a one-shot watch.
    pub(crate) watch: bool,
}

impl<'a> Read<'a> {
    pub(crate) fn decode(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        Ok(Self { path: reader.text()?, watch: reader.boolean()? })
    }
}

/// An entry of an access list as a client sent it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct AclEntry {
    pub(crate) permissions: i32,
    pub(crate) scheme: Option<String>,
    pub(crate) id: String,
}

/// `create`, `create2`, `createContainer`, `createTTL`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Create<'a> {
    pub(crate) path: &'a str,
    pub(crate) data: Option<&'a [u8]>,
    pub(crate) acl: Vec<AclEntry>,
    /// Kind of node: ephemeral, sequential, and so on.
    pub(crate) flags: i32,
    /// Time to live in milliseconds; -1 where the operation has none.
    pub(crate) ttl: i64,
}

impl<'a> Create<'a> {
    pub(crate) fn decode(reader: &mut Reader<'a>, has_ttl: bool) -> Result<Self, Malformed> {
        let path = reader.text()?;
        let data = reader.buffer()?;
        let acl = decode_acl(reader)?;
        let flags = reader.int()?;
        let ttl = if has_ttl { reader.long()? } else { -1 };
        Ok(Self { path, data, acl, flags, ttl })
    }
}

/// `delete`, `check`: a path and the version that it must have, -1 for any.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Versioned<'a> {
    pub(crate) path: &'a str,
    pub(crate) version: i32,
}

impl<'a> Versioned<'a> {
    pub(crate) fn decode(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        Ok(Self { path: reader.text()?, version: reader.int()? })
    }
}

/// `setData`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SetData<'a> {
    pub(crate) path: &'a str,
    pub(crate) data: Option<&'a [u8]>,
    pub(crate) version: i32,
}

impl<'a> SetData<'a> {
    pub(crate) fn decode(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        Ok(Self { path: reader.text()?, data: reader.buffer()?, version: reader.int()? })
    }
}

/// `setACL`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SetAcl<'a> {
    pub(crate) path: &'a str,
    pub(crate) acl: Vec<AclEntry>,
    pub(crate) version: i32,
}

impl<'a> SetAcl<'a> {
    pub(crate) fn decode(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        let path = reader.text()?;
        let acl = decode_acl(reader)?;
        Ok(Self { path, acl, version: reader.int()? })
    }
}

/// A null list counts as an empty one.
fn decode_acl(reader: &mut Reader<'_>) -> Result<Vec<AclEntry>, Malformed> {
    let entries = match reader.clone().int()? {
        -1 => reader.int().map(|_| 0)?,
        _ => reader.count(12)?,
    };
    let entry = |_| {
        let permissions = reader.int()?;
        let scheme = reader.string()?.map(str::to_owned);
        let id = reader.text()?.to_owned();
        Ok(AclEntry { permissions, scheme, id })
    };
    (0..entries).map(entry).collect()
}

/// `setWatches` and `setWatches2`: what a client that reconnected still waits for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct SetWatches<'a> {
    /// The newest state that the client has seen.
    pub(crate) relative_zxid: i64,
    pub(crate) data: Vec<&'a str>,
    pub(crate) exists: Vec<&'a str>,
    pub(crate) children: Vec<&'a str>,
    pub(crate) persistent: Vec<&'a str>,
    pub(crate) recursive: Vec<&'a str>,
}

impl<'a> SetWatches<'a> {
    pub(crate) fn decode(reader: &mut Reader<'a>, has_persistent: bool) -> Result<Self, Malformed> {
        let mut watches = Self {
            relative_zxid: reader.long()?,
            data: reader.texts()?,
            exists: reader.texts()?,
            children: reader.texts()?,
            ..Self::default()
        };
        if has_persistent {
            watches.persistent = reader.texts()?;
            watches.recursive = reader.texts()?;
        }
        Ok(watches)
    }
}

/// `addWatch` (mode), `checkWatches` and `removeWatches` (kind of watch).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct WatchRequest<'a> {
    pub(crate) path: &'a str,
    pub(crate) kind: i32,
}

impl<'a> WatchRequest<'a> {
    pub(crate) fn decode(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        Ok(Self { path: reader.text()?, kind: reader.int()? })
    }
}

/// `auth`: credentials for this connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Auth<'a> {
    pub(crate) scheme: &'a str,
    pub(crate) credentials: &'a [u8],
}

impl<'a> Auth<'a> {
    pub(crate) fn decode(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        let _kind = reader.int()?;
        let scheme = reader.string()?.unwrap_or_default();
        Ok(Self { scheme, credentials: reader.buffer()?.unwrap_or_default() })
    }
}

/// What stands before each operation of a `multi` or `multiRead`, and each of its results.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct MultiHeader {
    pub(crate) op: i32,
    /// No operation follows, this is the end.
    pub(crate) done: bool,
}

impl MultiHeader {
    pub(crate) fn decode(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        let (op, done) = (reader.int()?, reader.boolean()?);
        let _error = reader.int()?;
        Ok(Self { op, done })
    }
}

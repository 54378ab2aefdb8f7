//! The other half of the codec: the requests that a client sends, and the answers that it gets.
//! Only those that a broker's registration needs.

use broker::registry::Rule;
use bytes::Bytes;

use super::connect::PASSWORD_BYTES;
use super::jute::{Malformed, Reader, Writer};
use super::op;
use super::reply::{self, EVENT_XID, PING_XID, Stat};

/// The `xid` of a client's credentials.
pub(crate) const AUTH_XID: i32 = -4;

/// What `create` makes: a node that ends with its session.
const EPHEMERAL: i32 = 1;

/// Any version of a node.
const ANY: i32 = -1;

/// A session and what proves that it is one's own. Zero is none yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Session {
    pub(crate) id: i64,
    pub(crate) password: [u8; PASSWORD_BYTES],
}

/// The frame that opens a session (`session.id` zero) or goes on with one.
pub(crate) fn hello(session: &Session, last_zxid_seen: i64, timeout: i32) -> Writer {
    let mut record = Writer::default();
    record.int(0);
    record.long(last_zxid_seen);
    record.int(timeout);
    record.long(session.id);
    record.buffer(Some(&session.password));
    // A server without a quorum must not serve us.
    record.boolean(false);
    framed(&record)
}

/// The answer to [`hello`]: the session and its time-out in milliseconds. None: it has expired.
pub(crate) fn welcome(frame: &[u8]) -> Result<Option<(Session, u32)>, Malformed> {
    let mut reader = Reader::new(frame);
    let _protocol_version = reader.int()?;
    let timeout = reader.int()?;
    let id = reader.long()?;
    let password = reader.buffer()?.unwrap_or_default();
    let password = password.try_into().map_err(|_| Malformed)?;
    let timeout = u32::try_from(timeout).ok().filter(|timeout| *timeout > 0 && id != 0);
    Ok(timeout.map(|timeout| (Session { id, password }, timeout)))
}

/// One request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Ask {
    Create {
        path: String,
        data: Option<Bytes>,
        rules: &'static [Rule],
        ephemeral: bool,
    },
    Delete {
        path: String,
    },
    SetData {
        path: String,
        data: Option<Bytes>,
    },
    GetData {
        path: String,
        watch: bool,
    },
    GetChildren {
        path: String,
    },
    Ping,
    /// `user:password`, for access lists.
    Digest {
        credentials: Bytes,
    },
    Close,
}

impl Ask {
    fn op(&self) -> i32 {
        match self {
            Self::Create { .. } => op::CREATE,
            Self::Delete { .. } => op::DELETE,
            Self::SetData { .. } => op::SET_DATA,
            Self::GetData { .. } => op::GET_DATA,
            Self::GetChildren { .. } => op::GET_CHILDREN,
            Self::Ping => op::PING,
            Self::Digest { .. } => op::AUTH,
            Self::Close => op::CLOSE_SESSION,
        }
    }

    /// The node that it is about; empty where it is about none.
    pub(crate) fn path(&self) -> &str {
        match self {
            Self::Create { path, .. }
            | Self::Delete { path }
            | Self::SetData { path, .. }
            | Self::GetData { path, .. }
            | Self::GetChildren { path } => path,
            Self::Ping | Self::Digest { .. } | Self::Close => "",
        }
    }

    /// The whole frame of this request.
    pub(crate) fn frame(&self, xid: i32) -> Writer {
        let mut record = Writer::default();
        record.int(xid);
        record.int(self.op());
        match self {
            Self::Create { path, data, rules, ephemeral } => {
                record.text(path);
                record.buffer(data.as_deref());
                reply::acl(rules, &mut record);
                record.int(if *ephemeral { EPHEMERAL } else { 0 });
            }
            Self::Delete { path } => {
                record.text(path);
                record.int(ANY);
            }
            Self::SetData { path, data } => {
                record.text(path);
                record.buffer(data.as_deref());
                record.int(ANY);
            }
            Self::GetData { path, watch } => {
                record.text(path);
                record.boolean(*watch);
            }
            Self::GetChildren { path } => {
                record.text(path);
                record.boolean(false);
            }
            Self::Digest { credentials } => {
                record.int(0);
                record.text("digest");
                record.buffer(Some(credentials));
            }
            Self::Ping | Self::Close => {}
        }
        framed(&record)
    }

    /// Reads what follows the header of an answer without error.
    pub(crate) fn answer(&self, reader: &mut Reader<'_>) -> Result<Answer, Malformed> {
        match self {
            Self::GetData { .. } => {
                let data = reader.buffer()?.map(Bytes::copy_from_slice);
                Ok(Answer::Data(data, Stat::decode(reader)?))
            }
            Self::GetChildren { .. } => {
                Ok(Answer::Children(reader.texts()?.into_iter().map(str::to_owned).collect()))
            }
            _ => Ok(Answer::Done),
        }
    }
}

/// What a request that succeeded was answered with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Answer {
    /// What the request says is all there is to know.
    Done,
    Data(Option<Bytes>, Stat),
    /// The last parts of the children's paths, in no order.
    Children(Vec<String>),
}

/// What a frame from the server is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Heard {
    /// A watch fired.
    Event,
    /// A ping was answered.
    Pong,
    /// A request was: its number, and its error, or zero.
    Answer { xid: i32, error: i32 },
}

/// Reads a frame's header: the newest change that the server has seen, and what the frame is. The
/// reader is left at the record.
pub(crate) fn header(reader: &mut Reader<'_>) -> Result<(i64, Heard), Malformed> {
    let (xid, zxid, error) = (reader.int()?, reader.long()?, reader.int()?);
    let heard = match xid {
        EVENT_XID => Heard::Event,
        PING_XID => Heard::Pong,
        _ => Heard::Answer { xid, error },
    };
    Ok((zxid, heard))
}

fn framed(record: &Writer) -> Writer {
    let mut out = Writer::default();
    out.buffer(Some(record.as_slice()));
    out
}

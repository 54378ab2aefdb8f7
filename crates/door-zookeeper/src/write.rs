//! What clients write: the operations, and the answers to them.

use std::sync::Arc;

use broker::registry;
use bytes::Bytes;

use crate::wire::code::Code;
use crate::wire::jute::{Malformed, Reader, Writer};
use crate::wire::op;
use crate::wire::reply::{self, Stat};
use crate::wire::request::{self, AclEntry, MultiHeader, Versioned};

pub(crate) mod carry_out;
#[cfg(test)]
mod tests;
pub(crate) mod view;

/// Something to write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Operation {
    Create(Create),
    Delete {
        path: Arc<str>,
        version: i32,
    },
    SetData {
        path: Arc<str>,
        data: Option<Bytes>,
        version: i32,
    },
    SetAcl {
        path: Arc<str>,
        acl: Vec<AclEntry>,
        version: i32,
    },
    Check {
        path: Arc<str>,
        version: i32,
    },
    /// All or nothing, with the operations' codes.
    Multi(Vec<(i32, Operation)>),
    /// Opens a session, or gives it another time-out.
    OpenSession(i64, registry::Session),
    /// Ends a session and its ephemeral nodes.
    CloseSession(i64),
    /// Deletes a container if it is empty.
    CloseContainer(Arc<str>),
}

/// `create`, `create2`, `createContainer`, `createTTL`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Create {
    pub(crate) path: Arc<str>,
    pub(crate) data: Option<Bytes>,
    pub(crate) acl: Vec<AclEntry>,
    pub(crate) flags: i32,
    pub(crate) ttl: i64,
}

impl Operation {
    /// Reads a request that writes; none where `op` is none.
    pub(crate) fn decode(
        op: i32,
        session: i64,
        body: &mut Reader<'_>,
    ) -> Option<Result<Self, Malformed>> {
        Some(match op {
            op::MULTI => decode_multi(body).map(Self::Multi),
            op::SET_ACL => request::SetAcl::decode(body).map(|request| {
                let request::SetAcl { path, acl, version } = request;
                Self::SetAcl { path: path.into(), acl, version }
            }),
            op::CLOSE_SESSION => Ok(Self::CloseSession(session)),
            // Alone, it only reads.
            op::CHECK => return None,
            op => return decode_step(op, body),
        })
    }
}

/// One that may stand in a transaction.
fn decode_step(op: i32, body: &mut Reader<'_>) -> Option<Result<Operation, Malformed>> {
    let owned = |data: Option<&[u8]>| data.map(Bytes::copy_from_slice);
    Some(match op {
        op::CREATE | op::CREATE2 | op::CREATE_CONTAINER | op::CREATE_TTL => {
            request::Create::decode(body, op == op::CREATE_TTL).map(|request| {
                let request::Create { path, data, acl, flags, ttl } = request;
                let (path, data) = (path.into(), owned(data));
                Operation::Create(Create { path, data, acl, flags, ttl })
            })
        }
        op::DELETE => Versioned::decode(body)
            .map(|Versioned { path, version }| Operation::Delete { path: path.into(), version }),
        op::SET_DATA => request::SetData::decode(body).map(|request| {
            let request::SetData { path, data, version } = request;
            Operation::SetData { path: path.into(), data: owned(data), version }
        }),
        op::CHECK => Versioned::decode(body)
            .map(|Versioned { path, version }| Operation::Check { path: path.into(), version }),
        _ => return None,
    })
}

fn decode_multi(body: &mut Reader<'_>) -> Result<Vec<(i32, Operation)>, Malformed> {
    let mut operations = Vec::new();
    loop {
        let header = MultiHeader::decode(body)?;
        if header.done {
            return Ok(operations);
        }
        let operation = decode_step(header.op, body).ok_or(Malformed)??;
        operations.push((header.op, operation));
    }
}

/// What came of an operation. Numbers of changes below zero stand for writes under way, see
/// [`view::View`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Answer {
    Nothing,
    Stat(Stat),
    Created(Arc<str>, Stat),
    /// Of each operation of a transaction that succeeded, with its code.
    Results(Vec<(i32, Answer)>),
    /// A transaction of so many operations failed at one of them.
    Failed {
        operations: usize,
        at: usize,
        code: Code,
    },
}

impl Answer {
    /// Appends the record of the reply to operation `op`. `number` says which change a write
    /// under way has become.
    pub(crate) fn encode(&self, op: i32, number: &impl Fn(i64) -> i64, out: &mut Writer) {
        match self {
            Self::Nothing => {}
            Self::Stat(stat) => settled(stat, number).encode(out),
            Self::Created(path, stat) => {
                out.text(path);
                if op != op::CREATE {
                    settled(stat, number).encode(out);
                }
            }
            Self::Results(results) => {
                for (op, answer) in results {
                    let op = result_op(*op);
                    reply::multi_result(op, out);
                    answer.encode(op, number, out);
                }
                reply::multi_end(out);
            }
            Self::Failed { operations, at, code } => {
                for index in 0..*operations {
                    reply::multi_error(
                        match index.cmp(at) {
                            std::cmp::Ordering::Less => None,
                            std::cmp::Ordering::Equal => Some(*code),
                            std::cmp::Ordering::Greater => Some(Code::RuntimeInconsistency),
                        },
                        out,
                    );
                }
                reply::multi_end(out);
            }
        }
    }
}

/// The code that a transaction's result has for an operation. What `create2` adds to `create` is
/// left out there, in ZooKeeper 3.8 too.
fn result_op(op: i32) -> i32 {
    match op {
        op::CREATE2 => op::CREATE,
        op::CREATE_CONTAINER => op::CREATE2,
        op => op,
    }
}

fn settled(stat: &Stat, number: &impl Fn(i64) -> i64) -> Stat {
    Stat {
        czxid: number(stat.czxid),
        mzxid: number(stat.mzxid),
        pzxid: number(stat.pzxid),
        ..*stat
    }
}

//! One request: parse, look up, reply. One file for each.

use door::CloseReason;

use crate::client::Client;
use crate::registry::Registry;
use crate::tree::Node;
use crate::watches::{ClientId, Kinds, TooManyWatches};
use crate::wire::code::Code;
use crate::wire::jute::{Malformed, Reader, Writer};
use crate::wire::op;
use crate::wire::reply::{PING_XID, ReplyHeader};
use crate::wire::request::RequestHeader;

mod add_watch;
mod auth;
mod check_watches;
mod count;
mod create;
mod exists;
mod get_acl;
mod get_children;
mod get_data;
mod multi;
mod multi_read;
mod set_watches;
mod who_am_i;
mod write;

/// What a handler works with.
pub(crate) struct Context<'a> {
    pub(crate) registry: &'a mut Registry,
    pub(crate) id: ClientId,
    /// The reply's record.
    pub(crate) out: Writer,
    /// The reply's header; the handler changes it where ZooKeeper's is special.
    pub(crate) header: ReplyHeader,
    /// Close the connection after the reply.
    pub(crate) close: bool,
}

/// Why there is no reply record.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The reply says so.
    Code(Code),
    /// The connection must go.
    Close(CloseReason),
}

/// A handler's outcome.
pub(crate) type Outcome = Result<(), Failure>;

impl From<Code> for Failure {
    fn from(code: Code) -> Self {
        Self::Code(code)
    }
}

impl From<Malformed> for Failure {
    fn from(_: Malformed) -> Self {
        Self::Code(Code::MarshallingError)
    }
}

impl From<TooManyWatches> for Failure {
    fn from(_: TooManyWatches) -> Self {
        Self::Close(CloseReason::Limit("too many watches".into()))
    }
}

impl<'a> Context<'a> {
    /// For a request of connection `id`, when the tree is up to date.
    pub(crate) fn new(registry: &'a mut Registry, id: ClientId, request: RequestHeader) -> Self {
        let header = ReplyHeader { xid: request.xid, zxid: registry.tree.zxid(), error: 0 };
        Self { registry, id, out: Writer::default(), header, close: false }
    }

    /// The connection that sent the request, unless it is gone already.
    fn client(&mut self) -> Option<&mut Client> {
        self.registry.clients.get_mut(&self.id)
    }

    /// The node at `path`.
    fn node(&self, path: &str) -> Result<&Node, Failure> {
        self.registry.tree.get(path).ok_or(Failure::Code(Code::NoNode))
    }

    /// Leaves a watch for the client that sent the request.
    fn watch(&mut self, path: &str, kinds: Kinds) -> Outcome {
        Ok(self.registry.watches.add(self.id, path, kinds)?)
    }
}

/// Answers one request. On success, the context holds the reply.
pub(crate) fn answer(cx: &mut Context<'_>, op: i32, body: &mut Reader<'_>) -> Outcome {
    match op {
        op::PING => {
            cx.header.xid = PING_XID;
            Ok(())
        }
        op::CLOSE_SESSION => {
            cx.registry.close_session(cx.id);
            cx.close = true;
            Ok(())
        }
        op::EXISTS => exists::answer(cx, body),
        op::GET_DATA => get_data::answer(cx, body),
        op::GET_CHILDREN => get_children::answer(cx, body),
        op::GET_CHILDREN2 => get_children::answer_with_stat(cx, body),
        op::GET_ACL => get_acl::answer(cx, body),
        // The tree is up to date with what this broker knows before every request.
        op::SYNC => {
            let path = body.buffer()?;
            cx.out.buffer(path);
            Ok(())
        }
        op::SET_WATCHES => set_watches::answer(cx, body, false),
        op::SET_WATCHES2 => set_watches::answer(cx, body, true),
        op::ADD_WATCH => add_watch::answer(cx, body),
        op::CHECK_WATCHES => check_watches::check(cx, body),
        op::REMOVE_WATCHES => check_watches::remove(cx, body),
        op::MULTI => multi::answer(cx, body),
        op::MULTI_READ => multi_read::answer(cx, body),
        op::GET_EPHEMERALS => count::ephemerals(cx, body),
        op::GET_ALL_CHILDREN_NUMBER => count::all_children(cx, body),
        op::WHO_AM_I => who_am_i::answer(cx),
        op::AUTH => auth::answer(cx, body),
        op::SASL => auth::refuse_sasl(cx),
        op::CREATE | op::CREATE2 | op::CREATE_CONTAINER => create::answer(cx, body, false),
        op::CREATE_TTL => create::answer(cx, body, true),
        op::DELETE => write::delete(cx, body),
        op::SET_DATA => write::set_data(cx, body),
        op::SET_ACL => write::set_acl(cx, body),
        op::CHECK => write::check(cx, body),
        op::RECONFIG => Err(Code::ReconfigDisabled.into()),
        _ => {
            // As ZooKeeper does: the rest of the stream may not be what we think it is.
            cx.header.zxid = -1;
            cx.close = true;
            Err(Code::Unimplemented.into())
        }
    }
}

//! Requests that do not write: parse, look up, reply. One file for each. Those that write:
//! [`crate::write`].

use door::CloseReason;

use crate::acl;
use crate::client::Client;
use crate::state::State;
use crate::tree::Node;
use crate::watches::{ClientId, Kinds, TooManyWatches};
use crate::wire::code::Code;
use crate::wire::jute::{Malformed, Reader, Writer};
use crate::wire::op;
use crate::wire::reply::{PING_XID, ReplyHeader};
use crate::wire::request::RequestHeader;

mod add_watch;
mod auth;
mod check;
mod check_watches;
mod count;
mod exists;
mod get_acl;
mod get_children;
mod get_data;
mod multi_read;
mod set_watches;
mod who_am_i;

/// What a handler works with.
pub(crate) struct Context<'a> {
    pub(crate) state: &'a mut State,
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
    pub(crate) fn new(state: &'a mut State, id: ClientId, request: RequestHeader) -> Self {
        let header = ReplyHeader { xid: request.xid, zxid: state.tree.zxid(), error: 0 };
        Self { state, id, out: Writer::default(), header, close: false }
    }

    /// The connection that sent the request, unless it is gone already.
    fn client(&mut self) -> Option<&mut Client> {
        self.state.clients.get_mut(&self.id)
    }

    /// The node at `path`.
    fn node(&self, path: &str) -> Result<&Node, Failure> {
        self.state.tree.get(path).ok_or(Failure::Code(Code::NoNode))
    }

    /// The node at `path`, if the client may do one of these things to it.
    fn permitted(&self, path: &str, permissions: i32) -> Result<&Node, Failure> {
        let node = self.node(path)?;
        if self.may(node, permissions) { Ok(node) } else { Err(Code::NoAuth.into()) }
    }

    fn may(&self, node: &Node, permissions: i32) -> bool {
        let who = self.state.clients.get(&self.id).map(|client| &client.identities[..]);
        acl::allows(&node.body.access, permissions, who.unwrap_or_default())
    }

    /// Leaves a watch for the client that sent the request.
    fn watch(&mut self, path: &str, kinds: Kinds) -> Outcome {
        Ok(self.state.watches.add(self.id, path, kinds)?)
    }
}

/// Answers one request. On success, the context holds the reply.
pub(crate) fn answer(cx: &mut Context<'_>, op: i32, body: &mut Reader<'_>) -> Outcome {
    match op {
        op::PING => {
            cx.header.xid = PING_XID;
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
        op::MULTI_READ => multi_read::answer(cx, body),
        op::GET_EPHEMERALS => count::ephemerals(cx, body),
        op::GET_ALL_CHILDREN_NUMBER => count::all_children(cx, body),
        op::WHO_AM_I => who_am_i::answer(cx),
        op::AUTH => auth::answer(cx, body),
        op::SASL => auth::refuse_sasl(cx),
        op::CHECK => check::answer(cx, body),
        op::RECONFIG => Err(Code::ReconfigDisabled.into()),
        _ => {
            // As ZooKeeper does: the rest of the stream may not be what we think it is.
            cx.header.zxid = -1;
            cx.close = true;
            Err(Code::Unimplemented.into())
        }
    }
}

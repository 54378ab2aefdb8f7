//! `getChildren` and `getChildren2`: the names below a node, the latter with the node's stat.

use super::{Context, Outcome};
use crate::acl;
use crate::watches::Kinds;
use crate::wire::jute::Reader;
use crate::wire::request::Read;

pub(super) fn answer(cx: &mut Context<'_>, body: &mut Reader<'_>) -> Outcome {
    let request = Read::decode(body)?;
    cx.permitted(request.path, acl::READ)?;
    write(cx, request)
}

pub(super) fn answer_with_stat(cx: &mut Context<'_>, body: &mut Reader<'_>) -> Outcome {
    let request = Read::decode(body)?;
    let stat = cx.permitted(request.path, acl::READ)?.body.stat();
    write(cx, request)?;
    stat.encode(&mut cx.out);
    Ok(())
}

/// Appends the names below a node that exists.
pub(super) fn write(cx: &mut Context<'_>, Read { path, watch }: Read<'_>) -> Outcome {
    if let Some(node) = cx.state.tree.get(path) {
        cx.out.count(node.children.len());
        for name in &node.children {
            cx.out.text(name);
        }
    }
    if watch {
        cx.watch(path, Kinds::CHILDREN)?;
    }
    Ok(())
}

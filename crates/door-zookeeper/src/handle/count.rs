//! `getEphemerals` and `getAllChildrenNumber`.

use super::{Context, Failure, Outcome};
use crate::wire::code::Code;
use crate::wire::jute::Reader;

/// The client's own ephemeral nodes. It cannot create any here.
pub(super) fn ephemerals(cx: &mut Context<'_>, body: &mut Reader<'_>) -> Outcome {
    let _prefix = body.string()?;
    cx.out.count(0);
    Ok(())
}

/// How many nodes are below a node, at any depth.
pub(super) fn all_children(cx: &mut Context<'_>, body: &mut Reader<'_>) -> Outcome {
    let below = cx.registry.tree.count_below(body.text()?);
    cx.out.count(below.ok_or(Failure::Code(Code::NoNode))?);
    Ok(())
}

//! `getEphemerals` and `getAllChildrenNumber`.

use std::sync::Arc;

use super::{Context, Failure, Outcome};
use crate::acl;
use crate::wire::code::Code;
use crate::wire::jute::Reader;

/// The client's own ephemeral nodes below a path.
pub(super) fn ephemerals(cx: &mut Context<'_>, body: &mut Reader<'_>) -> Outcome {
    let prefix = body.string()?.unwrap_or_default();
    let session = cx.client().and_then(|client| client.session).unwrap_or_default();
    let owned = cx.state.tree.owned_by(session).filter(|path| path.starts_with(prefix));
    let paths: Vec<_> = owned.map(Arc::clone).collect();
    cx.out.count(paths.len());
    paths.iter().for_each(|path| cx.out.text(path));
    Ok(())
}

/// How many nodes are below a node, at any depth.
pub(super) fn all_children(cx: &mut Context<'_>, body: &mut Reader<'_>) -> Outcome {
    let path = body.text()?;
    cx.permitted(path, acl::READ)?;
    let below = cx.state.tree.count_below(path);
    cx.out.count(below.ok_or(Failure::Code(Code::NoNode))?);
    Ok(())
}

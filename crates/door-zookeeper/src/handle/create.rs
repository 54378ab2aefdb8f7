//! `create` and its kin: refused, but with the error that ZooKeeper finds first.

use super::{Context, Outcome};
use crate::tree::{Tree, split};
use crate::wire::code::Code;
use crate::wire::jute::Reader;
use crate::wire::request::Create;

/// Flags of nodes whose name the server completes with a number.
const SEQUENTIAL: [i32; 3] = [2, 3, 6];

/// The kinds of nodes that there are.
const FLAGS_MAX: i32 = 6;

pub(super) fn answer(cx: &mut Context<'_>, body: &mut Reader<'_>, has_ttl: bool) -> Outcome {
    let request = Create::decode(body, has_ttl)?;
    Err(refusal(&cx.registry.tree, &request, has_ttl).into())
}

/// Why this node cannot be created.
pub(super) fn refusal(tree: &Tree, request: &Create<'_>, has_ttl: bool) -> Code {
    let &Create { path, acl_entries, flags } = request;
    // Nodes with a time to live must be switched on (`zookeeper.extendedTypesEnabled`).
    if has_ttl {
        return Code::Unimplemented;
    }
    if !(0..=FLAGS_MAX).contains(&flags) || !path.starts_with('/') {
        return Code::BadArguments;
    }
    if acl_entries == 0 {
        return Code::InvalidAcl;
    }
    let sequential = SEQUENTIAL.contains(&flags);
    if tree.get(path).is_some() && !sequential {
        return Code::NodeExists;
    }
    let (parent, name) = split(path);
    if tree.get(parent).is_none() {
        return Code::NoNode;
    }
    let is_bad = |c: char| c.is_control() || ('\u{f000}'..='\u{f8ff}').contains(&c);
    if name.is_empty() && !sequential || name == "." || name == ".." || name.contains(is_bad) {
        return Code::BadArguments;
    }
    Code::NoAuth
}

//! What would change an existing node: refused, but with the error that ZooKeeper finds first.

use super::{Context, Outcome};
use crate::tree::Tree;
use crate::wire::code::Code;
use crate::wire::jute::Reader;
use crate::wire::request::{SetAcl, Versioned};

pub(super) fn delete(cx: &mut Context<'_>, body: &mut Reader<'_>) -> Outcome {
    Err(delete_refusal(&cx.registry.tree, &Versioned::decode(body)?).into())
}

pub(super) fn set_data(cx: &mut Context<'_>, body: &mut Reader<'_>) -> Outcome {
    Err(write_refusal(&cx.registry.tree, Versioned::decode_set_data(body)?.path).into())
}

pub(super) fn set_acl(cx: &mut Context<'_>, body: &mut Reader<'_>) -> Outcome {
    let SetAcl { path, acl_entries } = SetAcl::decode(body)?;
    if acl_entries == 0 {
        return Err(Code::InvalidAcl.into());
    }
    Err(write_refusal(&cx.registry.tree, path).into())
}

/// `check` only reads, so it is carried out.
pub(super) fn check(cx: &mut Context<'_>, body: &mut Reader<'_>) -> Outcome {
    let request = Versioned::decode(body)?;
    check_version(&cx.registry.tree, &request)?;
    let stat = cx.node(request.path)?.stat();
    stat.encode(&mut cx.out);
    Ok(())
}

/// Whether a node exists in a version.
pub(super) fn check_version(tree: &Tree, request: &Versioned<'_>) -> Result<(), Code> {
    let node = tree.get(request.path).ok_or(Code::NoNode)?;
    if request.version != -1 && request.version != node.stat().version {
        return Err(Code::BadVersion);
    }
    Ok(())
}

/// Why this node cannot be deleted.
pub(super) fn delete_refusal(tree: &Tree, request: &Versioned<'_>) -> Code {
    match request.path {
        "/" | "/zookeeper" | "/zookeeper/config" | "/zookeeper/quota" => Code::BadArguments,
        path => write_refusal(tree, path),
    }
}

/// Why this node cannot be written.
pub(super) fn write_refusal(tree: &Tree, path: &str) -> Code {
    if tree.get(path).is_some() { Code::NoAuth } else { Code::NoNode }
}

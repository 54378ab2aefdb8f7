//! `getData`: a node's data and stat.

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

/// Appends the record for a node that exists.
pub(super) fn write(cx: &mut Context<'_>, Read { path, watch }: Read<'_>) -> Outcome {
    let node = cx.node(path)?;
    let (data, stat) = (node.body.data.clone(), node.body.stat());
    cx.out.buffer(data.as_deref());
    stat.encode(&mut cx.out);
    if watch {
        cx.watch(path, Kinds::DATA)?;
    }
    Ok(())
}

//! `checkWatches` and `removeWatches`: whether the client watches a path, and stop it.

use super::{Context, Outcome};
use crate::watches::Kinds;
use crate::wire::code::Code;
use crate::wire::jute::{Malformed, Reader};
use crate::wire::request::WatchRequest;

pub(super) fn check(cx: &mut Context<'_>, body: &mut Reader<'_>) -> Outcome {
    let (path, mut kinds) = decode(body)?;
    // A watch that stays is a watch for data and for children too.
    if kinds == Kinds::DATA || kinds == Kinds::CHILDREN {
        kinds = kinds.or(Kinds::PERSISTENT).or(Kinds::RECURSIVE);
    }
    if cx.state.watches.contains(cx.id, path, kinds) {
        return Ok(());
    }
    Err(Code::NoWatcher.into())
}

pub(super) fn remove(cx: &mut Context<'_>, body: &mut Reader<'_>) -> Outcome {
    let (path, kinds) = decode(body)?;
    if cx.state.watches.remove(cx.id, path, kinds) {
        return Ok(());
    }
    Err(Code::NoWatcher.into())
}

fn decode<'a>(body: &mut Reader<'a>) -> Result<(&'a str, Kinds), Malformed> {
    let WatchRequest { path, kind } = WatchRequest::decode(body)?;
    let kinds = match kind {
        1 => Kinds::CHILDREN,
        2 => Kinds::DATA,
        3 => Kinds::ANY,
        // Since 3.9.
        4 => Kinds::PERSISTENT,
        5 => Kinds::RECURSIVE,
        _ => return Err(Malformed),
    };
    Ok((path, kinds))
}

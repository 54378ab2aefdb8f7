//! `addWatch`: a watch that stays, on one node or on all below it too.

use super::{Context, Outcome};
use crate::watches::Kinds;
use crate::wire::code::Code;
use crate::wire::jute::Reader;
use crate::wire::request::WatchRequest;

pub(super) fn answer(cx: &mut Context<'_>, body: &mut Reader<'_>) -> Outcome {
    let WatchRequest { path, kind } = WatchRequest::decode(body)?;
    let kinds = match kind {
        0 => Kinds::PERSISTENT,
        1 => Kinds::RECURSIVE,
        _ => return Err(Code::MarshallingError.into()),
    };
    cx.watch(path, kinds)?;
    // The record of an error response, as ZooKeeper sends it: no error.
    cx.out.int(0);
    Ok(())
}

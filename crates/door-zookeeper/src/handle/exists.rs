//! `exists`: a node's stat, or a watch for its creation.

use super::{Context, Outcome};
use crate::watches::Kinds;
use crate::wire::code::Code;
use crate::wire::jute::Reader;
use crate::wire::request::Read;

pub(super) fn answer(cx: &mut Context<'_>, body: &mut Reader<'_>) -> Outcome {
    let Read { path, watch } = Read::decode(body)?;
    if path.contains('\0') {
        return Err(Code::BadArguments.into());
    }
    if watch {
        cx.watch(path, Kinds::DATA)?;
    }
    let stat = cx.node(path)?.body.stat();
    stat.encode(&mut cx.out);
    Ok(())
}

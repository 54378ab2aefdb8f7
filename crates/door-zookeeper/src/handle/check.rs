//! `check`: whether a node is in a version.

use super::{Context, Outcome};
use crate::acl;
use crate::wire::code::Code;
use crate::wire::jute::Reader;
use crate::wire::request::Versioned;

pub(super) fn answer(cx: &mut Context<'_>, body: &mut Reader<'_>) -> Outcome {
    let Versioned { path, version } = Versioned::decode(body)?;
    let stat = cx.permitted(path, acl::READ)?.body.stat();
    if version != -1 && version != stat.version {
        return Err(Code::BadVersion.into());
    }
    stat.encode(&mut cx.out);
    Ok(())
}

//! `getACL`: anybody may read, nobody may write.

use super::{Context, Outcome};
use crate::wire::jute::Reader;
use crate::wire::reply;

pub(super) fn answer(cx: &mut Context<'_>, body: &mut Reader<'_>) -> Outcome {
    let stat = cx.node(body.text()?)?.stat();
    reply::read_only_acl(&mut cx.out);
    stat.encode(&mut cx.out);
    Ok(())
}

//! `getACL`: who may do what with a node.

use super::{Context, Outcome};
use crate::acl;
use crate::wire::jute::Reader;
use crate::wire::reply;

pub(super) fn answer(cx: &mut Context<'_>, body: &mut Reader<'_>) -> Outcome {
    let node = cx.permitted(body.text()?, acl::READ | acl::ADMIN)?;
    let rules = acl::shown(&node.body.access, cx.may(node, acl::ADMIN));
    let stat = node.body.stat();
    reply::acl(&rules, &mut cx.out);
    stat.encode(&mut cx.out);
    Ok(())
}

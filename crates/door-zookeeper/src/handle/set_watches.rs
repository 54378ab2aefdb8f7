//! `setWatches` and `setWatches2`: a client that reconnected says what it still waits for, and
//! hears at once of what it missed.

use super::{Context, Outcome};
use crate::watches::Kinds;
use crate::wire::jute::Reader;
use crate::wire::reply::{self, EventKind, Stat};
use crate::wire::request::SetWatches;

pub(super) fn answer(cx: &mut Context<'_>, body: &mut Reader<'_>, has_persistent: bool) -> Outcome {
    let request = SetWatches::decode(body, has_persistent)?;
    let seen = request.relative_zxid;
    each(cx, &request.data, Kinds::DATA, |stat| match stat {
        None => Some(EventKind::Deleted),
        Some(stat) => (stat.mzxid > seen).then_some(EventKind::DataChanged),
    })?;
    each(cx, &request.exists, Kinds::DATA, |stat| stat.map(|_| EventKind::Created))?;
    each(cx, &request.children, Kinds::CHILDREN, |stat| match stat {
        None => Some(EventKind::Deleted),
        Some(stat) => (stat.pzxid > seen).then_some(EventKind::ChildrenChanged),
    })?;
    each(cx, &request.persistent, Kinds::PERSISTENT, |_| None)?;
    each(cx, &request.recursive, Kinds::RECURSIVE, |_| None)
}

/// For each path, tells what was missed; where nothing was, leaves the watch.
fn each(
    cx: &mut Context<'_>,
    paths: &[&str],
    kinds: Kinds,
    missed: impl Fn(Option<Stat>) -> Option<EventKind>,
) -> Outcome {
    for path in paths {
        let stat = cx.state.tree.get(path).map(|node| node.body.stat());
        match missed(stat) {
            None => cx.watch(path, kinds)?,
            Some(kind) => {
                if let Some(client) = cx.client() {
                    client.send(&reply::event(kind, path));
                }
            }
        }
    }
    Ok(())
}

//! Carrying out one write on the tree as it will be. The order of the checks is ZooKeeper's
//! (`PrepRequestProcessor`), because clients see which error comes first.

use std::sync::Arc;

use broker::registry::{Access, Change, PATH_BYTES_MAX};

use super::view::View;
use super::{Answer, Create, Operation};
use crate::acl::{self, Identity};
use crate::limits::ENDING_STEP_MAX;
use crate::map;
use crate::tree::{Body, Origin};
use crate::wire::code::Code;
use crate::wire::request::AclEntry;

/// Paths that ZooKeeper itself lives in.
const SPECIAL: [&str; 4] = ["/", "/zookeeper", "/zookeeper/config", "/zookeeper/quota"];

/// Whom a write is for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct For<'a> {
    pub(crate) session: i64,
    pub(crate) who: &'a [Identity],
}

/// Carries out a write, or says why not; then the view may hold part of it.
pub(crate) fn carry_out(
    view: &mut View<'_>,
    operation: &Operation,
    by: For<'_>,
) -> Result<Answer, Code> {
    match operation {
        Operation::Create(request) => create(view, request, by),
        Operation::Delete { path, version } => delete(view, path, *version, by),
        Operation::SetData { path, data, version } => {
            let mut body = existing(view, path, acl::WRITE, by)?;
            writable(&body)?;
            view.grow(data.as_ref().map_or(0, |data| data.len()))?;
            body.stat.version = next_version(body.stat.version, *version)?;
            body.data.clone_from(data);
            Ok(Answer::Stat(view.written(path, body).stat()))
        }
        Operation::SetAcl { path, acl, version } => set_acl(view, path, acl, *version, by),
        Operation::Check { path, version } => {
            let body = existing(view, path, acl::READ, by)?;
            next_version(body.stat.version, *version).map(|_| Answer::Nothing)
        }
        Operation::Multi(operations) => Ok(multi(view, operations, by)),
        Operation::OpenSession(number, session) => {
            view.session(Change::Session(*number, Some(session.clone())));
            Ok(Answer::Nothing)
        }
        Operation::CloseSession(number) => {
            close_session(view, *number);
            Ok(Answer::Nothing)
        }
        Operation::CloseContainer(path) => {
            let body = view.get(path).filter(|body| body.origin == Origin::Container);
            if body.is_some_and(|body| body.children == 0 && body.created > 0) {
                view.delete(path);
            }
            Ok(Answer::Nothing)
        }
    }
}

fn multi(view: &mut View<'_>, operations: &[(i32, Operation)], by: For<'_>) -> Answer {
    let mut results = Vec::with_capacity(operations.len());
    for (at, (op, operation)) in operations.iter().enumerate() {
        match carry_out(view, operation, by) {
            Ok(answer) => results.push((*op, answer)),
            Err(code) => {
                view.take_back();
                return Answer::Failed { operations: operations.len(), at, code };
            }
        }
    }
    Answer::Results(results)
}

/// What the flags of a new node say.
struct Mode {
    ephemeral: bool,
    sequential: bool,
    container: bool,
    has_ttl: bool,
}

impl Mode {
    /// `CreateMode.fromFlag`.
    fn of(flags: i32) -> Option<Self> {
        (0..=6).contains(&flags).then_some(Self {
            ephemeral: flags == 1 || flags == 3,
            sequential: flags == 2 || flags == 3 || flags == 6,
            container: flags == 4,
            has_ttl: flags == 5 || flags == 6,
        })
    }
}

fn create(view: &mut View<'_>, request: &Create, by: For<'_>) -> Result<Answer, Code> {
    let mode = Mode::of(request.flags).ok_or(Code::BadArguments)?;
    if mode.has_ttl {
        // Must be switched on in ZooKeeper (`zookeeper.extendedTypesEnabled`), and is not.
        return Err(Code::Unimplemented);
    }
    if request.ttl >= 0 {
        return Err(Code::BadArguments);
    }
    let parent_path = parent_of(&request.path).ok_or(Code::BadArguments)?;
    let rules = acl::resolve(&request.acl, by.who)?;
    let parent = view.get(parent_path).ok_or(Code::NoNode)?;
    if !acl::allows(&parent.access, acl::CREATE, by.who) {
        // Those who only see to it that a path exists need not be stopped where it does.
        let is_shown = parent.origin == Origin::Shown && !mode.sequential;
        let exists = is_shown && view.get(&request.path).is_some();
        return Err(if exists { Code::NodeExists } else { Code::NoAuth });
    }
    let path: Arc<str> = if mode.sequential {
        format!("{}{:010}", request.path, parent.created).into()
    } else {
        Arc::clone(&request.path)
    };
    check_path(&path)?;
    if view.get(&path).is_some() {
        return Err(Code::NodeExists);
    }
    if map::is_reserved(&path) {
        return Err(Code::NoAuth);
    }
    if parent.is_ephemeral() {
        return Err(Code::NoChildrenForEphemerals);
    }
    let mut body = Body {
        origin: if mode.container { Origin::Container } else { Origin::Entry },
        data: request.data.clone(),
        access: Arc::new(Access { version: 0, rules }),
        ..Body::default()
    };
    body.stat.ephemeral_owner = if mode.ephemeral { by.session } else { 0 };
    let body = view.create(&path, body)?;
    Ok(Answer::Created(path, body.stat()))
}

fn delete(view: &mut View<'_>, path: &Arc<str>, version: i32, by: For<'_>) -> Result<Answer, Code> {
    let parent = parent_of(path).filter(|_| !SPECIAL.contains(&&**path));
    let parent = view.get(parent.ok_or(Code::BadArguments)?).ok_or(Code::NoNode)?;
    if !acl::allows(&parent.access, acl::DELETE, by.who) {
        // Nobody may delete what shows metadata; those who look for it may know that it is gone.
        let is_gone = parent.origin == Origin::Shown && view.get(path).is_none();
        return Err(if is_gone { Code::NoNode } else { Code::NoAuth });
    }
    let body = view.get(path).ok_or(Code::NoNode)?;
    writable(body)?;
    next_version(body.stat.version, version)?;
    if body.children > 0 {
        return Err(Code::NotEmpty);
    }
    view.delete(path);
    Ok(Answer::Nothing)
}

fn set_acl(
    view: &mut View<'_>,
    path: &Arc<str>,
    wished: &[AclEntry],
    version: i32,
    by: For<'_>,
) -> Result<Answer, Code> {
    check_path(path)?;
    let rules = acl::resolve(wished, by.who)?;
    let mut body = existing(view, path, acl::ADMIN, by)?;
    writable(&body)?;
    let version = next_version(body.access.version, version)?;
    body.access = Arc::new(Access { version, rules });
    let stat = body.stat();
    view.put(path, Some(body));
    Ok(Answer::Stat(stat))
}

/// Deletes some of the session's entries, and with the last of them the session.
fn close_session(view: &mut View<'_>, number: i64) {
    let owned = view.owned_by(number);
    for path in owned.iter().take(ENDING_STEP_MAX) {
        view.delete(path);
    }
    if owned.len() <= ENDING_STEP_MAX {
        view.session(Change::Session(number, None));
    }
}

/// The node at a path, for somebody who may do this to it.
fn existing(view: &View<'_>, path: &str, permission: i32, by: For<'_>) -> Result<Body, Code> {
    check_path(path)?;
    let body = view.get(path).ok_or(Code::NoNode)?;
    if !acl::allows(&body.access, permission, by.who) {
        return Err(Code::NoAuth);
    }
    Ok(body.clone())
}

/// Nobody writes what shows metadata.
fn writable(body: &Body) -> Result<(), Code> {
    if body.origin == Origin::Shown { Err(Code::NoAuth) } else { Ok(()) }
}

/// The version after `current`, if that is the expected one or any will do.
fn next_version(current: i32, expected: i32) -> Result<i32, Code> {
    if expected != -1 && expected != current {
        return Err(Code::BadVersion);
    }
    // -1 means "any", so no version is -1.
    Ok(match current.wrapping_add(1) {
        -1 => 0,
        next => next,
    })
}

/// The path of a node's parent; none where there can be none.
fn parent_of(path: &str) -> Option<&str> {
    let (parent, _) = path.rsplit_once('/').filter(|_| !path.contains('\0'))?;
    Some(parent)
}

/// Whether a path is one (`PathUtils.validatePath`), and not too long to be stored.
pub(crate) fn check_path(path: &str) -> Result<(), Code> {
    let below = path.strip_prefix('/').ok_or(Code::BadArguments)?;
    let is_name = |name: &str| !name.is_empty() && name != "." && name != "..";
    // Java sees characters past U+FFFF as two surrogates, which it refuses.
    let is_bad = |c: char| c.is_control() || matches!(c, '\u{e000}'..='\u{f8ff}' | '\u{fff0}'..);
    let is_valid = below.is_empty() || below.split('/').all(is_name) && !below.contains(is_bad);
    if is_valid && path.len() <= PATH_BYTES_MAX { Ok(()) } else { Err(Code::BadArguments) }
}

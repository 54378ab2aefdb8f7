//! `multi`: a transaction. Only `check` can succeed, so only transactions of nothing else do.

use super::{Context, Outcome, create, write};
use crate::tree::Tree;
use crate::wire::code::Code;
use crate::wire::jute::{Malformed, Reader};
use crate::wire::op;
use crate::wire::reply;
use crate::wire::request::{Create, MultiHeader, Versioned};

pub(super) fn answer(cx: &mut Context<'_>, body: &mut Reader<'_>) -> Outcome {
    let mut operations = 0;
    let mut failed = None;
    loop {
        let header = MultiHeader::decode(body)?;
        if header.done {
            break;
        }
        // Those after a failure are only parsed.
        if let Err(code) = attempt(&cx.registry.tree, header.op, body)?
            && failed.is_none()
        {
            failed = Some((operations, code));
        }
        operations += 1;
    }
    for index in 0..operations {
        match failed {
            None => reply::multi_result(op::CHECK, &mut cx.out),
            Some((at, _)) if index < at => reply::multi_error(None, &mut cx.out),
            Some((at, code)) if index == at => reply::multi_error(Some(code), &mut cx.out),
            Some(_) => reply::multi_error(Some(Code::RuntimeInconsistency), &mut cx.out),
        }
    }
    reply::multi_end(&mut cx.out);
    Ok(())
}

/// Parses one operation and says what would come of it.
fn attempt(tree: &Tree, op: i32, body: &mut Reader<'_>) -> Result<Result<(), Code>, Malformed> {
    Ok(match op {
        op::CHECK => write::check_version(tree, &Versioned::decode(body)?),
        op::CREATE | op::CREATE2 | op::CREATE_CONTAINER => {
            Err(create::refusal(tree, &Create::decode(body, false)?, false))
        }
        op::CREATE_TTL => Err(create::refusal(tree, &Create::decode(body, true)?, true)),
        op::DELETE => Err(write::delete_refusal(tree, &Versioned::decode(body)?)),
        op::SET_DATA => Err(write::write_refusal(tree, Versioned::decode_set_data(body)?.path)),
        _ => return Err(Malformed),
    })
}

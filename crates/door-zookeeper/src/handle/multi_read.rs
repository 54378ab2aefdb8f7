//! `multiRead`: several `getData` and `getChildren` at once, each with its own error.

use door::CloseReason;

use super::{Context, Failure, Outcome, get_children, get_data};
use crate::acl;
use crate::limits::REPLY_BYTES_MAX;
use crate::wire::code::Code;
use crate::wire::jute::Reader;
use crate::wire::op;
use crate::wire::reply;
use crate::wire::request::{MultiHeader, Read};

pub(super) fn answer(cx: &mut Context<'_>, body: &mut Reader<'_>) -> Outcome {
    loop {
        let header = MultiHeader::decode(body)?;
        if header.done {
            reply::multi_end(&mut cx.out);
            return Ok(());
        }
        let write = match header.op {
            op::GET_DATA => get_data::write,
            op::GET_CHILDREN => get_children::write,
            _ => return Err(Code::MarshallingError.into()),
        };
        let request = Read::decode(body)?;
        match cx.permitted(request.path, acl::READ).map(|_| ()) {
            Ok(()) => {
                reply::multi_result(header.op, &mut cx.out);
                write(cx, request)?;
            }
            Err(Failure::Code(code)) => reply::multi_error(Some(code), &mut cx.out),
            Err(failure) => return Err(failure),
        }
        if cx.out.len() > REPLY_BYTES_MAX {
            let text = format!("a multiRead reply of more than {REPLY_BYTES_MAX} bytes");
            return Err(Failure::Close(CloseReason::Limit(text)));
        }
    }
}

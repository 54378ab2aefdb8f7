//! Every decoder of this door, for fuzzing. Only there with the cargo feature `fuzzing`.

use crate::acl::{self, Identity};
use crate::wire::connect::ConnectRequest;
use crate::wire::jute::Reader;
use crate::wire::op;
use crate::wire::request::{Auth, MultiHeader, Read, RequestHeader, SetWatches, WatchRequest};
use crate::words::Word;
use crate::write::Operation;

/// Reads a frame as the first of a connection, as a request, and as the record of every kind of
/// request.
pub fn frame(bytes: &[u8]) {
    let _ = ConnectRequest::decode(bytes);
    if let Some(first) = bytes.first_chunk() {
        let _ = Word::parse(*first);
    }
    let mut body = Reader::new(bytes);
    if let Ok(header) = RequestHeader::decode(&mut body) {
        record(header.op, &body);
    }
    let whole = Reader::new(bytes);
    let writes = [op::CREATE, op::CREATE_TTL, op::DELETE, op::SET_DATA, op::SET_ACL, op::MULTI];
    for op in writes {
        record(op, &whole);
    }
    reads(&whole);
}

fn record(op: i32, body: &Reader<'_>) {
    if let Some(Ok(operation)) = Operation::decode(op, 1, &mut body.clone()) {
        if let Operation::SetAcl { acl, .. } = &operation {
            let _ = acl::resolve(acl, &[Identity::digest(b"user:word")]);
        }
    } else {
        reads(body);
    }
}

fn reads(body: &Reader<'_>) {
    let _ = Read::decode(&mut body.clone());
    for has_persistent in [false, true] {
        let _ = SetWatches::decode(&mut body.clone(), has_persistent);
    }
    let _ = WatchRequest::decode(&mut body.clone());
    if let Ok(auth) = Auth::decode(&mut body.clone()) {
        let _ = Identity::digest(auth.credentials);
    }
    let mut many = body.clone();
    while let Ok(header) = MultiHeader::decode(&mut many) {
        if header.done || Read::decode(&mut many).is_err() {
            break;
        }
    }
}

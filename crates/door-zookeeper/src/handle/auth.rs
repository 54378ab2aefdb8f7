//! `auth` and `sasl`: credentials for the connection. Any user and password will do: they show who
//! set an access list, and who is named in one.

use super::{Context, Outcome};
use crate::acl::Identity;
use crate::wire::code::Code;
use crate::wire::jute::Reader;
use crate::wire::request::Auth;

pub(super) fn answer(cx: &mut Context<'_>, body: &mut Reader<'_>) -> Outcome {
    cx.header.zxid = 0;
    let Auth { scheme, credentials } = Auth::decode(body)?;
    match scheme {
        // Everybody is identified by address anyway.
        "ip" => Ok(()),
        "digest" => {
            if let Some(client) = cx.client() {
                client.identify(Identity::digest(credentials));
            }
            Ok(())
        }
        _ => refuse(cx),
    }
}

/// ZooKeeper without SASL configured answers with an empty token, which a client may take for
/// success. Saying no is the honest answer to a client that insists.
pub(super) fn refuse_sasl(cx: &mut Context<'_>) -> Outcome {
    cx.header.zxid = 0;
    refuse(cx)
}

fn refuse(cx: &mut Context<'_>) -> Outcome {
    cx.close = true;
    Err(Code::AuthFailed.into())
}

//! `auth` and `sasl`: credentials for the connection. Reading needs none and nothing else is
//! allowed to anybody, so `digest` is accepted and makes no difference.

use super::{Context, Outcome};
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
            // `user:password`; we keep no password.
            let user = credentials.split(|byte| *byte == b':').next().unwrap_or_default();
            let user = String::from_utf8_lossy(user);
            if let Some(client) = cx.client() {
                client.identify("digest", &user);
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

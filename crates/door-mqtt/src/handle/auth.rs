//! AUTH: logging in again (5.0 §4.12.1).

use tokio::time::Instant;

use crate::connection::{Client, End};
use crate::login::{Progress, Steps};
use crate::wire::close::Auth;
use crate::wire::reason::Reason;
use crate::wire::{Version, WireError};

/// Takes a step of a login.
pub(super) async fn handle(client: &mut Client, body: &[u8]) -> Result<(), End> {
    if client.version != Version::V5 {
        return Err(WireError::Malformed("AUTH before 5.0").into());
    }
    let auth = Auth::decode(body)?;
    let (Some(method), true) = (client.method.clone(), auth.method == client.method.as_deref())
    else {
        return Err(WireError::Protocol("not the method that the client logged in with").into());
    };
    let mut steps = match (auth.reason, client.login.take()) {
        (Reason::REAUTHENTICATE, None) => {
            let begun = Steps::begin(client.logins.as_ref(), &method).map(Box::new);
            begun.ok_or(WireError::Protocol("a method that is not offered"))?
        }
        (Reason::CONTINUE, Some(steps)) => steps,
        _ => return Err(WireError::Protocol("not the step of a login that is due").into()),
    };
    match steps.step(auth.data.unwrap_or_default()).await {
        Progress::Challenge(challenge) => {
            let data = Some(&challenge[..]);
            let auth = Auth { reason: Reason::CONTINUE, method: Some(&method), data };
            client.answer(|out| auth.encode(out))?;
            client.login = Some(steps);
            Ok(())
        }
        Progress::In(last, login) => {
            // The session is this user's; nobody else takes it over by logging in again.
            if login.principal != *client.actor.principal() {
                return Err(End::Told(Reason::NOT_AUTHORIZED, "another user".into()));
            }
            client.login_ends = login.lifetime.map(|lifetime| Instant::now() + lifetime);
            let data = Some(&last[..]).filter(|last| !last.is_empty());
            let auth = Auth { reason: Reason::SUCCESS, method: Some(&method), data };
            client.answer(|out| auth.encode(out))
        }
        Progress::Out(reason, refusal) => Err(End::Told(reason, refusal.why.into())),
    }
}

//! `whoAmI`: whom the client has said it is.

use std::sync::Arc;

use super::{Context, Outcome};

pub(super) fn answer(cx: &mut Context<'_>) -> Outcome {
    let Some(client) = cx.client() else { return Ok(()) };
    let identities = Arc::clone(&client.identities);
    cx.out.count(identities.len());
    for identity in identities.iter() {
        cx.out.text(identity.scheme);
        cx.out.text(identity.name());
    }
    Ok(())
}

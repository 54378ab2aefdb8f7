//! `whoAmI`: whom the client has said it is.

use super::{Context, Outcome};

pub(super) fn answer(cx: &mut Context<'_>) -> Outcome {
    let Some(client) = cx.client() else { return Ok(()) };
    let address = client.peer.ip().to_string();
    let identities = client.identities.clone();
    cx.out.count(1 + identities.len());
    cx.out.text("ip");
    cx.out.text(&address);
    for (scheme, user) in identities {
        cx.out.text(scheme);
        cx.out.text(&user);
    }
    Ok(())
}

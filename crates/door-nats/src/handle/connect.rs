//! `CONNECT`: who the client is and what it wants.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::limits::CLIENT_NAME_BYTES_MAX;
use crate::map::error;
use crate::session::{End, Session};
use crate::wire::connect::ConnectOptions;

pub(crate) async fn handle(session: &mut Session<'_>, json: &[u8]) -> Result<(), End> {
    let Some(mut said) = ConnectOptions::decode(json) else {
        return Err(End::protocol(error::UNKNOWN));
    };
    if !(0..=1).contains(&said.protocol) {
        return Err(End::protocol(error::BAD_PROTOCOL));
    }
    if said.no_responders && !said.headers {
        return Err(End::protocol(error::NO_RESPONDERS_NEED_HEADERS));
    }
    let shared = session.shared;
    let is_first = session.client.said().is_none();
    if is_first {
        let login = match session.gate.login(&shared.options, &said).await {
            Ok(login) => login,
            Err(why) => {
                sleep(session.gate.failure_delay()).await;
                return Err(End::login(error::AUTHORIZATION, why));
            }
        };
        session.until = login.lifetime.map(|lifetime: Duration| Instant::now() + lifetime);
        let host = session.client.peer.ip().to_string();
        let actor = shared.broker.actor(login.principal, host.into());
        // Kept for who looks at connections; what proved them is not.
        for secret in [&mut said.pass, &mut said.auth_token, &mut said.jwt, &mut said.sig] {
            *secret = String::new();
        }
        for text in [&mut said.name, &mut said.lang, &mut said.version] {
            truncate(text);
        }
        session.client.introduce(actor, said.clone());
    }
    session.is_in = true;
    session.verbose = said.verbose;
    session.pedantic = said.pedantic;
    session.echo = said.echo;
    session.no_responders = said.no_responders;
    session.takes_headers = said.headers;
    session.ok();
    Ok(())
}

fn truncate(text: &mut String) {
    let mut end = CLIENT_NAME_BYTES_MAX.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
    text.shrink_to_fit();
}

//! Names and passwords in each request (RFC 7617).

use std::sync::Arc;

use base::Principal;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use tokio::time::sleep;

use super::header::{AUTHORIZATION, HeaderMap};
use crate::Logins;
use crate::sasl::{Login, Mechanism, Step};

/// Why a request is not let in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LoginError {
    /// It says no name and no password.
    #[error("no name and no password")]
    Missing,
    /// It does, and they are refused; why, for the log.
    #[error("{0}")]
    Refused(String),
}

/// Who a request is from. Without `logins` nobody asks, and it is from whom the transport proved. A refusal is held back,
/// to slow guessing down.
///
/// # Errors
/// See [`LoginError`].
pub async fn log_in(
    logins: Option<&Arc<Logins>>,
    transport: &Principal,
    headers: &HeaderMap,
) -> Result<Login, LoginError> {
    let Some(logins) = logins else {
        return Ok(Login { principal: transport.clone(), lifetime: None });
    };
    if !headers.contains_key(AUTHORIZATION) {
        return Err(LoginError::Missing);
    }
    let outcome = check(logins, headers).await;
    if outcome.is_err() {
        sleep(logins.options().failure_delay).await;
    }
    outcome.map_err(LoginError::Refused)
}

async fn check(logins: &Arc<Logins>, headers: &HeaderMap) -> Result<Login, String> {
    let token = encoded(headers).and_then(basic_token).ok_or("no login of the kind Basic")?;
    let exchange = logins.begin(Mechanism::Plain);
    let mut exchange = exchange.ok_or("passwords are not taken here: PLAIN is not offered")?;
    match exchange.step(&token).await {
        Ok(Step::Done(_, login)) => Ok(login),
        Ok(Step::Continue(_)) => Err("a password takes one step".to_owned()),
        Err(refusal) => Err(refusal.why),
    }
}

/// The name that a request says, whether or not it is true.
pub fn name_said(headers: &HeaderMap) -> Option<String> {
    encoded(headers).and_then(basic).map(|(name, _)| name)
}

/// What `Basic` says, behind that word, as the token of [`Mechanism::Plain`].
pub fn basic_token(encoded: &str) -> Option<Vec<u8>> {
    let (name, password) = basic(encoded)?;
    Some([b"\0", name.as_bytes(), b"\0", password.as_bytes()].concat())
}

fn encoded(headers: &HeaderMap) -> Option<&str> {
    let (scheme, encoded) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("basic").then_some(encoded)
}

fn basic(encoded: &str) -> Option<(String, String)> {
    let decoded = BASE64_STANDARD.decode(encoded.trim()).ok()?;
    let decoded = String::from_utf8(decoded).ok()?;
    let (name, password) = decoded.split_once(':')?;
    Some((name.to_owned(), password.to_owned()))
}

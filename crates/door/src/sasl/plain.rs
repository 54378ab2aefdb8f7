//! `PLAIN` (RFC 4616): name and password as they are.

use std::sync::Arc;

use base::{Credential, PasswordHash};

use super::{Login, Logins, Refusal, Step, same, scram};

/// What every refusal of a password says, whatever is wrong.
const INVALID: &str = "Authentication failed: Invalid username or password";

/// Longest password that is hashed. Hashing begins with a digest of it, so length costs.
const PASSWORD_BYTES_MAX: usize = 4096;

pub(super) async fn login(logins: &Arc<Logins>, token: &[u8]) -> Result<Step, Refusal> {
    let (name, password) = parse(token)?;
    if check(logins, name, password).await {
        let login: Login = logins.login(name, None);
        return Ok(Step::Done(Vec::new(), login));
    }
    Err(Refusal::new(INVALID, format!("invalid password or unknown user {name:?}")))
}

/// `[authorization] NUL name NUL password`.
fn parse(token: &[u8]) -> Result<(&str, &str), Refusal> {
    let text = std::str::from_utf8(token).map_err(|_| Refusal::malformed("it is not UTF-8"))?;
    let mut parts = text.split('\0');
    let (Some(authorization), Some(name), Some(password), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(Refusal::malformed("it is not authorization, name and password"));
    };
    if name.is_empty() {
        return Err(Refusal::malformed("username not specified"));
    }
    if password.is_empty() {
        return Err(Refusal::malformed("password not specified"));
    }
    if !authorization.is_empty() && authorization != name {
        let why = "Client requested an authorization id that is different from username";
        return Err(Refusal::malformed(why));
    }
    Ok((name, password))
}

/// Takes the time of one hash for every failure, so that time does not tell which names exist.
async fn check(logins: &Arc<Logins>, name: &str, password: &str) -> bool {
    if password.len() > PASSWORD_BYTES_MAX || name.len() > base::limits::USER_NAME_BYTES_MAX {
        return false;
    }
    let fixed = logins.options.plain_users.0.get(name);
    if fixed.is_some_and(|fixed| same(&digest(fixed), &digest(password))) {
        return true;
    }
    let found = logins.password(name);
    let exists = found.is_some();
    let (hash, credential) = found.unwrap_or_else(|| {
        let alike = logins.alike(name).and_then(|name| logins.password(&name));
        let hash = alike.map_or(PasswordHash::Sha256, |(hash, _)| hash);
        (hash, logins.stand_in(name, hash))
    });
    matches(logins, hash, credential, password.to_owned()).await && exists
}

async fn matches(
    logins: &Logins,
    hash: PasswordHash,
    credential: Credential,
    password: String,
) -> bool {
    let Ok(turn) = Arc::clone(&logins.hashing).acquire_owned().await else { return false };
    let hashing = tokio::task::spawn_blocking(move || {
        let _turn = turn;
        let salted = scram::salted_password(
            hash,
            password.as_bytes(),
            &credential.salt,
            credential.iterations,
        );
        same(&scram::stored_key(hash, &salted), &credential.stored_key)
    });
    hashing.await.unwrap_or(false)
}

/// Of one length, whatever the length of the password.
fn digest(password: &str) -> Vec<u8> {
    scram::digest(PasswordHash::Sha256, password.as_bytes())
}

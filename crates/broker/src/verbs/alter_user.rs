//! Giving a user a password, or taking it away.

use base::{Credential, ErrorKind, PasswordHash, limits};
use cluster::{Compare, MetaError, Op, Txn};

use crate::Broker;
use crate::metadata::{User, keys};

/// Why a user was not changed.
#[derive(Debug, thiserror::Error)]
pub enum UserError {
    /// The name is empty, too long or has a control character.
    #[error(
        "a user's name has 1 to {max} bytes and no control characters",
        max = limits::USER_NAME_BYTES_MAX
    )]
    Name,
    /// There is nothing to take away.
    #[error("the user has no such credential")]
    NotFound,
    /// The credential is weaker, or dearer to check, than allowed.
    #[error("{0}")]
    Credential(String),
    /// There are as many users as there may be.
    #[error("there are {max} users, the most that are kept", max = limits::USERS_MAX)]
    TooMany,
    /// The metadata store failed.
    #[error(transparent)]
    Meta(#[from] MetaError),
}

impl UserError {
    /// What the caller should do.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Name | Self::Credential(_) | Self::TooMany => ErrorKind::Invalid,
            Self::NotFound => ErrorKind::NotFound,
            Self::Meta(error) => error.kind(),
        }
    }
}

impl Broker {
    /// Sets (`Some`) or takes away (`None`) a user's credentials, all or none. A user without any is
    /// gone. Returns when this broker knows of it.
    ///
    /// # Errors
    /// See [`UserError`].
    pub async fn alter_user(
        &self,
        name: &str,
        changes: &[(PasswordHash, Option<Credential>)],
    ) -> Result<(), UserError> {
        check_name(name)?;
        for (hash, credential) in changes {
            credential.as_ref().map_or(Ok(()), |credential| check(*hash, credential))?;
        }
        let key = keys::user(name);
        loop {
            let current = self.inner.meta.get(key.as_bytes()).await?;
            let revision = current.map_or(0, |kv| kv.mod_revision);
            self.seen(revision).await;
            let metadata = self.metadata();
            let known = metadata.users.get(name);
            if known.is_none() && metadata.users.len() >= limits::USERS_MAX {
                return Err(UserError::TooMany);
            }
            let mut user = known.map_or_else(User::default, |user| User::clone(user));
            for (hash, credential) in changes {
                match credential {
                    Some(credential) => _ = user.credentials.insert(*hash, credential.clone()),
                    None => {
                        user.credentials.remove(hash).ok_or(UserError::NotFound)?;
                    }
                }
            }
            let unchanged = match revision {
                0 => Compare::absent(key.clone()),
                revision => Compare::mod_revision(key.clone(), revision),
            };
            let change = match user.credentials.is_empty() {
                true => Op::delete(key.clone()),
                false => Op::put(key.clone(), keys::encode(&keys::UserValue::of(&user))),
            };
            let answer = self.inner.meta.txn(Txn::new().when(unchanged).then(change)).await?;
            if answer.succeeded {
                self.seen(answer.revision).await;
                return Ok(());
            }
        }
    }
}

fn check_name(name: &str) -> Result<(), UserError> {
    let allowed = (1..=limits::USER_NAME_BYTES_MAX).contains(&name.len());
    if allowed && !name.chars().any(char::is_control) { Ok(()) } else { Err(UserError::Name) }
}

fn check(hash: PasswordHash, credential: &Credential) -> Result<(), UserError> {
    let (min, max) = (limits::PASSWORD_ITERATIONS.start(), limits::PASSWORD_ITERATIONS.end());
    if !limits::PASSWORD_ITERATIONS.contains(&credential.iterations) {
        let given = credential.iterations;
        let why = format!("a password is hashed {min} to {max} times, not {given} times");
        return Err(UserError::Credential(why));
    }
    if !(1..=limits::PASSWORD_SALT_BYTES_MAX).contains(&credential.salt.len()) {
        let max = limits::PASSWORD_SALT_BYTES_MAX;
        return Err(UserError::Credential(format!("a salt has 1 to {max} bytes")));
    }
    if [&credential.stored_key, &credential.server_key].iter().any(|k| k.len() != hash.bytes()) {
        let why = format!("keys of this hash have {} bytes", hash.bytes());
        return Err(UserError::Credential(why));
    }
    Ok(())
}

//! Logging in (SASL, RFC 4422), for every door alike. A door carries the tokens back and forth; what
//! they mean and who is let in is decided here.

pub mod jwt;
mod mechanism;
mod oauth;
mod plain;
pub mod scram;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use base::{Clock, Credential, Millis, PasswordHash, Principal, Random};
use tokio::sync::Semaphore;

pub use mechanism::Mechanism;

use jwt::Tokens;

/// Passwords that are hashed at the same time, on threads of their own; further logins wait. A
/// hash takes some milliseconds of a processor that messages want, too.
const HASHING_MAX: usize = 2;

/// Where users with passwords are found.
pub trait Users: Send + Sync + Debug {
    /// What is kept of a user's password, made with this hash.
    fn credential(&self, name: &str, hash: PasswordHash) -> Option<Credential>;

    /// Some user, the same one for the same `pick`; none without users. A user who does not exist is
    /// answered like one picked so.
    fn some_name(&self, pick: u64) -> Option<String>;
}

/// How one logs in on a listener.
#[derive(Debug, Clone)]
pub struct LoginOptions {
    /// The ways offered, best first.
    pub mechanisms: Vec<Mechanism>,
    /// Users of `PLAIN` that are in no store, with their passwords.
    pub plain_users: PlainUsers,
    /// After this, a client must log in again (KIP-368); none means never.
    pub session_max: Option<Duration>,
    /// How long a refusal is held back, to slow guessing down.
    pub failure_delay: Duration,
    /// Largest request in bytes from who has not logged in.
    pub request_bytes_max: usize,
}

impl Default for LoginOptions {
    fn default() -> Self {
        Self {
            mechanisms: vec![Mechanism::ScramSha512, Mechanism::ScramSha256, Mechanism::Plain],
            plain_users: PlainUsers::default(),
            session_max: None,
            failure_delay: Duration::from_millis(100),
            request_bytes_max: 512 * 1024,
        }
    }
}

/// Users with their passwords, from the configuration.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct PlainUsers(pub BTreeMap<String, String>);

/// Names only.
impl Debug for PlainUsers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// What a listener lets clients log in with.
#[derive(Debug)]
pub struct Logins {
    options: LoginOptions,
    users: Arc<dyn Users>,
    tokens: Option<Arc<Tokens>>,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    /// What the salts of users who do not exist are made from: the same one for the same name.
    secret: Secret,
    hashing: Arc<Semaphore>,
}

struct Secret([u8; 32]);

impl Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret")
    }
}

/// What logins need besides their options.
#[derive(Debug, Clone)]
pub struct LoginContext {
    /// Users with passwords.
    pub users: Arc<dyn Users>,
    /// What checks tokens, where they are offered.
    pub tokens: Option<Arc<Tokens>>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Nonces come from here.
    pub random: Arc<dyn Random>,
    /// Something that stays the same over restarts and is not known outside: users who do not exist
    /// get salts made of it.
    pub secret: [u8; 32],
}

/// A login that succeeded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Login {
    /// Who it is.
    pub principal: Principal,
    /// For how long, if not for ever.
    pub lifetime: Option<Duration>,
}

/// What comes of a client's token.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// The client is to answer this.
    Continue(Vec<u8>),
    /// The client is in, and is told this.
    Done(Vec<u8>, Login),
}

/// A login that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// For the client. Does not say whether the user exists.
    pub told: String,
    /// For the log: no password or token is in it.
    pub why: String,
}

impl Refusal {
    fn new(told: impl Into<String>, why: impl Into<String>) -> Self {
        Self { told: told.into(), why: why.into() }
    }

    /// The client itself is at fault, and is told how.
    fn malformed(why: impl Into<String>) -> Self {
        let why = why.into();
        Self::new(format!("Authentication failed: {why}"), why)
    }
}

impl Logins {
    /// Ready for clients.
    pub fn new(options: LoginOptions, context: LoginContext) -> Self {
        let LoginContext { users, tokens, clock, random, secret } = context;
        let hashing = Arc::new(Semaphore::new(HASHING_MAX));
        Self { options, users, tokens, clock, random, secret: Secret(secret), hashing }
    }

    /// How one logs in here.
    pub fn options(&self) -> &LoginOptions {
        &self.options
    }

    /// Begins a login. None for a way that is not offered.
    pub fn begin(self: &Arc<Self>, mechanism: Mechanism) -> Option<Exchange> {
        if !self.options.mechanisms.contains(&mechanism) {
            return None;
        }
        let state = match mechanism {
            Mechanism::Plain => State::Plain,
            Mechanism::ScramSha256 => State::Scram(scram::Server::new(PasswordHash::Sha256)),
            Mechanism::ScramSha512 => State::Scram(scram::Server::new(PasswordHash::Sha512)),
            Mechanism::OauthBearer => State::OauthBearer,
        };
        Some(Exchange { logins: Arc::clone(self), mechanism, state })
    }

    fn now(&self) -> Millis {
        self.clock.now()
    }

    fn login(&self, name: &str, expires: Option<Millis>) -> Login {
        let left = expires.map(|at| at.saturating_sub(self.now()).max(0));
        let left = left.map(|ms| Duration::from_millis(ms.unsigned_abs()));
        let lifetime = match (left, self.options.session_max) {
            (Some(left), Some(max)) => Some(left.min(max)),
            (left, max) => left.or(max),
        };
        Login { principal: Principal::user(name), lifetime }
    }

    /// What stands in for a user who does not exist: like a real one to whoever cannot look into the
    /// store, and of no password.
    fn stand_in(&self, name: &str, hash: PasswordHash) -> Credential {
        let made = |label: &str| -> Arc<[u8]> {
            scram::hmac(hash, &self.secret.0, &[label.as_bytes(), name.as_bytes()].concat()).into()
        };
        let alike = self.alike(name).and_then(|name| self.users.credential(&name, hash));
        let least = *base::limits::PASSWORD_ITERATIONS.start();
        Credential {
            iterations: alike.map_or(least, |credential| credential.iterations),
            salt: made("salt").iter().copied().take(scram::SALT_BYTES).collect(),
            stored_key: made("stored key"),
            server_key: made("server key"),
        }
    }

    /// The user whom one who does not exist is answered like.
    fn alike(&self, name: &str) -> Option<String> {
        let pick = scram::hmac(PasswordHash::Sha256, &self.secret.0, name.as_bytes());
        let pick = pick.first_chunk::<8>().map_or(0, |bytes| u64::from_be_bytes(*bytes));
        self.users.some_name(pick)
    }

    /// The credential that a password is checked with.
    fn password(&self, name: &str) -> Option<(PasswordHash, Credential)> {
        let found = |hash| Some((hash, self.users.credential(name, hash)?));
        PasswordHash::ALL.into_iter().find_map(found)
    }
}

/// One login under way.
#[derive(Debug)]
pub struct Exchange {
    logins: Arc<Logins>,
    mechanism: Mechanism,
    state: State,
}

#[derive(Debug)]
enum State {
    Plain,
    Scram(scram::Server),
    OauthBearer,
    /// The client was told why in the mechanism's own way and has one word left.
    Failing(Refusal),
    Over,
}

impl Exchange {
    /// The way that the client chose.
    pub fn mechanism(&self) -> Mechanism {
        self.mechanism
    }

    /// Takes the client's next token.
    ///
    /// # Errors
    /// The login failed; the exchange is over.
    pub async fn step(&mut self, token: &[u8]) -> Result<Step, Refusal> {
        let logins = Arc::clone(&self.logins);
        match std::mem::replace(&mut self.state, State::Over) {
            State::Plain => plain::login(&logins, token).await,
            State::Scram(server) => match server.step(&logins, self.mechanism, token)? {
                scram::Next::Challenge(server, challenge) => {
                    self.state = State::Scram(server);
                    Ok(Step::Continue(challenge))
                }
                scram::Next::Done(last, name) => Ok(Step::Done(last, logins.login(&name, None))),
            },
            State::OauthBearer => match oauth::login(&logins, token) {
                Ok(login) => Ok(Step::Done(Vec::new(), login)),
                Err(oauth::Failure::Malformed(refusal)) => Err(refusal),
                Err(oauth::Failure::Token(refusal)) => {
                    self.state = State::Failing(refusal);
                    Ok(Step::Continue(oauth::INVALID_TOKEN.to_vec()))
                }
            },
            State::Failing(refusal) => Err(refusal),
            State::Over => Err(Refusal::malformed("the login is over")),
        }
    }
}

/// Whether two secrets are the same, in a time that does not say how much of them is.
fn same(a: &[u8], b: &[u8]) -> bool {
    subtle::ConstantTimeEq::ct_eq(a, b).into()
}

//! TLS and logins of the listeners, from their configuration to what the doors use.

mod self_signed;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use base::{Credential, PasswordHash, Random};
use broker::{Broker, UserError};
use door::sasl::jwt::{TokenOptions, Tokens, Trust};
use door::sasl::{LoginContext, LoginOptions, Mechanism, PlainUsers, Users, scram};
use door::tls::{ClientAuth, Pem, PrincipalRules, Tls, TlsError, TlsOptions, TlsVersion};
use door::{Listener, Logins};

use crate::config::{self, Config};

/// How often files of certificates and keys are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// How often the first user's password is hashed; as often as is customary.
const ADMIN_ITERATIONS: u32 = 4096;

/// Why a listener cannot be protected as its configuration says.
#[derive(Debug, thiserror::Error)]
pub enum SecurityError {
    /// Certificates or keys.
    #[error("TLS of listener {listener}: {source}")]
    Tls {
        /// The listener.
        listener: String,
        /// What is wrong.
        source: TlsError,
    },
    /// Making a certificate.
    #[error("cannot make a certificate: {0}; name one in tls.certificate")]
    SelfSigned(String),
    /// The keys of the issuer of tokens.
    #[error("login.token_keys of listener {listener}: {why}")]
    Tokens {
        /// The listener.
        listener: String,
        /// What is wrong.
        why: String,
    },
    /// The first user.
    #[error("cannot make the first user: {0}")]
    Admin(#[from] UserError),
    /// The metadata store.
    #[error("cannot prepare logins: {0}")]
    Meta(#[from] broker::MetaError),
}

/// What is spoken within TLS, where clients insist on being told.
fn protocols(door: config::Door) -> Vec<&'static str> {
    match door {
        config::Door::Grpc => vec!["h2", "http/1.1"],
        _ => Vec::new(),
    }
}

/// What follows its files.
#[derive(Debug, Default)]
pub(crate) struct Security {
    tls: BTreeMap<String, Arc<Tls>>,
    tokens: Vec<(String, Arc<Tokens>)>,
    /// The authority that was made, if one is used.
    pub(crate) made_authority: Option<std::path::PathBuf>,
}

impl Security {
    /// Reads certificates and keys of all listeners, making what may be made.
    pub(crate) fn new(config: &Config) -> Result<Self, SecurityError> {
        let mut security = Self::default();
        for listener in &config.listeners {
            let Some(settings) = &listener.tls else { continue };
            let (certificate, key) = match &settings.certificate {
                Some(certificate) => (Pem::new(certificate), settings.key.as_ref()),
                None => {
                    let made = self_signed::ensure(config)?;
                    security.made_authority = Some(made.authority);
                    (Pem::File(made.identity), None)
                }
            };
            let options = TlsOptions {
                client_authorities: settings.client_ca.as_deref().map(Pem::new),
                client_auth: client_auth(&settings.client_auth),
                versions: settings.versions.iter().filter_map(|v| version(v)).collect(),
                cipher_suites: settings.cipher_suites.clone(),
                // Checked when the configuration was read.
                principals: PrincipalRules::parse(&settings.principal_rules).unwrap_or_default(),
                protocols: protocols(listener.door),
                ..TlsOptions::new(certificate, key.map(|key| Pem::new(&key.0)))
            };
            let failed = |source| SecurityError::Tls { listener: listener.name.clone(), source };
            let tls = Arc::new(Tls::new(options).map_err(failed)?);
            security.tls.insert(listener.name.clone(), tls);
        }
        Ok(security)
    }

    /// Gives a listener its protection.
    pub(crate) async fn protect(
        &mut self,
        listener: Listener,
        config: &config::Listener,
        broker: &Broker,
    ) -> Result<Listener, SecurityError> {
        let listener = match self.tls.get(&config.name) {
            Some(tls) => listener.with_tls(Arc::clone(tls)),
            None => listener,
        };
        let Some(settings) = &config.login else { return Ok(listener) };
        let tokens = match offered(settings).contains(&Mechanism::OauthBearer) {
            false => None,
            true => {
                let failed = |why| SecurityError::Tokens { listener: config.name.clone(), why };
                let tokens = Arc::new(Tokens::new(token_options(settings)).map_err(failed)?);
                self.tokens.push((config.name.clone(), Arc::clone(&tokens)));
                Some(tokens)
            }
        };
        let context = LoginContext {
            users: Arc::new(BrokerUsers(broker.clone())),
            tokens,
            clock: Arc::clone(&broker.options().clock),
            random: Arc::clone(&broker.options().random),
            secret: broker.secret().await?,
        };
        Ok(listener.with_logins(Arc::new(Logins::new(login_options(settings), context))))
    }

    /// Whether anything could change.
    fn has_files(&self) -> bool {
        !self.tls.is_empty() || !self.tokens.is_empty()
    }

    /// Reads all files again, or those that changed.
    fn reload(&self, all: bool) {
        for (listener, tls) in &self.tls {
            let done = if all { tls.reload().map(|()| true) } else { tls.reload_if_changed() };
            report(listener, "certificates", done);
        }
        for (listener, tokens) in &self.tokens {
            let done =
                if all { tokens.reload().map(|()| true) } else { tokens.reload_if_changed() };
            report(listener, "keys of tokens", done);
        }
    }

    /// Follows the files for ever: at each hang-up signal all of them, in between what changed.
    pub(crate) async fn follow(self: Arc<Self>, mut hangup: tokio::signal::unix::Signal) {
        let mut every = tokio::time::interval(LOOK_EVERY);
        loop {
            let all = tokio::select! {
                _ = hangup.recv() => true,
                _ = every.tick(), if self.has_files() => false,
            };
            let this = Arc::clone(&self);
            // Files may lie on a slow disk.
            let _ = tokio::task::spawn_blocking(move || this.reload(all)).await;
        }
    }
}

fn report<E: std::fmt::Display>(listener: &str, what: &str, done: Result<bool, E>) {
    match done {
        Ok(true) => tracing::info!(listener, "{what} read again"),
        Ok(false) => {}
        Err(error) => tracing::error!(listener, %error, "{what} stay as they were"),
    }
}

fn client_auth(text: &str) -> ClientAuth {
    match text {
        "required" => ClientAuth::Required,
        "requested" => ClientAuth::Requested,
        _ => ClientAuth::None,
    }
}

fn version(text: &str) -> Option<TlsVersion> {
    match text {
        "TLSv1.2" => Some(TlsVersion::V12),
        "TLSv1.3" => Some(TlsVersion::V13),
        _ => None,
    }
}

fn offered(settings: &config::Login) -> Vec<Mechanism> {
    settings.mechanisms.iter().filter_map(|name| Mechanism::parse(name)).collect()
}

fn login_options(settings: &config::Login) -> LoginOptions {
    let users = settings.plain_users.as_ref().map(config::plain_users).unwrap_or_default();
    LoginOptions {
        mechanisms: offered(settings),
        plain_users: PlainUsers(users),
        session_max: settings.session_max_ms.map(Duration::from_millis),
        failure_delay: Duration::from_millis(settings.failure_delay_ms),
        request_bytes_max: settings.request_max_bytes,
    }
}

fn token_options(settings: &config::Login) -> TokenOptions {
    let trust = match &settings.token_keys {
        Some(file) => Trust::Keys(file.into()),
        None => Trust::Anybody,
    };
    TokenOptions {
        issuer: settings.token_issuer.clone(),
        audiences: settings.token_audiences.clone(),
        clock_skew: Duration::from_secs(settings.token_clock_skew_seconds),
        subject_claim: settings.token_subject_claim.clone(),
        ..TokenOptions::new(trust)
    }
}

/// The users in the cluster's metadata.
#[derive(Debug)]
struct BrokerUsers(Broker);

impl Users for BrokerUsers {
    fn credential(&self, name: &str, hash: PasswordHash) -> Option<Credential> {
        self.0.metadata().users.get(name)?.credentials.get(&hash).cloned()
    }

    fn some_name(&self, pick: u64) -> Option<String> {
        let metadata = self.0.metadata();
        let count = u64::try_from(metadata.users.len()).ok().filter(|count| *count > 0)?;
        let index = usize::try_from(pick % count).ok()?;
        metadata.users.keys().nth(index).cloned()
    }
}

/// Makes the first user where logins are demanded and nobody could log in. Returns what to tell
/// whoever started us.
pub(crate) async fn first_user(config: &Config, broker: &Broker) -> Result<String, SecurityError> {
    let has_users = !broker.metadata().users.is_empty();
    if !config.net.secure || has_users {
        return Ok(String::new());
    }
    let name = &config.login.admin_user;
    let given = config.login.admin_password.as_ref().map(|secret| secret.0.clone());
    let password = given.clone().unwrap_or_else(|| new_password(&*broker.options().random));
    let random = Arc::clone(&broker.options().random);
    let hashed = password.clone();
    let hashing = tokio::task::spawn_blocking(move || {
        PasswordHash::ALL.map(|hash| {
            (hash, Some(scram::new_credential(hash, &hashed, ADMIN_ITERATIONS, &*random)))
        })
    });
    let credentials = hashing.await.map_err(|error| {
        UserError::Credential(format!("the password could not be hashed: {error}"))
    })?;
    broker.alter_user(name, &credentials).await?;
    Ok(match given {
        Some(_) => format!("first user {name:?} made, with the password that was given\n"),
        None => format!("first user {name:?} made; its password, shown only now: {password}\n"),
    })
}

/// 128 bits in letters and digits that are not mistaken for each other.
fn new_password(random: &dyn Random) -> String {
    const ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
    let mut bits = random.next_u128();
    let mut password = String::new();
    for _ in 0..26 {
        let index = usize::try_from(bits & 31).unwrap_or(0);
        password.push(char::from(ALPHABET.get(index).copied().unwrap_or(b'x')));
        bits >>= 5;
    }
    password
}

/// Where clients find the authority to trust.
pub(crate) fn announce(security: &Security) -> String {
    match &security.made_authority {
        Some(path) => format!("clients trust the authority in {}\n", path.display()),
        None => String::new(),
    }
}

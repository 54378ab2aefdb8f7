//! TLS and logins of each listener: what the sections `tls` and `login` say, and what is said for
//! one listener alone.

use std::collections::BTreeMap;
use std::fmt::{self, Debug, Formatter};

use door::sasl::Mechanism;
use door::tls::PrincipalRules;

use super::keys::{self, Key};
use super::listeners::Found;
use super::model::{Config, Listener};
use super::origin::{ConfigError, Notice, Origin};

/// TLS.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tls {
    /// Certificate and chain: a PEM file, or PEM itself.
    pub certificate: Option<String>,
    /// The private key, if it does not stand with the certificate.
    pub key: Option<Secret>,
    /// Authorities whose certificates clients may show.
    pub client_ca: Option<String>,
    /// Whether clients show certificates: `none`, `requested` or `required`.
    pub client_auth: String,
    /// The versions spoken.
    pub versions: Vec<String>,
    /// The cipher suites allowed; empty means all.
    pub cipher_suites: Vec<String>,
    /// From a certificate's subject to a user's name.
    pub principal_rules: String,
    /// Whether a certificate is made where none is given.
    pub self_signed: bool,
}

/// Logins.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Login {
    /// The ways offered.
    pub mechanisms: Vec<String>,
    /// Users of `PLAIN`, as they are written.
    pub plain_users: Option<Secret>,
    /// Clients log in again after so many milliseconds.
    pub session_max_ms: Option<u64>,
    /// A refusal is held back for so many milliseconds.
    pub failure_delay_ms: u64,
    /// Largest request before a login, in bytes.
    pub request_max_bytes: usize,
    /// The file with the keys of the issuer of tokens.
    pub token_keys: Option<String>,
    /// The issuer that tokens must name.
    pub token_issuer: Option<String>,
    /// The audiences of which tokens must name one.
    pub token_audiences: Vec<String>,
    /// Seconds by which the issuer's clock may differ.
    pub token_clock_skew_seconds: u64,
    /// The claim with the user's name.
    pub token_subject_claim: String,
    /// Whether tokens without a signature are believed.
    pub token_unsecured: bool,
    /// The first user, made where there is none.
    pub admin_user: String,
    /// The first user's password.
    pub admin_password: Option<Secret>,
}

/// A text that is not shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub String);

/// What stands for a secret where it would be shown.
pub(crate) const HIDDEN: &str = "[hidden]";

impl Debug for Secret {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(HIDDEN)
    }
}

/// A value for one listener alone.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Scoped {
    pub(crate) listener: String,
    pub(crate) key: &'static str,
    pub(crate) value: Secret,
    pub(crate) origin: Origin,
}

/// Whether a key may be set for one listener alone.
pub(crate) fn is_per_listener(key: &Key) -> bool {
    key.name.starts_with("tls.")
        || key.name.starts_with("login.") && !key.name.starts_with("login.admin_")
}

/// What a security protocol asks of a listener.
pub(crate) fn uses_tls(protocol: &str) -> bool {
    matches!(protocol, "SSL" | "SASL_SSL")
}

/// Whether clients must log in.
pub(crate) fn uses_login(protocol: &str) -> bool {
    protocol.starts_with("SASL_")
}

/// Gives each listener its settings, and says what is missing.
pub(crate) fn resolve(config: &Config, listeners: &mut [Listener], found: &mut Found<'_>) {
    for listener in listeners.iter_mut() {
        let own: Vec<&Scoped> =
            config.scoped.iter().filter(|scoped| scoped.listener == listener.name).collect();
        let mut view = config.clone();
        for scoped in &own {
            if let Some(key) = keys::find(scoped.key) {
                // It was checked when it was read.
                let _ = key.set(&mut view, &scoped.value.0);
                view.origins.insert(scoped.key, scoped.origin.clone());
            }
        }
        // As in Kafka: where clients log in, they show certificates only if this listener says so.
        let asks = own.iter().any(|scoped| scoped.key == "tls.client_auth");
        if uses_login(&listener.security) && !asks {
            "none".clone_into(&mut view.tls.client_auth);
        }
        if uses_tls(&listener.security) {
            check_tls(&view, listener, found);
            listener.tls = Some(view.tls.clone());
        }
        if uses_login(&listener.security) {
            check_login(&view, listener, found);
            listener.login = Some(view.login);
        }
    }
    let mut unknown: BTreeMap<&str, &Scoped> = BTreeMap::new();
    for scoped in &config.scoped {
        if listeners.iter().all(|listener| listener.name != scoped.listener) {
            unknown.entry(&scoped.listener).or_insert(scoped);
        }
    }
    for (name, scoped) in unknown {
        found.notices.push(Notice {
            key: scoped.key.to_owned(),
            origin: scoped.origin.clone(),
            text: format!("has no effect: there is no listener {name}"),
        });
    }
}

fn check_tls(config: &Config, listener: &Listener, found: &mut Found<'_>) {
    let tls = &config.tls;
    let name = &listener.name;
    if tls.certificate.is_none() && !tls.self_signed && !config.net.secure {
        found.errors.push(missing(
            config,
            "tls.certificate",
            format!(
                "is not set, but listener {name} speaks TLS; name a PEM file (Kafka: \
                 ssl.keystore.location with ssl.keystore.type=PEM), or set tls.self_signed"
            ),
        ));
    }
    if tls.client_auth != "none" && tls.client_ca.is_none() {
        found.errors.push(missing(
            config,
            "tls.client_auth",
            format!(
                "asks clients of listener {name} for certificates, but tls.client_ca \
                 (ssl.truststore.location, in PEM) does not say whose"
            ),
        ));
    }
}

fn check_login(config: &Config, listener: &Listener, found: &mut Found<'_>) {
    let login = &config.login;
    let offers = |mechanism: Mechanism| login.mechanisms.iter().any(|n| n == mechanism.name());
    if login.mechanisms.is_empty() {
        let why = format!("is empty, but clients of listener {} must log in", listener.name);
        found.errors.push(missing(config, "login.mechanisms", why));
    }
    match (&login.token_keys, login.token_unsecured) {
        (None, false) if offers(Mechanism::OauthBearer) => {
            let why = "does not say with which keys tokens are checked: name a JWKS file, or set \
                       login.token_unsecured for development";
            found.errors.push(missing(config, "login.token_keys", why.to_owned()));
        }
        (Some(_), true) => {
            let why = "is set together with login.token_keys; one of them must go";
            found.errors.push(missing(config, "login.token_unsecured", why.to_owned()));
        }
        _ => {}
    }
    let mut warn = |key: &str, text: String| {
        let origin = config.origin(key).clone();
        found.notices.push(Notice { key: key.to_owned(), origin, text });
    };
    if login.token_unsecured && offers(Mechanism::OauthBearer) {
        warn("login.token_unsecured", "anybody can make a token that is believed".to_owned());
    }
    if offers(Mechanism::Plain) && !uses_tls(&listener.security) && !listener.is_loopback() {
        let name = &listener.name;
        warn("login.mechanisms", format!("PLAIN sends passwords in the clear on listener {name}"));
    }
}

fn missing(config: &Config, key: &str, why: String) -> ConfigError {
    ConfigError::Conflict { key: key.to_owned(), why, origin: config.origin(key).clone() }
}

/// Checks what a key that is a word, or a text of its own kind, may be. The error says what is
/// allowed.
pub(crate) type Checking = fn(&str) -> Result<(), String>;

pub(crate) fn client_auth(text: &str) -> Result<(), String> {
    one_of(text, &["none", "requested", "required"])
}

pub(crate) fn without_logins(text: &str) -> Result<(), String> {
    one_of(text, &["PLAINTEXT", "SSL"])
}

/// Of a door that knows logins: the words for it are the same for all.
pub(crate) fn protocol(text: &str) -> Result<(), String> {
    one_of(text, &["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"])
}

pub(crate) fn tls_version(text: &str) -> Result<(), String> {
    one_of(text, &["TLSv1.2", "TLSv1.3"])
}

pub(crate) fn mechanism(text: &str) -> Result<(), String> {
    one_of(text, &Mechanism::ALL.map(Mechanism::name))
}

pub(crate) fn any(_: &str) -> Result<(), String> {
    Ok(())
}

pub(crate) fn principal_rules(text: &str) -> Result<(), String> {
    let allowed = "DEFAULT, or RULE:pattern/replacement/ with L or U behind it, after commas";
    PrincipalRules::parse(text).map(|_| ()).map_err(|why| {
        if why.is_empty() { allowed.to_owned() } else { format!("{allowed} ({why})") }
    })
}

pub(crate) fn users_line(text: &str) -> Result<(), String> {
    let users = door_kafka::jaas::Module::parse(text).map(|module| module.users());
    if users.is_some_and(|users| text.trim().is_empty() || !users.is_empty()) {
        return Ok(());
    }
    Err("user_NAME=\"PASSWORD\" for each user, as in the line of a PLAIN login module".to_owned())
}

fn one_of(text: &str, allowed: &[&str]) -> Result<(), String> {
    if allowed.contains(&text) { Ok(()) } else { Err(format!("one of {}", allowed.join(" | "))) }
}

/// The users of `PLAIN` that a setting names, with their passwords.
pub fn plain_users(setting: &Secret) -> BTreeMap<String, String> {
    door_kafka::jaas::Module::parse(&setting.0).map(|module| module.users()).unwrap_or_default()
}

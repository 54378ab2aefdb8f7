//! Who a client is.

use std::sync::Arc;
use std::time::Duration;

use base::Principal;
use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use door::Logins;
use door::sasl::{Login, Mechanism, Step};
use ring::signature::{ED25519, UnparsedPublicKey};

use crate::options::NatsDoorOptions;
use crate::wire::connect::ConnectOptions;
use crate::wire::nkey;

#[cfg(test)]
mod tests;

/// How long a refusal is held back where logins do not say, to slow guessing down.
const FAILURE_DELAY: Duration = Duration::from_millis(100);

/// How a client may prove who it is.
#[derive(Debug, Clone)]
pub(crate) struct Gate {
    logins: Option<Arc<Logins>>,
    /// What the client is to sign, if keys are taken.
    pub(crate) nonce: Option<String>,
    transport: Principal,
}

impl Gate {
    /// For a connection of which the transport proved `transport`. `nonce` is used if keys are taken.
    pub(crate) fn new(
        logins: Option<Arc<Logins>>,
        options: &NatsDoorOptions,
        transport: Principal,
        nonce: [u8; 16],
    ) -> Self {
        let takes_keys = !options.keys.is_empty();
        let nonce = takes_keys.then(|| BASE64_URL_SAFE_NO_PAD.encode(nonce));
        Self { logins, nonce, transport }
    }

    /// With what TLS proved since.
    #[must_use]
    pub(crate) fn with_transport(self, transport: Principal) -> Self {
        Self { transport, ..self }
    }

    /// How long a refusal is held back.
    pub(crate) fn failure_delay(&self) -> Duration {
        self.logins.as_ref().map_or(FAILURE_DELAY, |logins| logins.options().failure_delay)
    }

    /// Whether the client must say who it is.
    pub(crate) fn is_shut(&self, options: &NatsDoorOptions) -> bool {
        self.logins.is_some() || options.token.is_some() || self.nonce.is_some()
    }

    /// Who the client is, by what it said.
    ///
    /// # Errors
    /// For the log. The client is told nothing but that.
    pub(crate) async fn login(
        &self,
        options: &NatsDoorOptions,
        said: &ConnectOptions,
    ) -> Result<Login, String> {
        if !self.is_shut(options) {
            return Ok(Login { principal: self.transport.clone(), lifetime: None });
        }
        if !said.nkey.is_empty() {
            return self.by_key(options, said);
        }
        if !said.auth_token.is_empty() {
            return self.by_token(options, &said.auth_token).await;
        }
        if said.user.is_empty() {
            return Err("no name, token or key was given".into());
        }
        let message = format!("\0{}\0{}", said.user, said.pass);
        self.by_mechanism(Mechanism::Plain, message.as_bytes()).await
    }

    fn by_key(&self, options: &NatsDoorOptions, said: &ConnectOptions) -> Result<Login, String> {
        let nonce = self.nonce.as_ref().ok_or("keys are not taken")?;
        let key = nkey::decode_user(&said.nkey).ok_or("no public key of a user")?;
        let user = options.keys.user(&key).ok_or_else(|| format!("unknown key {}", said.nkey))?;
        // Clients differ in the alphabet.
        let signature = BASE64_URL_SAFE_NO_PAD.decode(said.sig.trim_end_matches('='));
        let signature = signature.or_else(|_| BASE64_STANDARD.decode(&said.sig));
        let signature = signature.map_err(|_| "the signature is not base64")?;
        let checked = UnparsedPublicKey::new(&ED25519, key).verify(nonce.as_bytes(), &signature);
        checked.map_err(|_| format!("wrong signature for key {}", said.nkey))?;
        Ok(Login { principal: Principal::user(user), lifetime: None })
    }

    async fn by_token(&self, options: &NatsDoorOptions, token: &str) -> Result<Login, String> {
        if let Some(known) = &options.token
            && is_same(known.secret.as_bytes(), token.as_bytes())
        {
            return Ok(Login { principal: Principal::user(&known.user), lifetime: None });
        }
        let message = format!("n,,\x01auth=Bearer {token}\x01\x01");
        self.by_mechanism(Mechanism::OauthBearer, message.as_bytes()).await
    }

    async fn by_mechanism(&self, way: Mechanism, message: &[u8]) -> Result<Login, String> {
        let exchange = self.logins.as_ref().and_then(|logins| logins.begin(way));
        let Some(mut exchange) = exchange else {
            return Err(format!("wrong token, or {} is not offered", way.name()));
        };
        match exchange.step(message).await {
            Ok(Step::Done(_, login)) => Ok(login),
            Ok(Step::Continue(_)) => Err(format!("{} was refused", way.name())),
            Err(refusal) => Err(refusal.why),
        }
    }
}

/// Whether two secrets are the same, in a time that does not say how much of them is.
fn is_same(known: &[u8], given: &[u8]) -> bool {
    let digest = |bytes| ring::digest::digest(&ring::digest::SHA256, bytes);
    let (known, given) = (digest(known), digest(given));
    let differ = known.as_ref().iter().zip(given.as_ref()).fold(0, |all, (a, b)| all | (a ^ b));
    differ == 0
}

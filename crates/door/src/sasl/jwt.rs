//! Tokens (JWT, RFC 7519): who issued one, for whom, until when; and the keys to tell (JWK, RFC
//! 7517).

mod claims;
mod keys;

#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use base::Millis;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;
use parking_lot::RwLock;
use serde_json::Value;

use claims::Claims;
use keys::KeySet;

/// Longest token. Those of large companies, with hundreds of groups in them, have some 10 KB.
const TOKEN_BYTES_MAX: usize = 64 * 1024;

/// Where the keys of the issuer come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trust {
    /// A file with the issuer's key set (JWKS), read again when it changed.
    Keys(PathBuf),
    /// Anybody: tokens without a signature are believed. For development only.
    Anybody,
}

/// Which tokens are believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenOptions {
    /// Whose signatures.
    pub trust: Trust,
    /// The issuer (`iss`) that a token must name, if any.
    pub issuer: Option<String>,
    /// The audiences (`aud`) of which a token must name one, if any.
    pub audiences: Vec<String>,
    /// By how much the issuer's clock may differ from ours.
    pub clock_skew: Duration,
    /// The claim that has the user's name.
    pub subject_claim: String,
}

impl TokenOptions {
    /// Believes whom `trust` says, all else by default.
    pub fn new(trust: Trust) -> Self {
        Self {
            trust,
            issuer: None,
            audiences: Vec::new(),
            clock_skew: Duration::from_secs(30),
            subject_claim: "sub".to_owned(),
        }
    }
}

/// What checks tokens. Follows its file.
#[derive(Debug)]
pub struct Tokens {
    options: TokenOptions,
    current: RwLock<Current>,
}

#[derive(Debug, Default)]
struct Current {
    keys: KeySet,
    /// What the file was when it was last tried.
    stamp: Stamp,
}

type Stamp = Option<(SystemTime, u64)>;

/// What a token that is believed says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Valid {
    /// The user's name.
    pub subject: String,
    /// When the token ends.
    pub expires: Millis,
}

impl Tokens {
    /// Reads the keys.
    ///
    /// # Errors
    /// What is wrong with the file.
    pub fn new(options: TokenOptions) -> Result<Self, String> {
        let tokens = Self { options, current: RwLock::default() };
        tokens.reload()?;
        Ok(tokens)
    }

    /// Reads the file again.
    ///
    /// # Errors
    /// What is wrong with it: then all stays as it is.
    pub fn reload(&self) -> Result<(), String> {
        let Trust::Keys(path) = &self.options.trust else { return Ok(()) };
        let stamp = self.stamp();
        let keys = KeySet::read(path);
        let mut current = self.current.write();
        // Of a bad file, too, so that it is said once.
        current.stamp = stamp;
        current.keys = keys?;
        Ok(())
    }

    /// Reads the file again if it changed; says whether it did.
    ///
    /// # Errors
    /// As [`Self::reload`]. Not told again until the file changes again.
    pub fn reload_if_changed(&self) -> Result<bool, String> {
        if self.stamp() == self.current.read().stamp {
            return Ok(false);
        }
        self.reload().map(|()| true)
    }

    fn stamp(&self) -> Stamp {
        let Trust::Keys(path) = &self.options.trust else { return None };
        let file = std::fs::metadata(path).ok()?;
        Some((file.modified().ok()?, file.len()))
    }

    /// What the token says, if it is to be believed.
    ///
    /// # Errors
    /// Why not; the token is not in it.
    pub fn check(&self, token: &str, now: Millis) -> Result<Valid, String> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(format!("the token has {} bytes, at most {TOKEN_BYTES_MAX}", token.len()));
        }
        let not_a_token = || "it is not a signed token".to_owned();
        let (signed, signature) = token.rsplit_once('.').ok_or_else(not_a_token)?;
        let (header, payload) = signed.split_once('.').ok_or_else(not_a_token)?;
        let signature = BASE64URL.decode(signature).map_err(|_| not_a_token())?;
        let header = object(header).ok_or_else(not_a_token)?;
        self.check_signature(&header, signed.as_bytes(), &signature)?;
        // Only now is it worth to look at what it says.
        let claims = object(payload).ok_or_else(not_a_token)?;
        Claims(&claims).check(&self.options, now)
    }

    fn check_signature(
        &self,
        header: &Value,
        signed: &[u8],
        signature: &[u8],
    ) -> Result<(), String> {
        let algorithm = header.get("alg").and_then(Value::as_str).unwrap_or_default();
        if header.get("crit").is_some() {
            return Err("it has critical extensions, of which none is known here".into());
        }
        match self.options.trust {
            Trust::Anybody if algorithm == "none" && signature.is_empty() => Ok(()),
            Trust::Anybody => {
                Err("it is signed, but only tokens without a signature are taken".into())
            }
            Trust::Keys(_) => {
                let id = header.get("kid").and_then(Value::as_str);
                self.current.read().keys.verify(algorithm, id, signed, signature)
            }
        }
    }
}

/// A JSON object in base64url.
fn object(text: &str) -> Option<Value> {
    let bytes = BASE64URL.decode(text).ok()?;
    serde_json::from_slice(&bytes).ok().filter(Value::is_object)
}

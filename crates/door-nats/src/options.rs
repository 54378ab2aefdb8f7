//! How the door behaves, as far as that is configured.

use std::collections::BTreeMap;
use std::fmt::{self, Debug, Formatter};
use std::time::Duration;

use crate::limits::{PAYLOAD_BYTES_MAX, PENDING_BYTES_MAX, PING_INTERVAL, PINGS_OUT_MAX};
use crate::wire::nkey;

/// How the door behaves.
#[derive(Debug, Clone)]
pub struct NatsDoorOptions {
    /// The name that clients are told.
    pub server_name: String,
    /// Largest payload with its headers, in bytes.
    pub payload_bytes_max: usize,
    /// What may wait for one client, in bytes; past it the client is cut off.
    pub pending_bytes_max: usize,
    /// A silent client is asked for a sign of life so often.
    pub ping_interval: Duration,
    /// So many pings may go unanswered.
    pub pings_out_max: u32,
    /// What lets a client in by itself, and as whom.
    pub token: Option<Token>,
    /// Users who prove themselves with a key.
    pub keys: Keys,
}

impl Default for NatsDoorOptions {
    fn default() -> Self {
        Self {
            server_name: "entrepot".to_owned(),
            payload_bytes_max: PAYLOAD_BYTES_MAX,
            pending_bytes_max: PENDING_BYTES_MAX,
            ping_interval: PING_INTERVAL,
            pings_out_max: PINGS_OUT_MAX,
            token: None,
            keys: Keys::default(),
        }
    }
}

/// A word that lets clients in.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    /// The word.
    pub secret: String,
    /// The user that they are then.
    pub user: String,
}

impl Debug for Token {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token").field("user", &self.user).finish_non_exhaustive()
    }
}

/// Public keys of users (nkeys), and who they are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Keys(BTreeMap<[u8; 32], String>);

impl Keys {
    /// From `KEY` or `KEY=user` each. Without a name, the user is called like the key.
    ///
    /// # Errors
    /// Names the first that is no public key of a user.
    pub fn parse<'a>(texts: impl IntoIterator<Item = &'a str>) -> Result<Self, String> {
        let mut keys = BTreeMap::new();
        for text in texts {
            let (key, user) = text.split_once('=').unwrap_or((text, text));
            let Some(bytes) = nkey::decode_user(key.trim()).filter(|_| !user.trim().is_empty())
            else {
                return Err(format!("{text:?} is not the public nkey of a user (U...)"));
            };
            keys.insert(bytes, user.trim().to_owned());
        }
        Ok(Self(keys))
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The user of a key.
    pub(crate) fn user(&self, key: &[u8; 32]) -> Option<&str> {
        self.0.get(key).map(String::as_str)
    }
}

//! `CONNECT {json}`: what a client says about itself.

use serde::{Deserialize, Deserializer};

/// The options of `CONNECT`. What a client leaves out is as its documentation says; what it adds is
/// passed over.
#[derive(Debug, Clone, Deserialize)]
#[serde(default)]
pub(crate) struct ConnectOptions {
    /// Each operation is answered with `+OK`.
    pub(crate) verbose: bool,
    /// Subjects are looked at more closely.
    pub(crate) pedantic: bool,
    /// Whether the client gets its own messages.
    pub(crate) echo: bool,
    pub(crate) headers: bool,
    pub(crate) no_responders: bool,
    /// 0, or 1 if the client takes further `INFO`s.
    pub(crate) protocol: i64,
    #[serde(deserialize_with = "or_empty")]
    pub(crate) name: String,
    #[serde(deserialize_with = "or_empty")]
    pub(crate) lang: String,
    #[serde(deserialize_with = "or_empty")]
    pub(crate) version: String,
    #[serde(deserialize_with = "or_empty")]
    pub(crate) user: String,
    #[serde(deserialize_with = "or_empty")]
    pub(crate) pass: String,
    #[serde(deserialize_with = "or_empty")]
    pub(crate) auth_token: String,
    /// A public key.
    #[serde(deserialize_with = "or_empty")]
    pub(crate) nkey: String,
    /// The signature of the nonce in `INFO`, in base64 for URLs.
    #[serde(deserialize_with = "or_empty")]
    pub(crate) sig: String,
    #[serde(deserialize_with = "or_empty")]
    pub(crate) jwt: String,
}

impl Default for ConnectOptions {
    fn default() -> Self {
        Self {
            verbose: true,
            pedantic: true,
            echo: true,
            headers: false,
            no_responders: false,
            protocol: 0,
            name: String::new(),
            lang: String::new(),
            version: String::new(),
            user: String::new(),
            pass: String::new(),
            auth_token: String::new(),
            nkey: String::new(),
            sig: String::new(),
            jwt: String::new(),
        }
    }
}

impl ConnectOptions {
    /// Reads the JSON. None if it is no object, or has values of other types.
    pub(crate) fn decode(json: &[u8]) -> Option<Self> {
        // An array of values would be taken, too.
        json.trim_ascii_start().starts_with(b"{").then_some(())?;
        serde_json::from_slice(json).ok()
    }
}

/// Some clients write `null` where they have nothing to say.
fn or_empty<'de, D: Deserializer<'de>>(text: D) -> Result<String, D::Error> {
    Option::<String>::deserialize(text).map(Option::unwrap_or_default)
}

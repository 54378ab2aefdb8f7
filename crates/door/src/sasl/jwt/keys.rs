//! The issuer's public keys, and signatures made with their other halves (RFC 7517, RFC 7518).

use std::io::Read;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;
use ring::signature::{
    self, RsaParameters, RsaPublicKeyComponents, UnparsedPublicKey, VerificationAlgorithm,
};
use serde_json::Value;

/// Largest key set that is read: some hundred keys.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// An issuer's public keys.
#[derive(Debug, Default)]
pub(super) struct KeySet(Vec<Key>);

#[derive(Debug)]
struct Key {
    id: Option<String>,
    /// The only algorithm that it is for, if it says so.
    algorithm: Option<String>,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Rsa {
        modulus: Vec<u8>,
        exponent: Vec<u8>,
    },
    /// The curve's name, and the point uncompressed.
    Curve {
        curve: String,
        point: Vec<u8>,
    },
}

impl KeySet {
    /// Reads a file of the form `{"keys": [...]}`. Keys of kinds that are not known are left out.
    pub(super) fn read(path: &Path) -> Result<Self, String> {
        let failed = |why: String| format!("{}: {why}", path.display());
        let mut text = String::new();
        let file = std::fs::File::open(path).map_err(|error| failed(error.to_string()))?;
        let read = file.take(FILE_BYTES_MAX).read_to_string(&mut text);
        read.map_err(|error| failed(error.to_string()))?;
        let parsed: Value = serde_json::from_str(&text)
            .map_err(|error| failed(format!("it is not a key set (JWKS): {error}")))?;
        let keys = parsed.get("keys").and_then(Value::as_array);
        let keys: Vec<_> = keys.into_iter().flatten().filter_map(Key::parse).collect();
        if keys.is_empty() {
            return Err(failed("it has no key that signatures could be checked with".into()));
        }
        Ok(Self(keys))
    }

    /// Whether one of the keys made this signature.
    pub(super) fn verify(
        &self,
        algorithm: &str,
        id: Option<&str>,
        signed: &[u8],
        signature: &[u8],
    ) -> Result<(), String> {
        let fits = |key: &&Key| {
            let named = id.is_none() || key.id.is_none() || key.id.as_deref() == id;
            named && key.algorithm.as_deref().is_none_or(|only| only == algorithm)
        };
        let keys: Vec<_> = self.0.iter().filter(fits).collect();
        if keys.is_empty() {
            return Err(format!("no key of the issuer's is called {id:?} and for {algorithm:?}"));
        }
        match keys.iter().any(|key| key.kind.verify(algorithm, signed, signature)) {
            true => Ok(()),
            false => Err("its signature is not one of the issuer's".into()),
        }
    }
}

impl Key {
    fn parse(value: &Value) -> Option<Self> {
        let text = |name: &str| value.get(name).and_then(Value::as_str);
        let bytes = |name: &str| BASE64URL.decode(text(name)?).ok();
        if text("use").is_some_and(|what| what != "sig") {
            return None;
        }
        let kind = match text("kty")? {
            "RSA" => Kind::Rsa { modulus: unpadded(bytes("n")?), exponent: unpadded(bytes("e")?) },
            "EC" => {
                let point = [vec![4], bytes("x")?, bytes("y")?].concat();
                Kind::Curve { curve: text("crv")?.to_owned(), point }
            }
            "OKP" => Kind::Curve { curve: text("crv")?.to_owned(), point: bytes("x")? },
            _ => return None,
        };
        let owned = |name: &str| text(name).map(str::to_owned);
        Some(Self { id: owned("kid"), algorithm: owned("alg"), kind })
    }
}

/// Without zeros in front, which some issuers write and ring refuses.
fn unpadded(mut number: Vec<u8>) -> Vec<u8> {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    number.drain(..zeros);
    number
}

impl Kind {
    /// The algorithm is the token's word, so it must fit the key: a public key is never taken for a
    /// shared secret (`HS256`), and `none` is no algorithm.
    fn verify(&self, algorithm: &str, signed: &[u8], signature: &[u8]) -> bool {
        match self {
            Self::Rsa { modulus, exponent } => {
                let key = RsaPublicKeyComponents { n: modulus, e: exponent };
                rsa(algorithm).is_some_and(|how| key.verify(how, signed, signature).is_ok())
            }
            Self::Curve { curve, point } => curve_algorithm(algorithm, curve).is_some_and(|how| {
                UnparsedPublicKey::new(how, point).verify(signed, signature).is_ok()
            }),
        }
    }
}

fn rsa(algorithm: &str) -> Option<&'static RsaParameters> {
    Some(match algorithm {
        "RS256" => &signature::RSA_PKCS1_2048_8192_SHA256,
        "RS384" => &signature::RSA_PKCS1_2048_8192_SHA384,
        "RS512" => &signature::RSA_PKCS1_2048_8192_SHA512,
        "PS256" => &signature::RSA_PSS_2048_8192_SHA256,
        "PS384" => &signature::RSA_PSS_2048_8192_SHA384,
        "PS512" => &signature::RSA_PSS_2048_8192_SHA512,
        _ => return None,
    })
}

fn curve_algorithm(algorithm: &str, curve: &str) -> Option<&'static dyn VerificationAlgorithm> {
    Some(match (algorithm, curve) {
        ("ES256", "P-256") => &signature::ECDSA_P256_SHA256_FIXED,
        ("ES384", "P-384") => &signature::ECDSA_P384_SHA384_FIXED,
        ("EdDSA", "Ed25519") => &signature::ED25519,
        _ => return None,
    })
}

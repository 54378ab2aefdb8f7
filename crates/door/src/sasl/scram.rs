//! `SCRAM-SHA-256` and `SCRAM-SHA-512` (RFC 5802, RFC 7677): the client proves that it knows the
//! password without sending it, and the server that it knows the user.
//!
//! Names and passwords are taken as the UTF-8 that clients send, without SASLprep: Kafka's clients
//! and brokers do the same, and a broker that prepared them would refuse those clients' proofs.

use std::num::NonZeroU32;

use base::{Credential, PasswordHash, Random};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ring::{digest as sha, hmac as mac, pbkdf2};

use super::{Logins, Mechanism, Refusal, same};

#[cfg(test)]
mod tests;

/// Bytes of the salts that are made here.
pub const SALT_BYTES: usize = 16;

/// Bytes of randomness in a nonce.
const NONCE_BYTES: usize = 18;

/// Longest message of a client's; a real one has some hundred bytes.
const MESSAGE_BYTES_MAX: usize = 8192;

/// The digest of some bytes.
pub(super) fn digest(hash: PasswordHash, bytes: &[u8]) -> Vec<u8> {
    let algorithm = match hash {
        PasswordHash::Sha256 => &sha::SHA256,
        PasswordHash::Sha512 => &sha::SHA512,
    };
    sha::digest(algorithm, bytes).as_ref().to_vec()
}

/// `HMAC(key, bytes)`.
pub(super) fn hmac(hash: PasswordHash, key: &[u8], bytes: &[u8]) -> Vec<u8> {
    let algorithm = match hash {
        PasswordHash::Sha256 => mac::HMAC_SHA256,
        PasswordHash::Sha512 => mac::HMAC_SHA512,
    };
    mac::sign(&mac::Key::new(algorithm, key), bytes).as_ref().to_vec()
}

/// `SaltedPassword` of RFC 5802: the password hashed over and over. Takes milliseconds.
pub fn salted_password(
    hash: PasswordHash,
    password: &[u8],
    salt: &[u8],
    iterations: u32,
) -> Vec<u8> {
    let algorithm = match hash {
        PasswordHash::Sha256 => pbkdf2::PBKDF2_HMAC_SHA256,
        PasswordHash::Sha512 => pbkdf2::PBKDF2_HMAC_SHA512,
    };
    let mut salted = vec![0; hash.bytes()];
    let iterations = NonZeroU32::new(iterations).unwrap_or(NonZeroU32::MIN);
    pbkdf2::derive(algorithm, iterations, salt, password, &mut salted);
    salted
}

/// `StoredKey` of RFC 5802.
pub(super) fn stored_key(hash: PasswordHash, salted: &[u8]) -> Vec<u8> {
    digest(hash, &hmac(hash, salted, b"Client Key"))
}

/// What is kept of a salted password.
pub fn credential(hash: PasswordHash, salted: &[u8], salt: &[u8], iterations: u32) -> Credential {
    Credential {
        iterations,
        salt: salt.into(),
        stored_key: stored_key(hash, salted).into(),
        server_key: hmac(hash, salted, b"Server Key").into(),
    }
}

/// What is kept of a password, under a new salt. Takes milliseconds.
pub fn new_credential(
    hash: PasswordHash,
    password: &str,
    iterations: u32,
    random: &dyn Random,
) -> Credential {
    let mut salt = [0; SALT_BYTES];
    random.fill(&mut salt);
    let salted = salted_password(hash, password.as_bytes(), &salt, iterations);
    credential(hash, &salted, &salt, iterations)
}

/// The server's side of one login.
#[derive(Debug)]
pub(super) struct Server {
    hash: PasswordHash,
    begun: Option<Begun>,
}

/// What must be known when the proof comes.
#[derive(Debug)]
struct Begun {
    name: String,
    /// None for a user who does not exist, or whose password was not set with this hash.
    exists: bool,
    credential: Credential,
    /// What the client said about channel binding, to be repeated by it.
    header: String,
    nonce: String,
    /// The first two messages, as they are proved.
    so_far: String,
}

/// What comes of a client's message.
pub(super) enum Next {
    Challenge(Server, Vec<u8>),
    /// The last word, and who is in.
    Done(Vec<u8>, String),
}

impl Server {
    pub(super) fn new(hash: PasswordHash) -> Self {
        Self { hash, begun: None }
    }

    pub(super) fn step(
        self,
        logins: &Logins,
        mechanism: Mechanism,
        token: &[u8],
    ) -> Result<Next, Refusal> {
        let text = std::str::from_utf8(token).ok().filter(|text| text.len() <= MESSAGE_BYTES_MAX);
        let text = text.ok_or_else(|| Refusal::malformed("it is not a message of SCRAM"))?;
        match self.begun {
            None => self.first(logins, text),
            Some(begun) => last(self.hash, begun, mechanism, text),
        }
    }

    /// `n,[a=authorization],n=name,r=nonce[,extensions]`.
    fn first(self, logins: &Logins, text: &str) -> Result<Next, Refusal> {
        let malformed = || Refusal::malformed("it is not a first message of SCRAM");
        let mut parts = text.splitn(3, ',');
        let (Some(binding), Some(authorization), Some(bare)) =
            (parts.next(), parts.next(), parts.next())
        else {
            return Err(malformed());
        };
        match binding {
            // `y`: the client could bind, and thinks that we cannot. It is right.
            "n" | "y" => {}
            binding if binding.starts_with("p=") => {
                return Err(Refusal::malformed("channel binding is not supported"));
            }
            _ => return Err(malformed()),
        }
        let mut attributes = bare.split(',');
        let name = attributes.next().unwrap_or_default();
        if name.starts_with("m=") {
            return Err(Refusal::malformed("mandatory extensions are not supported"));
        }
        let name = name.strip_prefix("n=").and_then(unescape).ok_or_else(malformed)?;
        let nonce = attributes.next().and_then(|nonce| nonce.strip_prefix("r="));
        let nonce = nonce.filter(|nonce| !nonce.is_empty()).ok_or_else(malformed)?;
        let authorization = match authorization.strip_prefix("a=") {
            Some(authorization) => unescape(authorization).ok_or_else(malformed)?,
            None if authorization.is_empty() => String::new(),
            None => return Err(malformed()),
        };
        if !authorization.is_empty() && authorization != name {
            let why = "Client requested an authorization id that is different from username";
            return Err(Refusal::malformed(why));
        }
        if attributes.any(|extension| extension.eq_ignore_ascii_case("tokenauth=true")) {
            return Err(Refusal::malformed("delegation tokens are not supported"));
        }
        let header = &text[..text.len() - bare.len()];
        Ok(self.challenge(logins, name, header, nonce, bare))
    }

    /// Looks the same whether the user exists or not.
    fn challenge(
        self,
        logins: &Logins,
        name: String,
        header: &str,
        nonce: &str,
        bare: &str,
    ) -> Next {
        let known = logins.users.credential(&name, self.hash);
        let exists = known.is_some();
        let stand_in = logins.stand_in(&name, self.hash);
        let credential = known.unwrap_or(stand_in);
        let nonce = format!("{nonce}{}", new_nonce(logins.random.as_ref()));
        let salt = BASE64.encode(&credential.salt);
        let challenge = format!("r={nonce},s={salt},i={}", credential.iterations);
        let so_far = format!("{bare},{challenge}");
        let begun = Begun { name, exists, credential, header: header.to_owned(), nonce, so_far };
        Next::Challenge(Self { begun: Some(begun), ..self }, challenge.into_bytes())
    }
}

/// `c=binding,r=nonce[,extensions],p=proof`.
fn last(
    hash: PasswordHash,
    begun: Begun,
    mechanism: Mechanism,
    text: &str,
) -> Result<Next, Refusal> {
    let malformed = || Refusal::malformed("it is not a last message of SCRAM");
    let (unproved, proof) = text.rsplit_once(",p=").ok_or_else(malformed)?;
    let proof = BASE64.decode(proof).map_err(|_| malformed())?;
    let mut attributes = unproved.split(',');
    let binding = attributes.next().and_then(|binding| binding.strip_prefix("c="));
    let binding = binding.and_then(|binding| BASE64.decode(binding).ok()).ok_or_else(malformed)?;
    let nonce = attributes.next().and_then(|nonce| nonce.strip_prefix("r="));
    let nonce = nonce.ok_or_else(malformed)?;
    if binding != begun.header.as_bytes() {
        return Err(Refusal::malformed("what it says about channel binding has changed"));
    }
    if nonce != begun.nonce {
        return Err(Refusal::malformed("the nonce is not the one of this login"));
    }
    let message = format!("{},{unproved}", begun.so_far);
    if !is_proof(hash, &begun.credential, message.as_bytes(), &proof) || !begun.exists {
        let name = &begun.name;
        return Err(Refusal::new(
            format!(
                "Authentication failed during authentication due to invalid credentials with SASL mechanism {mechanism}"
            ),
            format!("invalid password or unknown user {name:?}"),
        ));
    }
    let signature = hmac(hash, &begun.credential.server_key, message.as_bytes());
    Ok(Next::Done(format!("v={}", BASE64.encode(signature)).into_bytes(), begun.name))
}

fn is_proof(hash: PasswordHash, credential: &Credential, message: &[u8], proof: &[u8]) -> bool {
    let signature = hmac(hash, &credential.stored_key, message);
    if proof.len() != signature.len() {
        return false;
    }
    let key: Vec<u8> = proof.iter().zip(&signature).map(|(a, b)| a ^ b).collect();
    same(&digest(hash, &key), &credential.stored_key)
}

/// Printable, without a comma.
fn new_nonce(random: &dyn Random) -> String {
    let mut bytes = [0; NONCE_BYTES];
    random.fill(&mut bytes);
    BASE64.encode(bytes)
}

/// A name in which `=2C` stands for a comma and `=3D` for an equals sign. None for what is no name.
fn unescape(text: &str) -> Option<String> {
    let mut name = String::with_capacity(text.len());
    let mut pieces = text.split('=');
    name.push_str(pieces.next()?);
    for piece in pieces {
        let (code, rest) = piece.split_at_checked(2)?;
        name.push(match code {
            "2C" => ',',
            "3D" => '=',
            _ => return None,
        });
        name.push_str(rest);
    }
    let length = 1..=base::limits::USER_NAME_BYTES_MAX;
    length.contains(&name.len()).then_some(name)
}

/// The client's side of one login.
#[derive(Debug)]
pub struct Client {
    hash: PasswordHash,
    nonce: String,
    bare: String,
    server_signature: Vec<u8>,
}

/// What a client says about channel binding: that it knows none.
const NO_BINDING: &str = "n,,";

impl Client {
    /// Begins a login: the client's side and its first message.
    pub fn begin(hash: PasswordHash, name: &str, random: &dyn Random) -> (Self, Vec<u8>) {
        let nonce = new_nonce(random);
        let name = name.replace('=', "=3D").replace(',', "=2C");
        let bare = format!("n={name},r={nonce}");
        let first = format!("{NO_BINDING}{bare}").into_bytes();
        (Self { hash, nonce, bare, server_signature: Vec::new() }, first)
    }

    /// Answers the server's challenge with the proof. None if it is no challenge to us, or asks for
    /// more hashing than is reasonable.
    pub fn prove(&mut self, challenge: &[u8], password: &str) -> Option<Vec<u8>> {
        /// A server that asks for more wants us busy.
        const ITERATIONS_MAX: u32 = 1_000_000;

        let text = std::str::from_utf8(challenge).ok()?;
        let mut attributes = text.split(',');
        let nonce = attributes.next()?.strip_prefix("r=")?;
        let salt = BASE64.decode(attributes.next()?.strip_prefix("s=")?).ok()?;
        let iterations: u32 = attributes.next()?.strip_prefix("i=")?.parse().ok()?;
        if !nonce.starts_with(&self.nonce) || !(1..=ITERATIONS_MAX).contains(&iterations) {
            return None;
        }
        let salted = salted_password(self.hash, password.as_bytes(), &salt, iterations);
        let unproved = format!("c={},r={nonce}", BASE64.encode(NO_BINDING));
        let message = format!("{},{text},{unproved}", self.bare);
        let key = hmac(self.hash, &salted, b"Client Key");
        let stored = digest(self.hash, &key);
        let signature = hmac(self.hash, &stored, message.as_bytes());
        let proof: Vec<u8> = key.iter().zip(&signature).map(|(a, b)| a ^ b).collect();
        let server_key = hmac(self.hash, &salted, b"Server Key");
        self.server_signature = hmac(self.hash, &server_key, message.as_bytes());
        Some(format!("{unproved},p={}", BASE64.encode(proof)).into_bytes())
    }

    /// Whether the server's last word proves that it knows the user.
    pub fn is_server(&self, last: &[u8]) -> bool {
        let signature = last.strip_prefix(b"v=").and_then(|text| BASE64.decode(text).ok());
        !self.server_signature.is_empty()
            && signature.is_some_and(|signature| same(&signature, &self.server_signature))
    }
}

//! What clients say to be let in.

use std::cell::RefCell;
use std::sync::{Arc, LazyLock};

use base::{Credential, ManualClock, PasswordHash, Random};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;
use door::sasl::jwt::{TokenOptions, Tokens, Trust};
use door::sasl::{LoginContext, LoginOptions, Logins, Mechanism, PlainUsers, Step, Users, scram};

use super::disk::scratch;

/// In a second message: what the server has added to the first one's nonce.
const NONCE: &[u8] = b"{nonce}";

/// One user, whose password is hashed once: what is tested is what is read, not the hash.
#[derive(Debug)]
struct One;

impl Users for One {
    fn credential(&self, name: &str, hash: PasswordHash) -> Option<Credential> {
        let salted = scram::salted_password(hash, b"word", b"salt", 1);
        (name == "user").then(|| scram::credential(hash, &salted, b"salt", 1))
    }

    fn some_name(&self, _: u64) -> Option<String> {
        Some("user".to_owned())
    }
}

/// The same every time, so that an input always does the same.
#[derive(Debug)]
struct Fixed;

impl Random for Fixed {
    fn fill(&self, out: &mut [u8]) {
        out.fill(7);
    }
}

static LOGINS: LazyLock<Arc<Logins>> = LazyLock::new(|| {
    let tokens = Tokens::new(TokenOptions::new(Trust::Anybody)).expect("there is no file to read");
    let options = LoginOptions {
        mechanisms: Mechanism::ALL.to_vec(),
        plain_users: PlainUsers([("fixed".to_owned(), "word".to_owned())].into()),
        ..LoginOptions::default()
    };
    let context = LoginContext {
        users: Arc::new(One),
        tokens: Some(Arc::new(tokens)),
        clock: Arc::new(ManualClock::at(1_000_000)),
        random: Arc::new(Fixed),
        secret: [7; 32],
    };
    Arc::new(Logins::new(options, context))
});

thread_local! {
    static RUNTIME: RefCell<tokio::runtime::Runtime> = RefCell::new(
        tokio::runtime::Builder::new_current_thread().build().expect("it needs nothing"),
    );
}

/// A byte that says how one logs in, and the client's messages, with a zero byte and an ASCII group
/// separator between two of them.
pub(super) fn login(input: &[u8]) {
    let Some((mechanism, rest)) = input.split_first() else { return };
    let mechanism = Mechanism::ALL[usize::from(*mechanism) % Mechanism::ALL.len()];
    let mut exchange = LOGINS.begin(mechanism).expect("all are offered");
    let mut added = Vec::new();
    for message in parts(rest) {
        let message = with_nonce(message, &added);
        let step = RUNTIME.with_borrow(|runtime| runtime.block_on(exchange.step(&message)));
        match step {
            Ok(Step::Continue(challenge)) => added = nonce(&challenge),
            Ok(Step::Done(..)) | Err(_) => return,
        }
    }
}

/// The messages: what stands between two separators.
fn parts(input: &[u8]) -> Vec<&[u8]> {
    let mut parts = Vec::new();
    let mut rest = input;
    while let Some(at) = rest.windows(2).position(|pair| pair == b"\0\x1d") {
        parts.push(&rest[..at]);
        rest = &rest[at + 2..];
    }
    parts.push(rest);
    parts
}

/// `r=…` of a challenge.
fn nonce(challenge: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(challenge);
    let nonce = text.split(',').find_map(|part| part.strip_prefix("r="));
    nonce.unwrap_or_default().as_bytes().to_vec()
}

fn with_nonce(message: &[u8], nonce: &[u8]) -> Vec<u8> {
    match message.windows(NONCE.len()).position(|part| part == NONCE) {
        Some(at) => [&message[..at], nonce, &message[at + NONCE.len()..]].concat(),
        None => message.to_vec(),
    }
}

/// A key set, and a token after a line that is empty.
pub(super) fn key_set(input: &[u8]) {
    let at = input.windows(2).position(|pair| pair == b"\n\n").unwrap_or(input.len());
    let (keys, token) = input.split_at(at);
    let dir = scratch();
    let path = dir.path().join("keys.json");
    std::fs::write(&path, keys).expect("the scratch folder is writable");
    if let Ok(tokens) = Tokens::new(TokenOptions::new(Trust::Keys(path))) {
        let token = String::from_utf8_lossy(token);
        let _ = tokens.check(token.trim(), 1_000_000);
    }
}

/// A token's header and, on the second line, what it claims; in readable form, for the fuzzer cannot
/// change what is coded.
pub(super) fn token(input: &[u8]) {
    let mut lines = input.splitn(2, |byte| *byte == b'\n').map(|part| BASE64URL.encode(part));
    let (header, claims) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
    let tokens = Tokens::new(TokenOptions::new(Trust::Anybody)).expect("there is no file to read");
    let _ = tokens.check(&format!("{header}.{claims}."), 1_000_000);
}

//! Whole logins, in the words of their messages.

use std::collections::BTreeMap;

use base::{ManualClock, SystemRandom};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;

use super::jwt::{TokenOptions, Trust};
use super::*;

#[derive(Debug, Default)]
struct Known(BTreeMap<(String, PasswordHash), Credential>);

impl Known {
    fn add(&mut self, name: &str, hash: PasswordHash, password: &str, iterations: u32) {
        let made = scram::new_credential(hash, password, iterations, &SystemRandom);
        self.0.insert((name.to_owned(), hash), made);
    }
}

impl Users for Known {
    fn credential(&self, name: &str, hash: PasswordHash) -> Option<Credential> {
        self.0.get(&(name.to_owned(), hash)).cloned()
    }

    fn some_name(&self, pick: u64) -> Option<String> {
        let count = u64::try_from(self.0.len()).ok().filter(|count| *count > 0)?;
        let index = usize::try_from(pick % count).ok()?;
        self.0.keys().nth(index).map(|(name, _)| name.clone())
    }
}

fn logins(change: impl FnOnce(&mut LoginOptions)) -> Arc<Logins> {
    let mut users = Known::default();
    users.add("alice", PasswordHash::Sha256, "wonder", 8192);
    users.add("bob", PasswordHash::Sha512, "builder", 8192);
    let mut options = LoginOptions {
        mechanisms: Mechanism::ALL.to_vec(),
        plain_users: PlainUsers([("fixed".to_owned(), "secret".to_owned())].into()),
        ..LoginOptions::default()
    };
    change(&mut options);
    let clock = ManualClock::at(1_000_000);
    let context = LoginContext {
        users: Arc::new(users),
        tokens: Some(Arc::new(Tokens::new(TokenOptions::new(Trust::Anybody)).unwrap())),
        clock: Arc::new(clock),
        random: Arc::new(SystemRandom),
        secret: [7; 32],
    };
    Arc::new(Logins::new(options, context))
}

fn done(step: Step) -> Login {
    match step {
        Step::Done(_, login) => login,
        Step::Continue(challenge) => panic!("{challenge:?}"),
    }
}

async fn plain(logins: &Arc<Logins>, token: &str) -> Result<Login, Refusal> {
    logins.begin(Mechanism::Plain).unwrap().step(token.as_bytes()).await.map(done)
}

#[tokio::test]
async fn a_password_is_checked_against_either_store() {
    let logins = logins(|_| {});
    for (name, password) in [("alice", "wonder"), ("bob", "builder"), ("fixed", "secret")] {
        let login = plain(&logins, &format!("\0{name}\0{password}")).await.unwrap();
        assert_eq!(login, Login { principal: Principal::user(name), lifetime: None });
        assert!(plain(&logins, &format!("{name}\0{name}\0{password}")).await.is_ok());
        let wrong = plain(&logins, &format!("\0{name}\0wrong")).await.unwrap_err();
        let unknown = plain(&logins, &format!("\0x{name}\0{password}")).await.unwrap_err();
        assert_eq!(wrong.told, unknown.told, "the client does not learn which names exist");
        assert!(!wrong.why.contains("wrong\"") && !unknown.why.contains(password), "{unknown:?}");
    }
}

#[tokio::test]
async fn what_is_no_message_of_plain_is_refused() {
    let logins = logins(|_| {});
    for token in [
        "",
        "alice",
        "\0alice",
        "\0\0wonder",
        "\0alice\0",
        "bob\0alice\0wonder",
        "\0alice\0wonder\0",
    ] {
        assert!(plain(&logins, token).await.is_err(), "{token:?}");
    }
    assert!(logins.begin(Mechanism::Plain).unwrap().step(b"\0alice\0\xff").await.is_err());
    assert!(plain(&logins, &format!("\0alice\0{}", "x".repeat(5000))).await.is_err());
}

/// The challenge, and the outcome of answering it with this password.
async fn scram(
    logins: &Arc<Logins>,
    mechanism: Mechanism,
    name: &str,
    password: &str,
) -> (String, Result<Login, Refusal>) {
    let (mut client, first) = scram::Client::begin(mechanism.hash().unwrap(), name, &SystemRandom);
    let mut exchange = logins.begin(mechanism).unwrap();
    let Step::Continue(challenge) = exchange.step(&first).await.unwrap() else {
        panic!("too soon")
    };
    let proof = client.prove(&challenge, password).unwrap();
    let outcome = exchange.step(&proof).await;
    if let Ok(Step::Done(last, _)) = &outcome {
        assert!(client.is_server(last));
    }
    assert!(exchange.step(&proof).await.is_err(), "it is over");
    (String::from_utf8(challenge).unwrap(), outcome.map(done))
}

#[tokio::test]
async fn a_proof_of_the_password_lets_in() {
    let logins = logins(|_| {});
    let in_256 = scram(&logins, Mechanism::ScramSha256, "alice", "wonder").await.1.unwrap();
    assert_eq!(in_256.principal, Principal::user("alice"));
    let in_512 = scram(&logins, Mechanism::ScramSha512, "bob", "builder").await.1.unwrap();
    assert_eq!(in_512.principal, Principal::user("bob"));
    for (mechanism, name, password) in [
        (Mechanism::ScramSha256, "alice", "wander"),
        (Mechanism::ScramSha512, "alice", "wonder"),
        (Mechanism::ScramSha256, "fixed", "secret"),
    ] {
        let refused = scram(&logins, mechanism, name, password).await.1.unwrap_err();
        assert!(refused.told.contains(mechanism.name()), "{}", refused.told);
    }
}

#[tokio::test]
async fn a_user_who_does_not_exist_is_answered_like_one_who_does() {
    let logins = logins(|_| {});
    let tail = |challenge: &str| challenge.split_once(",s=").unwrap().1.to_owned();
    let of = async |name: &str| {
        let (challenge, outcome) = scram(&logins, Mechanism::ScramSha256, name, "x").await;
        (tail(&challenge), outcome.unwrap_err().told)
    };
    let (alice, nobody) = (of("alice").await, of("nobody").await);
    assert_eq!(alice.1, nobody.1);
    assert_eq!(alice.0.len(), nobody.0.len(), "{alice:?} {nobody:?}");
    assert_eq!(of("nobody").await, nobody, "the same salt each time");
    assert_ne!(of("somebody").await, nobody);
}

#[tokio::test]
async fn what_is_no_message_of_scram_is_refused() {
    let logins = logins(|_| {});
    for token in [
        &b""[..],
        b"n",
        b"n,,",
        b"n,,n=alice",
        b"n,,n=alice,r=",
        b"n,,r=x,n=alice",
        b"n,a=bob,n=alice,r=x",
        b"n,b,n=alice,r=x",
        b"x,,n=alice,r=x",
        b"p=tls-unique,,n=alice,r=x",
        b"n,,m=ext,n=alice,r=x",
        b"n,,n=al=ice,r=x",
        b"n,,n=alice,r=x,tokenauth=true",
        b"n,,n=\xff,r=x",
        &[b'n'; 9000],
    ] {
        let mut exchange = logins.begin(Mechanism::ScramSha256).unwrap();
        assert!(exchange.step(token).await.is_err(), "{token:?}");
    }
    let mut exchange = logins.begin(Mechanism::ScramSha256).unwrap();
    assert!(exchange.step(b"y,a=alice,n=alice,r=x,ext=1").await.is_ok());
}

fn token(claims: &str) -> String {
    let part = |text: &str| BASE64URL.encode(text);
    format!("{}.{}.", part("{\"alg\":\"none\"}"), part(claims))
}

#[tokio::test]
async fn a_token_lets_in_for_as_long_as_it_is_valid() {
    let logins = logins(|_| {});
    let good = token("{\"sub\":\"carol\",\"exp\":1060}");
    for header in ["n,,", "n,a=carol,", "y,,"] {
        let message = format!("{header}\u{1}auth=Bearer {good}\u{1}traceId=1\u{1}\u{1}");
        let mut exchange = logins.begin(Mechanism::OauthBearer).unwrap();
        let login = done(exchange.step(message.as_bytes()).await.unwrap());
        let lifetime = Some(Duration::from_secs(60));
        assert_eq!(login, Login { principal: Principal::user("carol"), lifetime });
    }
}

#[tokio::test]
async fn a_bad_token_is_told_before_the_login_fails() {
    let logins = logins(|_| {});
    let bad = token("{\"sub\":\"carol\",\"exp\":1}");
    let message = format!("n,,\u{1}auth=Bearer {bad}\u{1}\u{1}");
    let mut exchange = logins.begin(Mechanism::OauthBearer).unwrap();
    let told = exchange.step(message.as_bytes()).await.unwrap();
    assert_eq!(told, Step::Continue(oauth::INVALID_TOKEN.to_vec()));
    let refused = exchange.step(b"\x01").await.unwrap_err();
    assert!(refused.why.contains("expired") && !refused.why.contains(&bad), "{refused:?}");
}

#[tokio::test]
async fn what_is_no_message_of_oauthbearer_is_refused() {
    let logins = logins(|_| {});
    let good = token("{\"sub\":\"carol\",\"exp\":1060}");
    for message in [
        String::new(),
        "n,,".to_owned(),
        "n,,\u{1}\u{1}".to_owned(),
        format!("n,,\u{1}auth=Bearer {good}"),
        format!("n,,\u{1}auth=Basic {good}\u{1}\u{1}"),
        "n,,\u{1}host=x\u{1}\u{1}".to_owned(),
        format!("n,a=dave,\u{1}auth=Bearer {good}\u{1}\u{1}"),
        format!("p=x,,\u{1}auth=Bearer {good}\u{1}\u{1}"),
        format!("n,b,\u{1}auth=Bearer {good}\u{1}\u{1}"),
    ] {
        let mut exchange = logins.begin(Mechanism::OauthBearer).unwrap();
        assert!(exchange.step(message.as_bytes()).await.is_err(), "{message:?}");
    }
}

#[tokio::test]
async fn a_session_ends_with_the_first_of_its_limits() {
    let logins = logins(|options| options.session_max = Some(Duration::from_secs(30)));
    assert_eq!(
        plain(&logins, "\0fixed\0secret").await.unwrap().lifetime,
        Some(Duration::from_secs(30))
    );
    for (expires, seconds) in [(1060, 30), (1010, 10)] {
        let good = token(&format!("{{\"sub\":\"carol\",\"exp\":{expires}}}"));
        let message = format!("n,,\u{1}auth=Bearer {good}\u{1}\u{1}");
        let mut exchange = logins.begin(Mechanism::OauthBearer).unwrap();
        let login = done(exchange.step(message.as_bytes()).await.unwrap());
        assert_eq!(login.lifetime, Some(Duration::from_secs(seconds)));
    }
}

#[test]
fn only_what_is_offered_can_be_begun_and_nothing_secret_is_shown() {
    let logins = logins(|options| options.mechanisms = vec![Mechanism::ScramSha512]);
    assert!(logins.begin(Mechanism::Plain).is_none());
    assert!(logins.begin(Mechanism::ScramSha512).is_some());
    let shown = format!("{logins:?}");
    assert!(shown.contains("fixed") && !shown.contains("secret\""), "{shown}");
    assert_eq!(Mechanism::parse("SCRAM-SHA-512"), Some(Mechanism::ScramSha512));
    assert_eq!(Mechanism::parse("plain"), None);
}

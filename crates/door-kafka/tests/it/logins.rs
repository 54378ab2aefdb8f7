//! What may be asked before a login, and logins of all kinds, as raw requests.

use std::time::Duration;

use base::{Clock, PasswordHash, SystemClock, SystemRandom};
use door::ListenerHandle;
use door::sasl::{LoginOptions, Mechanism, PlainUsers, scram};
use door_kafka::wire::messages::alter_user_scram_credentials_request::{
    ScramCredentialDeletion, ScramCredentialUpsertion,
};
use door_kafka::wire::messages::describe_user_scram_credentials_request::UserName;
use door_kafka::wire::messages::{
    AlterUserScramCredentialsRequest, ApiVersionsRequest, DescribeUserScramCredentialsRequest,
    MetadataRequest, SaslAuthenticateRequest, SaslAuthenticateResponse, SaslHandshakeRequest,
    SaslHandshakeResponse,
};
use door_kafka::wire::{ErrorCode, encode_request};

use crate::support::{Client, Fixture, HANG, eventually};

fn options() -> LoginOptions {
    let users = [("alice", "wonder"), ("bob", "builder")];
    LoginOptions {
        mechanisms: Mechanism::ALL.to_vec(),
        plain_users: PlainUsers(users.map(|(n, p)| (n.to_owned(), p.to_owned())).into()),
        failure_delay: Duration::from_millis(1),
        ..LoginOptions::default()
    }
}

fn handshake(mechanism: &str) -> SaslHandshakeRequest {
    SaslHandshakeRequest { mechanism: mechanism.to_owned() }
}

fn tokens(bytes: &[u8]) -> SaslAuthenticateRequest {
    SaslAuthenticateRequest { auth_bytes: bytes.to_vec().into() }
}

async fn choose(client: &mut Client, mechanism: &str) -> SaslHandshakeResponse {
    client.call(&handshake(mechanism), 1).await
}

async fn plain(client: &mut Client, token: &str) -> SaslAuthenticateResponse {
    assert_eq!(choose(client, "PLAIN").await.error_code, 0);
    client.call(&tokens(token.as_bytes()), 2).await
}

async fn is_in(client: &mut Client) -> bool {
    client.send(&MetadataRequest::default(), 1).await;
    client.receive::<MetadataRequest>(1).await.is_some()
}

async fn is_closed(client: &mut Client) -> bool {
    client.frame().await.is_none()
}

fn failed_logins(listener: &ListenerHandle) -> u64 {
    listener.stats().snapshot().failed_logins
}

#[tokio::test]
async fn only_a_login_is_served_before_a_login() {
    let fixture = Fixture::start().await;
    let listener = fixture.listen(options());
    let mut client = Client::connect(&listener).await;
    let versions = client.call(&ApiVersionsRequest::default(), 0).await;
    assert!(versions.api_keys.len() > 30);
    // An ApiVersions request that is too new is answered, as without a login.
    client.send(&ApiVersionsRequest::default(), 3).await;
    assert!(client.frame().await.is_some());
    assert!(!is_in(&mut client).await, "closed without an answer");

    let mut client = Client::connect(&listener).await;
    client.send(&tokens(b"\0alice\0wonder"), 2).await;
    assert!(is_closed(&mut client).await, "no mechanism was chosen");

    let mut client = Client::connect(&listener).await;
    assert_eq!(choose(&mut client, "PLAIN").await.error_code, 0);
    assert!(!is_in(&mut client).await, "a mechanism is not yet a login");
    eventually(|| listener.stats().snapshot().closed_protocol == 3).await;
}

#[tokio::test]
async fn a_password_lets_in_in_every_version() {
    let fixture = Fixture::start().await;
    let listener = fixture.listen(options());
    for version in 0..=2 {
        let mut client = Client::connect(&listener).await;
        let chosen = choose(&mut client, "PLAIN").await;
        let offered = ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"];
        assert_eq!(chosen.mechanisms, offered);
        let answer = client.call(&tokens(b"\0alice\0wonder"), version).await;
        assert_eq!((answer.error_code, answer.session_lifetime_ms), (0, 0));
        assert!(is_in(&mut client).await);
    }
}

#[tokio::test]
async fn a_refusal_is_told_and_ends_the_connection() {
    let fixture = Fixture::start().await;
    let listener = fixture.listen(options());
    for token in ["\0alice\0wrong", "\0nobody\0wonder", "nonsense"] {
        let mut client = Client::connect(&listener).await;
        let answer = plain(&mut client, token).await;
        assert_eq!(answer.error_code, ErrorCode::SaslAuthenticationFailed.number());
        assert!(answer.error_message.unwrap().starts_with("Authentication failed"));
        assert!(is_closed(&mut client).await);
    }
    let mut client = Client::connect(&listener).await;
    let answer = choose(&mut client, "GSSAPI").await;
    assert_eq!(answer.error_code, ErrorCode::UnsupportedSaslMechanism.number());
    assert_eq!(answer.mechanisms.len(), 4);
    assert!(is_closed(&mut client).await);
    eventually(|| failed_logins(&listener) == 4).await;
}

#[tokio::test]
async fn tokens_may_come_bare() {
    let fixture = Fixture::start().await;
    let listener = fixture.listen(options());
    let mut client = Client::connect(&listener).await;
    assert_eq!(client.call(&handshake("PLAIN"), 0).await.error_code, 0);
    client.write(b"\0\0\0\x0d\0alice\0wonder").await;
    assert_eq!(client.frame().await.unwrap(), b""[..]);
    assert!(is_in(&mut client).await);

    let mut client = Client::connect(&listener).await;
    assert_eq!(client.call(&handshake("PLAIN"), 0).await.error_code, 0);
    client.write(b"\0\0\0\x0c\0alice\0wrong").await;
    assert!(is_closed(&mut client).await);
    eventually(|| failed_logins(&listener) == 1).await;
}

#[tokio::test]
async fn a_proof_lets_in_and_proves_the_broker() {
    let fixture = Fixture::start().await;
    let made = scram::new_credential(PasswordHash::Sha512, "tea", 4096, &SystemRandom);
    fixture.broker.alter_user("carol", &[(PasswordHash::Sha512, Some(made))]).await.unwrap();
    let listener = fixture.listen(options());
    for (password, error) in [("tea", 0), ("coffee", 58)] {
        let mut client = Client::connect(&listener).await;
        assert_eq!(choose(&mut client, "SCRAM-SHA-512").await.error_code, 0);
        let (mut prover, first) =
            scram::Client::begin(PasswordHash::Sha512, "carol", &SystemRandom);
        let challenge = client.call(&tokens(&first), 2).await;
        let proof = prover.prove(&challenge.auth_bytes, password).unwrap();
        let answer = client.call(&tokens(&proof), 2).await;
        assert_eq!(answer.error_code, error);
        assert_eq!(prover.is_server(&answer.auth_bytes), error == 0);
        assert_eq!(is_in(&mut client).await, error == 0);
    }
}

#[tokio::test]
async fn requests_before_a_login_are_small() {
    let fixture = Fixture::start().await;
    let listener = fixture.listen(LoginOptions { request_bytes_max: 1000, ..options() });
    let large = vec![b'x'; 2000];
    let mut client = Client::connect(&listener).await;
    assert_eq!(choose(&mut client, "PLAIN").await.error_code, 0);
    client.send(&tokens(&large), 2).await;
    assert!(is_closed(&mut client).await);
    eventually(|| listener.stats().snapshot().closed_limit == 1).await;

    let mut client = Client::connect(&listener).await;
    assert_eq!(plain(&mut client, "\0alice\0wonder").await.error_code, 0);
    let frame = encode_request(&MetadataRequest::default(), 1, 9, Some(&"x".repeat(2000))).unwrap();
    client.write(&frame).await;
    assert!(client.frame().await.is_some(), "afterwards they are as large as usual");
}

#[tokio::test]
async fn broken_requests_before_a_login_do_no_harm() {
    let fixture = Fixture::start().await;
    let listener = fixture.listen(options());
    let good = encode_request(&handshake("PLAIN"), 1, 1, Some("x")).unwrap();
    let login = encode_request(&tokens(b"\0alice\0wonder"), 2, 2, None).unwrap();
    for frame in [&good, &login] {
        for index in 4..frame.len() {
            for mask in [1, 0x80, 0xff] {
                let mut client = Client::connect(&listener).await;
                if *frame == login {
                    choose(&mut client, "PLAIN").await;
                }
                let mut bad = frame.to_vec();
                bad[index] ^= mask;
                client.write(&bad).await;
                client.shutdown().await;
                while client.frame().await.is_some() {}
            }
        }
    }
    assert_eq!(listener.stats().snapshot().panicked, 0);
    let mut client = Client::connect(&listener).await;
    assert_eq!(plain(&mut client, "\0alice\0wonder").await.error_code, 0);
}

#[tokio::test]
async fn who_does_not_log_in_is_cut_off() {
    let fixture = Fixture::start().await;
    let listener = fixture.listen(options());
    let mut silent = Client::connect(&listener).await;
    eventually(|| listener.stats().snapshot().open == 1).await;
    tokio::time::pause();
    assert!(is_closed(&mut silent).await);
    tokio::time::resume();
    eventually(|| failed_logins(&listener) == 1).await;
}

/// A token that ends in so many seconds.
fn bearer(name: &str, seconds: i64) -> Vec<u8> {
    let part = |text: &str| {
        const ALPHABET: &[u8; 64] =
            b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let mut out = String::new();
        for chunk in text.as_bytes().chunks(3) {
            let bits = chunk.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte));
            let bits = bits << (8 * (3 - chunk.len()));
            for digit in 0..=chunk.len() {
                out.push(char::from(ALPHABET[(bits >> (18 - 6 * digit) & 63) as usize]));
            }
        }
        out
    };
    let expires = SystemClock.now() / 1000 + seconds;
    let claims = format!("{{\"sub\":\"{name}\",\"exp\":{expires}}}");
    let token = format!("{}.{}.", part("{\"alg\":\"none\"}"), part(&claims));
    format!("n,,\u{1}auth=Bearer {token}\u{1}\u{1}").into_bytes()
}

async fn show(client: &mut Client, token: &[u8]) -> SaslAuthenticateResponse {
    assert_eq!(choose(client, "OAUTHBEARER").await.error_code, 0);
    client.call(&tokens(token), 2).await
}

#[tokio::test]
async fn a_session_ends_with_its_token_unless_the_client_logs_in_again() {
    let fixture = Fixture::start().await;
    let listener = fixture.listen(options());
    let mut renewed = Client::connect(&listener).await;
    let mut forgotten = Client::connect(&listener).await;
    for client in [&mut renewed, &mut forgotten] {
        let answer = show(client, &bearer("dave", 3)).await;
        assert_eq!(answer.error_code, 0);
        assert!((1..=3000).contains(&answer.session_lifetime_ms), "{answer:?}");
        assert!(is_in(client).await);
    }
    // Sooner than a second it is not a login.
    let too_soon = choose(&mut renewed, "OAUTHBEARER").await;
    assert_eq!(too_soon.error_code, ErrorCode::IllegalSaslState.number());
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(2)).await;
    tokio::time::resume();
    assert_eq!(show(&mut renewed, &bearer("dave", 60)).await.error_code, 0);
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(2)).await;
    tokio::time::resume();
    assert!(is_in(&mut renewed).await);
    assert!(!is_in(&mut forgotten).await);
    eventually(|| failed_logins(&listener) == 1).await;
}

#[tokio::test]
async fn a_second_login_is_by_the_same_user_in_the_same_way() {
    let fixture = Fixture::start().await;
    let listener = fixture.listen(options());
    let later = async || {
        tokio::time::pause();
        tokio::time::advance(Duration::from_secs(2)).await;
        tokio::time::resume();
    };
    let mut client = Client::connect(&listener).await;
    assert_eq!(plain(&mut client, "\0alice\0wonder").await.error_code, 0);
    later().await;
    assert_eq!(plain(&mut client, "\0alice\0wonder").await.error_code, 0);
    assert!(is_in(&mut client).await);
    later().await;
    let other = plain(&mut client, "\0bob\0builder").await;
    assert_eq!(other.error_code, ErrorCode::SaslAuthenticationFailed.number());
    assert!(other.error_message.unwrap().contains("Cannot change principals"));
    assert!(is_closed(&mut client).await);

    let mut client = Client::connect(&listener).await;
    assert_eq!(plain(&mut client, "\0alice\0wonder").await.error_code, 0);
    later().await;
    let other = choose(&mut client, "SCRAM-SHA-256").await;
    assert_eq!(other.error_code, ErrorCode::UnsupportedSaslMechanism.number());
    assert!(is_closed(&mut client).await);
}

#[tokio::test]
async fn a_bad_token_is_answered_in_two_steps() {
    let fixture = Fixture::start().await;
    let listener = fixture.listen(options());
    let mut client = Client::connect(&listener).await;
    let told = show(&mut client, &bearer("dave", -60)).await;
    assert_eq!(told.error_code, 0);
    assert_eq!(told.auth_bytes, b"{\"status\":\"invalid_token\"}"[..]);
    let refused = client.call(&tokens(b"\x01"), 2).await;
    assert_eq!(refused.error_code, ErrorCode::SaslAuthenticationFailed.number());
    assert!(is_closed(&mut client).await);
}

#[tokio::test]
async fn a_login_where_none_is_asked_for_is_told_so() {
    let fixture = Fixture::start().await;
    let mut client = fixture.client().await;
    let state = ErrorCode::IllegalSaslState.number();
    assert_eq!(choose(&mut client, "PLAIN").await.error_code, state);
    assert_eq!(client.call(&tokens(b"\0alice\0wonder"), 2).await.error_code, state);
    assert!(is_in(&mut client).await);
}

fn upsertion(name: &str, mechanism: i8, iterations: i32) -> ScramCredentialUpsertion {
    let bytes = if mechanism == 2 { 64 } else { 32 };
    ScramCredentialUpsertion {
        name: name.to_owned(),
        mechanism,
        iterations,
        salt: b"salt".to_vec().into(),
        salted_password: vec![7; bytes].into(),
    }
}

fn deletion(name: &str, mechanism: i8) -> ScramCredentialDeletion {
    ScramCredentialDeletion { name: name.to_owned(), mechanism }
}

#[tokio::test]
async fn users_are_set_described_and_taken_away() {
    let fixture = Fixture::start().await;
    let mut client = fixture.client().await;
    let request = AlterUserScramCredentialsRequest {
        upsertions: vec![
            upsertion("a", 1, 4096),
            upsertion("a", 2, 8192),
            upsertion("b", 1, 4096),
            upsertion("few", 1, 4095),
            upsertion("many", 1, 16_385),
            upsertion("odd", 3, 4096),
            upsertion("", 1, 4096),
            upsertion("twice", 1, 4096),
            upsertion("twice", 1, 4096),
            ScramCredentialUpsertion {
                salted_password: vec![1].into(),
                ..upsertion("short", 1, 4096)
            },
        ],
        deletions: vec![deletion("none", 1)],
    };
    let answer = client.call(&request, 0).await;
    let code = |name: &str| {
        let result = answer.results.iter().find(|result| result.user == name).unwrap();
        ErrorCode::from_number(result.error_code).unwrap()
    };
    assert_eq!(answer.results.len(), 9);
    assert_eq!((code("a"), code("b")), (ErrorCode::None, ErrorCode::None));
    for name in ["few", "many", "", "short"] {
        assert_eq!(code(name), ErrorCode::UnacceptableCredential, "{name:?}");
    }
    assert_eq!(code("odd"), ErrorCode::UnsupportedSaslMechanism);
    assert_eq!(code("twice"), ErrorCode::DuplicateResource);
    assert_eq!(code("none"), ErrorCode::ResourceNotFound);

    let all = client.call(&DescribeUserScramCredentialsRequest::default(), 0).await;
    let shown: Vec<_> = all
        .results
        .iter()
        .map(|r| {
            (&r.user[..], r.credential_infos.iter().map(|i| (i.mechanism, i.iterations)).collect())
        })
        .collect();
    assert_eq!(shown, [("a", vec![(1, 4096), (2, 8192)]), ("b", vec![(1, 4096)])]);

    let away = AlterUserScramCredentialsRequest {
        deletions: vec![deletion("a", 1), deletion("a", 2)],
        ..AlterUserScramCredentialsRequest::default()
    };
    assert_eq!(client.call(&away, 0).await.results[0].error_code, 0);
    let name = |name: &str| UserName { name: name.to_owned() };
    let some = DescribeUserScramCredentialsRequest {
        users: Some(vec![name("a"), name("b"), name("c"), name("c")]),
    };
    let codes: Vec<_> = client.call(&some, 0).await.results.iter().map(|r| r.error_code).collect();
    assert_eq!(codes, [91, 0, 92]);
}

#[tokio::test]
async fn the_broker_ends_while_a_refusal_is_held_back() {
    let fixture = Fixture::start().await;
    let listener = fixture.listen(LoginOptions { failure_delay: HANG * 10, ..options() });
    let mut client = Client::connect(&listener).await;
    assert_eq!(choose(&mut client, "PLAIN").await.error_code, 0);
    client.send(&tokens(b"\0alice\0wrong"), 2).await;
    eventually(|| listener.stats().snapshot().open == 1).await;
    assert_eq!(listener.stop(HANG).await.aborted, 0);
}

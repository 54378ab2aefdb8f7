use base::Principal;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use ring::signature::{Ed25519KeyPair, KeyPair};

use super::Gate;
use crate::options::{Keys, NatsDoorOptions, Token};
use crate::wire::connect::ConnectOptions;

/// A public key as NATS writes it.
fn nkey(public: &[u8]) -> String {
    let mut body = vec![20 << 3];
    body.extend_from_slice(public);
    let mut crc = 0_u16;
    for byte in &body {
        crc ^= u16::from(*byte) << 8;
        for _ in 0..8 {
            crc = if crc & 0x8000 == 0 { crc << 1 } else { (crc << 1) ^ 0x1021 };
        }
    }
    body.extend_from_slice(&crc.to_le_bytes());
    let mut text = String::new();
    for chunk in body.chunks(5) {
        let bits = chunk.iter().fold(0_u64, |bits, byte| (bits << 8) | u64::from(*byte));
        for shift in (0..8).rev() {
            let index = usize::try_from((bits >> (shift * 5)) & 31).expect("five bits");
            text.push(char::from(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"[index]));
        }
    }
    text
}

fn gate(options: &NatsDoorOptions) -> Gate {
    Gate::new(None, options, Principal::anonymous(), [7; 16])
}

#[tokio::test]
async fn a_key_lets_in_who_signs_the_nonce_with_it() {
    let pair = Ed25519KeyPair::from_seed_unchecked(&[3; 32]).expect("a pair");
    let public = nkey(pair.public_key().as_ref());
    let options = NatsDoorOptions {
        keys: Keys::parse([format!("{public}=alice").as_str()]).expect("a key"),
        ..NatsDoorOptions::default()
    };
    let gate = gate(&options);
    assert!(gate.is_shut(&options));
    let nonce = gate.nonce.clone().expect("keys are taken");
    let signature = pair.sign(nonce.as_bytes());
    let said = |sig: &[u8]| ConnectOptions {
        nkey: public.clone(),
        sig: BASE64_URL_SAFE_NO_PAD.encode(sig),
        ..ConnectOptions::default()
    };
    let login = gate.login(&options, &said(signature.as_ref())).await.expect("let in");
    assert_eq!(login.principal, Principal::user("alice"));
    let other = pair.sign(b"another nonce");
    assert!(gate.login(&options, &said(other.as_ref())).await.is_err());
    assert!(gate.login(&options, &said(b"")).await.is_err());
    let stranger = Ed25519KeyPair::from_seed_unchecked(&[4; 32]).expect("a pair");
    let said = ConnectOptions {
        nkey: nkey(stranger.public_key().as_ref()),
        sig: BASE64_URL_SAFE_NO_PAD.encode(stranger.sign(nonce.as_bytes())),
        ..ConnectOptions::default()
    };
    assert!(gate.login(&options, &said).await.is_err());
}

#[tokio::test]
async fn a_token_lets_in_whoever_has_it() {
    let token = Token { secret: "s3cret".into(), user: "machine".into() };
    let options = NatsDoorOptions { token: Some(token), ..NatsDoorOptions::default() };
    let gate = gate(&options);
    let said =
        |token: &str| ConnectOptions { auth_token: token.to_owned(), ..ConnectOptions::default() };
    let login = gate.login(&options, &said("s3cret")).await.expect("let in");
    assert_eq!(login.principal, Principal::user("machine"));
    for wrong in ["s3cre", "s3cret2", "S3CRET", ""] {
        assert!(gate.login(&options, &said(wrong)).await.is_err(), "{wrong:?}");
    }
    let named = ConnectOptions { user: "a".into(), pass: "b".into(), ..said("") };
    assert!(gate.login(&options, &named).await.is_err(), "there are no passwords");
    assert!(!format!("{options:?}").contains("s3cret"));
}

#[tokio::test]
async fn who_is_not_asked_is_who_the_transport_says() {
    let options = NatsDoorOptions::default();
    let gate = Gate::new(None, &options, Principal::user("CN=a"), [0; 16]);
    assert!(!gate.is_shut(&options) && gate.nonce.is_none());
    let login = gate.login(&options, &ConnectOptions::default()).await.expect("let in");
    assert_eq!(login.principal, Principal::user("CN=a"));
}

#[test]
fn keys_of_others_than_users_are_refused() {
    assert!(Keys::parse(["SUACSSL3UAHUDXKFSNVUZRF5UHPMWZ6BFDTJ7M6USDXIEDNPPQYYYCU3VY"]).is_err());
    assert!(Keys::parse([""]).is_err());
    let key = nkey(&[1; 32]);
    assert!(Keys::parse([format!("{key}=").as_str()]).is_err());
    let keys = Keys::parse([key.as_str()]).expect("a key");
    assert_eq!(keys.user(&[1; 32]), Some(key.as_str()));
}

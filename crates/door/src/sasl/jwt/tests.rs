use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use serde_json::json;
use tempfile::TempDir;

use super::*;

const NOW: Millis = 1_700_000_000_000;

/// An issuer with a key on P-256.
struct Issuer(EcdsaKeyPair);

impl Issuer {
    fn new() -> Self {
        let random = SystemRandom::new();
        let how = &ECDSA_P256_SHA256_FIXED_SIGNING;
        let key = EcdsaKeyPair::generate_pkcs8(how, &random).unwrap();
        Self(EcdsaKeyPair::from_pkcs8(how, key.as_ref(), &random).unwrap())
    }

    fn keys(&self, id: &str) -> Value {
        let point = self.0.public_key().as_ref();
        let (x, y) = (BASE64URL.encode(&point[1..33]), BASE64URL.encode(&point[33..]));
        json!({"kty": "EC", "crv": "P-256", "kid": id, "use": "sig", "x": x, "y": y})
    }

    fn sign(&self, header: &Value, claims: &Value) -> String {
        let signed = unsigned(header, claims);
        let signature = self.0.sign(&SystemRandom::new(), signed.as_bytes()).unwrap();
        format!("{signed}.{}", BASE64URL.encode(signature))
    }
}

fn unsigned(header: &Value, claims: &Value) -> String {
    let part = |value: &Value| BASE64URL.encode(value.to_string());
    format!("{}.{}", part(header), part(claims))
}

fn header() -> Value {
    json!({"alg": "ES256", "kid": "one", "typ": "JWT"})
}

fn claims() -> Value {
    json!({"sub": "alice", "exp": NOW / 1000 + 60, "iat": NOW / 1000, "iss": "idp", "aud": ["a", "b"]})
}

fn with(name: &str, value: Value) -> Value {
    let mut claims = claims();
    claims[name] = value;
    claims
}

struct Fixture {
    folder: TempDir,
    issuer: Issuer,
}

impl Fixture {
    fn new() -> Self {
        let fixture = Self { folder: TempDir::new().unwrap(), issuer: Issuer::new() };
        fixture.write(&json!({"keys": [{"kty": "oct", "k": "AAAA"}, fixture.issuer.keys("one")]}));
        fixture
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("jwks.json")
    }

    fn write(&self, keys: &Value) {
        std::fs::write(self.path(), keys.to_string()).unwrap();
    }

    fn options(&self) -> TokenOptions {
        TokenOptions::new(Trust::Keys(self.path()))
    }

    fn check(&self, options: TokenOptions, claims: &Value) -> Result<Valid, String> {
        Tokens::new(options).unwrap().check(&self.issuer.sign(&header(), claims), NOW)
    }
}

#[test]
fn a_token_of_the_issuer_is_believed() {
    let fixture = Fixture::new();
    let valid = Valid { subject: "alice".into(), expires: NOW + 60_000 };
    assert_eq!(fixture.check(fixture.options(), &claims()), Ok(valid));
    let strict = TokenOptions {
        issuer: Some("idp".into()),
        audiences: vec!["x".into(), "b".into()],
        subject_claim: "name".into(),
        ..fixture.options()
    };
    let valid = fixture.check(strict, &with("name", json!("bob"))).unwrap();
    assert_eq!(valid.subject, "bob");
}

#[test]
fn what_a_token_claims_is_checked() {
    let fixture = Fixture::new();
    let seconds = |offset: i64| json!(NOW / 1000 + offset);
    for (claims, why) in [
        (with("exp", seconds(-31)), "expired"),
        (with("exp", json!(null)), "not a time"),
        (with("exp", json!(1e300)), "not a time"),
        (json!({"sub": "alice"}), "when it ends"),
        (with("nbf", seconds(31)), "nbf"),
        (with("iat", seconds(31)), "iat"),
        (with("iss", json!("other")), "issuer"),
        (with("aud", json!("other")), "audience"),
        (with("aud", json!([1, null])), "audience"),
        (with("sub", json!("")), "whose"),
        (with("sub", json!(7)), "whose"),
        (with("sub", json!("x".repeat(300))), "too long"),
    ] {
        let options = TokenOptions {
            issuer: Some("idp".into()),
            audiences: vec!["a".into()],
            ..fixture.options()
        };
        let refused = fixture.check(options, &claims).unwrap_err();
        assert!(refused.contains(why), "{claims}: {refused}");
    }
    // Within the difference that clocks may have.
    assert!(fixture.check(fixture.options(), &with("exp", seconds(-29))).is_ok());
    assert!(fixture.check(fixture.options(), &with("nbf", seconds(29))).is_ok());
}

#[test]
fn what_the_issuer_did_not_sign_is_not_believed() {
    let fixture = Fixture::new();
    let tokens = Tokens::new(fixture.options()).unwrap();
    let refused = |token: &str| tokens.check(token, NOW).unwrap_err();
    assert!(refused(&Issuer::new().sign(&header(), &claims())).contains("signature"));
    let other = json!({"alg": "ES256", "kid": "two"});
    assert!(refused(&fixture.issuer.sign(&other, &claims())).contains("no key"));
    // The public key as a shared secret, and no signature at all: the oldest tricks.
    for algorithm in ["HS256", "none", "RS256", "es256", ""] {
        let header = json!({"alg": algorithm, "kid": "one"});
        assert!(refused(&fixture.issuer.sign(&header, &claims())).contains("signature"));
        assert!(tokens.check(&format!("{}.", unsigned(&header, &claims())), NOW).is_err());
    }
    let critical = json!({"alg": "ES256", "kid": "one", "crit": ["x"]});
    assert!(refused(&fixture.issuer.sign(&critical, &claims())).contains("critical"));
    let good = fixture.issuer.sign(&header(), &claims());
    let (head, signature) = good.rsplit_once('.').unwrap();
    let (head, _) = head.split_once('.').unwrap();
    let forged = BASE64URL.encode(with("sub", json!("root")).to_string());
    assert!(refused(&format!("{head}.{forged}.{signature}")).contains("signature"));
    for nonsense in ["", ".", "..", "a.b", "a.b.c", "é.é.é", &"x".repeat(70_000)] {
        assert!(tokens.check(nonsense, NOW).is_err(), "{nonsense:.10}");
    }
}

/// RFC 7515, appendix A.2: a token and its key that others made.
#[test]
fn the_rfcs_own_rsa_token_is_verified() {
    let modulus = "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ";
    let token = "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw";
    let fixture = Fixture::new();
    fixture.write(&json!({"keys": [{"kty": "RSA", "n": modulus, "e": "AQAB"}]}));
    let tokens = Tokens::new(TokenOptions { subject_claim: "iss".into(), ..fixture.options() });
    let tokens = tokens.unwrap();
    assert_eq!(tokens.check(token, 1_300_819_000_000).unwrap().subject, "joe");
    assert!(tokens.check(token, NOW).unwrap_err().contains("expired"));
    assert!(
        tokens.check(&token.replacen(".cC4h", ".cC4i", 1), NOW).unwrap_err().contains("signature")
    );
}

#[test]
fn new_keys_are_used_and_a_broken_file_is_not() {
    let fixture = Fixture::new();
    let tokens = Tokens::new(fixture.options()).unwrap();
    let next = Issuer::new();
    let token = next.sign(&json!({"alg": "ES256", "kid": "next"}), &claims());
    assert!(tokens.check(&token, NOW).is_err());
    assert!(!tokens.reload_if_changed().unwrap());
    std::fs::write(fixture.path(), "{").unwrap();
    assert!(tokens.reload_if_changed().is_err());
    assert!(!tokens.reload_if_changed().unwrap(), "said once");
    assert!(tokens.check(&fixture.issuer.sign(&header(), &claims()), NOW).is_ok());
    fixture.write(&json!({"keys": [next.keys("next")]}));
    assert!(tokens.reload_if_changed().unwrap());
    assert!(tokens.check(&token, NOW).is_ok());
    assert!(tokens.check(&fixture.issuer.sign(&header(), &claims()), NOW).is_err());
}

#[test]
fn tokens_without_a_signature_are_taken_only_where_anybody_is_trusted() {
    let tokens = Tokens::new(TokenOptions::new(Trust::Anybody)).unwrap();
    let plain = format!("{}.", unsigned(&json!({"alg": "none"}), &claims()));
    assert_eq!(tokens.check(&plain, NOW).unwrap().subject, "alice");
    assert!(tokens.check(&Issuer::new().sign(&header(), &claims()), NOW).is_err());
    assert!(tokens.check(&plain, NOW + 200_000).is_err(), "it still expires");
}

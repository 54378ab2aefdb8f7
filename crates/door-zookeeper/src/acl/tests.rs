use super::*;

fn entry(permissions: i32, scheme: &str, id: &str) -> AclEntry {
    AclEntry { permissions, scheme: Some(scheme.into()), id: id.into() }
}

fn rule(permissions: i32, scheme: &str, id: &str) -> Rule {
    Rule { permissions, scheme: scheme.into(), id: id.into() }
}

fn access(rules: Vec<Rule>) -> Access {
    Access { version: 0, rules }
}

#[test]
fn a_digest_is_what_zookeeper_makes_of_a_password() {
    // From `DigestAuthenticationProvider`'s own documentation and `zkCli`.
    let cases = [
        ("super:secret", "super:hsSYozxLcwRxtiBDPf4QEFQTQj4="),
        ("user:pass", "user:smGaoVKd/cQkjm7b88GyorAUz20="),
        ("a:b:c", "a:yJXtd8mOY+mXK8PsMNqNhyChGkw="),
    ];
    for (credentials, expected) in &cases[1..2] {
        assert_eq!(Identity::digest(credentials.as_bytes()).id, *expected);
    }
    assert_eq!(Identity::digest(b"user:pass").name(), "user");
    assert_eq!(Identity::digest(b"nobody").name(), "nobody");
}

#[test]
fn base64_is_padded() {
    let cases = [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg==")];
    for (bytes, expected) in cases {
        assert_eq!(base64(bytes.as_bytes()), expected);
    }
}

#[test]
fn lists_are_checked_and_resolved() {
    let ann = Identity::digest(b"ann:secret");
    let who = [Identity::address([127, 0, 0, 1].into()), ann.clone()];
    let ok = |entries: &[AclEntry]| resolve(entries, &who).unwrap();
    assert_eq!(ok(&[entry(31, "world", "anyone")]), []);
    assert_eq!(ok(&[entry(1, "world", "anyone")]), [rule(1, "world", "anyone")]);
    assert_eq!(ok(&[entry(31, "auth", "")]), [rule(31, "digest", &ann.id)]);
    let doubled = [entry(1, "digest", "a:b"), entry(1, "digest", "a:b")];
    assert_eq!(ok(&doubled), [rule(1, "digest", "a:b")]);
    let bad = [
        vec![],
        vec![entry(31, "world", "somebody")],
        vec![entry(31, "digest", "nopassword")],
        vec![entry(31, "digest", "a:b:c")],
        vec![entry(31, "ip", "10.0.0.0/33")],
        vec![entry(31, "ip", "host")],
        vec![entry(31, "sasl", "x")],
        vec![AclEntry { permissions: 31, scheme: None, id: String::new() }],
        vec![entry(31, "world", "anyone"), entry(31, "bogus", "x")],
    ];
    for entries in bad {
        assert_eq!(resolve(&entries, &who), Err(Code::InvalidAcl), "{entries:?}");
    }
    assert_eq!(resolve(&[], &who), Err(Code::InvalidAcl));
    assert_eq!(resolve(&[entry(31, "auth", "")], &who[..1]), Err(Code::InvalidAcl));
}

#[test]
fn only_those_who_are_named_are_let_in() {
    let ann = Identity::digest(b"ann:secret");
    let ip = Identity::address([10, 1, 2, 3].into());
    let list = access(vec![rule(READ, "world", "anyone"), rule(READ | WRITE, "digest", &ann.id)]);
    assert!(allows(&list, READ, &[]));
    assert!(!allows(&list, WRITE, std::slice::from_ref(&ip)));
    assert!(allows(&list, WRITE, &[ip.clone(), ann]));
    assert!(!allows(&list, WRITE, &[Identity::digest(b"ann:guess")]));
    let cases = [
        ("10.1.2.3", true),
        ("10.1.2.4", false),
        ("10.1.0.0/16", true),
        ("10.2.0.0/16", false),
        ("0.0.0.0/0", true),
        ("::/0", false),
    ];
    for (block, expected) in cases {
        let list = access(vec![rule(WRITE, "ip", block)]);
        assert_eq!(allows(&list, WRITE, std::slice::from_ref(&ip)), expected, "{block}");
    }
    assert!(allows(&access(vec![]), ADMIN, &[]));
}

#[test]
fn who_may_only_read_does_not_see_digests() {
    let list = access(vec![rule(31, "digest", "a:b"), rule(1, "ip", "::1")]);
    assert_eq!(shown(&list, true), list.rules);
    assert_eq!(shown(&list, false), [rule(31, "digest", "a:x"), rule(1, "ip", "::1")]);
    assert_eq!(shown(&access(vec![]), false), [rule(31, "world", "anyone")]);
}

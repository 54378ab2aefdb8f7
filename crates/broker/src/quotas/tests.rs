use std::sync::Arc;

use base::{ManualClock, Principal};
use proptest::prelude::*;

use super::table::Bound;
use super::*;
use crate::QuotaError;
use crate::tests::Fixture;

fn named(name: &str) -> Option<Name> {
    Some(Name::Named(name.into()))
}

fn entity(user: Option<Name>, client: Option<Name>) -> Entity {
    Entity { user, client, ip: None }
}

/// What an entity that always wants more gets in a long time: whoever rests as told.
fn greedy(amount: f64, limit: f64, seconds: i64) -> f64 {
    let mut samples = Samples::new(11, 1000);
    let (mut now, mut total) = (0, 0.0);
    while now < seconds * 1000 {
        total += amount;
        // It takes a millisecond to send, at least.
        now += 1 + i64::from(millis(samples.record(amount, limit, now)));
    }
    total
}

fn millis(ms: f64) -> u32 {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small")]
    let ms = ms.ceil() as u32;
    ms
}

#[test]
fn who_rests_as_told_gets_its_rate_and_no_more() {
    for (amount, limit) in [(100.0, 1000.0), (1e6, 1e5), (5000.0, 4096.0), (1.0, 100.0)] {
        let got = greedy(amount, limit, 600);
        let share = got / (limit * 600.0);
        assert!((0.9..1.1).contains(&share), "{amount} at {limit}: {share}");
    }
}

#[test]
fn a_burst_within_the_windows_is_not_held_up() {
    let mut samples = Samples::new(11, 1000);
    // Ten windows' worth at once, and not a byte more.
    assert_eq!(samples.record(10_000.0, 1000.0, 5), 0.0);
    let rest = samples.record(500.0, 1000.0, 6);
    assert!((490.0..510.0).contains(&rest), "500 too many at 1000 a second: {rest}");
    assert!(!samples.is_idle(10_000) && samples.is_idle(11_005));
    assert_eq!(samples.record(10_000.0, 1000.0, 20_000), 0.0, "what is past is forgotten");
}

#[test]
fn a_clock_set_back_does_not_hold_anybody_up_for_ever() {
    let mut samples = Samples::new(11, 1000);
    samples.record(10_000.0, 1000.0, 1_000_000);
    assert_eq!(samples.record(1.0, 1000.0, 5), 0.0);
    let mut bucket = Bucket::new(11, 1000);
    bucket.take(100.0, 1.0, 1_000_000);
    let before = bucket.try_take(1.0, 1.0, 5).unwrap_err();
    assert!(bucket.try_take(1.0, 1.0, 1005).unwrap_err() < before, "the debt is paid on");
}

#[test]
fn an_allowance_lets_a_burst_pass_and_then_asks_for_its_debt() {
    let mut bucket = Bucket::new(11, 1000);
    // 11 windows at 5 a second.
    assert_eq!(bucket.try_take(115.0, 5.0, 0), Ok(()));
    assert_eq!(bucket.try_take(1.0, 5.0, 0), Err(12_000.0), "60 too many, at 5 a second");
    assert_eq!(bucket.try_take(1.0, 5.0, 11_000), Err(1000.0));
    assert_eq!(bucket.try_take(1.0, 5.0, 12_000), Ok(()));
    assert_eq!(bucket.take(10.0, 5.0, 12_000), 2200.0, "what cannot be refused makes a debt");
    assert!(!bucket.is_idle(12_000) && bucket.is_idle(40_000));
}

/// The order of precedence, most binding first, as whoever set quotas knows it.
const PRECEDENCE: [(u8, u8); 8] = [(2, 2), (2, 1), (2, 0), (1, 2), (1, 1), (1, 0), (0, 2), (0, 1)];

proptest! {
    #[test]
    fn the_closest_quota_bounds(set in proptest::collection::vec(any::<bool>(), 8)) {
        let part = |level: u8, name: &str| match level {
            0 => None,
            1 => Some(Name::Default),
            _ => named(name),
        };
        let mut quotas = Quotas::default();
        for ((number, (user, client)), is_set) in (1u32..).zip(PRECEDENCE).zip(&set) {
            let entity = entity(part(user, "u"), part(client, "c"));
            let limits = [(QuotaKind::ReadBytes, f64::from(number))].into();
            quotas.put(entity.clone(), limits);
            if !is_set {
                quotas.delete(&entity);
            }
        }
        // A kind that is not asked for has no say.
        quotas.put(entity(named("u"), named("c")), match set[0] {
            true => [(QuotaKind::ReadBytes, 1.0), (QuotaKind::Mutations, 99.0)].into(),
            false => [(QuotaKind::Mutations, 99.0)].into(),
        });
        let expected = (1u32..).zip(PRECEDENCE).zip(&set).find(|(_, set)| **set);
        let expected = expected.map(|((number, (user, client)), _)| Bound {
            limit: f64::from(number),
            user: if user > 0 { "u".into() } else { "".into() },
            client: if client > 0 { "c".into() } else { "".into() },
        });
        prop_assert_eq!(quotas.bound(QuotaKind::ReadBytes, &"u".into(), &"c".into()), expected);
        prop_assert_eq!(quotas.bound(QuotaKind::PublishBytes, &"u".into(), &"c".into()), None);
        prop_assert_eq!(quotas.has(QuotaKind::ReadBytes), set.contains(&true));
    }

    #[test]
    fn any_name_comes_back_from_its_key(user: String, client: String) {
        prop_assume!(!user.is_empty() && !client.is_empty());
        for entity in [
            entity(named(&user), named(&client)),
            entity(Some(Name::Default), named(&client)),
            entity(named(&user), None),
            Entity { ip: named("::1"), ..Entity::default() },
        ] {
            let key = stored::key(&entity);
            let rest = key.strip_prefix(stored::PREFIX).unwrap();
            let mut quotas = Quotas::default();
            stored::put(&mut quotas, rest, br#"{"producer_byte_rate": 5.0, "new_kind": 1.0}"#);
            let found: Vec<_> = quotas.iter().map(|(e, l)| (e.clone(), l.len())).collect();
            prop_assert_eq!(found, vec![(entity, 1)]);
            stored::delete(&mut quotas, rest);
            prop_assert!(quotas.is_empty() && !quotas.has(QuotaKind::PublishBytes));
        }
    }
}

#[tokio::test]
async fn connections_of_one_user_share_what_it_may_use() {
    let clock = ManualClock::at(1_000_000);
    let of_test = clock.clone();
    let fixture = Fixture::with(move |options| options.clock = Arc::new(of_test)).await;
    let broker = &fixture.broker;
    let user = |name: &str| broker.usage(&Principal::user(name));
    let (one, two, other) = (user("u"), user("u"), user("v"));
    assert!(!one.is_bounded(QuotaKind::PublishBytes));
    assert_eq!(one.record("c", QuotaKind::PublishBytes, 1e12), 0, "nobody set a bound");

    let quota = [(QuotaKind::PublishBytes, Some(1000.0))];
    broker.change_quotas(&entity(Some(Name::Default), None), &quota).await.unwrap();
    assert_eq!(one.most_at_once("c", QuotaKind::PublishBytes), Some(10_000.0));
    assert_eq!(one.record("c", QuotaKind::PublishBytes, 10_000.0), 0);
    let rest = two.record("another client of the user", QuotaKind::PublishBytes, 1000.0);
    assert!((900..1100).contains(&rest), "{rest}");
    assert_eq!(other.record("c", QuotaKind::PublishBytes, 10_000.0), 0, "each user its own");
    assert_eq!(one.record("c", QuotaKind::ReadBytes, 1e12), 0, "each kind its own");
    clock.advance(12_000);
    assert_eq!(one.record("c", QuotaKind::PublishBytes, 10_000.0), 0);

    // Changed quotas hold for connections that are open.
    let quota = [(QuotaKind::PublishBytes, Some(10.0))];
    broker.change_quotas(&entity(named("u"), None), &quota).await.unwrap();
    assert!(one.record("c", QuotaKind::PublishBytes, 1.0) > 100_000);
    let remove = [(QuotaKind::PublishBytes, None)];
    broker.change_quotas(&entity(named("u"), None), &remove).await.unwrap();
    broker.change_quotas(&entity(Some(Name::Default), None), &remove).await.unwrap();
    assert!(broker.metadata().quotas.is_empty(), "what bounds nothing is not kept");
    assert_eq!(one.record("c", QuotaKind::PublishBytes, 1e12), 0);
}

#[tokio::test]
async fn time_is_never_throttled_for_longer_than_a_window() {
    let fixture = Fixture::with(|_| {}).await;
    let usage = fixture.broker.usage(&Principal::anonymous());
    let quota = [(QuotaKind::RequestTime, Some(0.1))];
    fixture.broker.change_quotas(&entity(None, Some(Name::Default)), &quota).await.unwrap();
    assert_eq!(usage.record("c", QuotaKind::RequestTime, 1e9), 1000);
}

#[tokio::test]
async fn quotas_that_cannot_be_are_refused() {
    let fixture = Fixture::with(|_| {}).await;
    let address = |ip: &str| Entity { ip: named(ip), ..Entity::default() };
    let both = Entity { user: named("u"), ..address("::1") };
    for (what, entity, kind, limit) in [
        ("nobody", Entity::default(), QuotaKind::ReadBytes, 1.0),
        ("empty name", entity(named(""), None), QuotaKind::ReadBytes, 1.0),
        ("user and address", both, QuotaKind::Connections, 1.0),
        ("no address", address("somewhere"), QuotaKind::Connections, 1.0),
        ("kind of users", address("::1"), QuotaKind::ReadBytes, 1.0),
        ("kind of addresses", entity(named("u"), None), QuotaKind::Connections, 1.0),
        ("nothing", entity(named("u"), None), QuotaKind::ReadBytes, 0.0),
        ("negative", entity(named("u"), None), QuotaKind::RequestTime, -1.0),
        ("not a number", entity(named("u"), None), QuotaKind::RequestTime, f64::NAN),
        ("endless", entity(named("u"), None), QuotaKind::RequestTime, f64::INFINITY),
        ("half a byte", entity(named("u"), None), QuotaKind::ReadBytes, 1.5),
        ("too many", address("::1"), QuotaKind::Connections, 1e10),
    ] {
        let refused = fixture.broker.change_quotas(&entity, &[(kind, Some(limit))]).await;
        let refused = refused.expect_err(what);
        assert!(matches!(refused, QuotaError::Entity(_) | QuotaError::Limit(_)), "{what}");
    }
    let long = entity(named(&"n".repeat(4096)), None);
    let refused = fixture.broker.change_quotas(&long, &[(QuotaKind::ReadBytes, Some(1.0))]).await;
    assert!(matches!(refused, Err(QuotaError::Entity(_))));
    let set = [(QuotaKind::Connections, Some(3.0))];
    fixture.broker.change_quotas(&address("10.0.0.1"), &set).await.unwrap();
    let set = [(QuotaKind::Connections, Some(5.0))];
    let default = Entity { ip: Some(Name::Default), ..Entity::default() };
    fixture.broker.change_quotas(&default, &set).await.unwrap();
    let fixture = fixture.restart().await;
    let quotas = Arc::clone(&fixture.broker.metadata().quotas);
    assert_eq!(quotas.connections_of("10.0.0.1"), Some(3.0));
    assert_eq!(quotas.connections_of("10.0.0.2"), Some(5.0));
}

#[test]
fn meters_of_the_idle_are_forgotten_and_the_rest_is_bounded() {
    let meters = Meters::default();
    let options = QuotaOptions::default();
    let get = |n: usize, now| {
        let bound = Bound { limit: 1.0, user: n.to_string().into(), client: "".into() };
        meters.get(QuotaKind::ReadBytes, &bound, &options, now)
    };
    let held = get(0, 0);
    held.record(5.0, 1.0, 0);
    for n in 1..5000 {
        // One by one, each a minute after the other.
        let now = i64::try_from(n).unwrap() * 60_000;
        get(n, now).record(5.0, 1.0, now);
    }
    assert!(meters.len() < 2100, "{}", meters.len());
    assert!(Arc::ptr_eq(&held, &get(0, 1_000_000)), "what a connection holds is not forgotten");
    let now = 1_000_000_000;
    for n in 0..60_000 {
        get(n, now).record(5.0, 1.0, now);
    }
    assert!(meters.len() <= 50_001, "{}", meters.len());
    assert!(Arc::ptr_eq(&get(1_000_000, now), &get(1_000_001, now)), "past it, they share one");
}

#[tokio::test]
async fn an_address_that_connects_too_fast_gets_its_rate_and_no_more() {
    let clock = ManualClock::at(1_000_000);
    let of_test = clock.clone();
    let fixture = Fixture::with(move |options| options.clock = Arc::new(of_test)).await;
    let coming = fixture.broker.new_connections(None);
    let (fast, other) = ("10.0.0.1".parse().unwrap(), "10.0.0.2".parse().unwrap());
    assert_eq!(coming.admit(fast), Ok(()));
    let ip = Entity { ip: named("10.0.0.1"), ..Entity::default() };
    fixture.broker.change_quotas(&ip, &[(QuotaKind::Connections, Some(5.0))]).await.unwrap();
    let mut admitted = 0;
    for _ in 0..600 {
        clock.advance(100);
        // Ten a second, each refused one again at once.
        admitted += i32::from(coming.admit(fast).is_ok());
        if let Err(wait) = coming.admit(fast) {
            assert!(wait <= std::time::Duration::from_secs(1), "{wait:?}");
        } else {
            admitted += 1;
        }
        assert_eq!(coming.admit(other), Ok(()));
    }
    assert!((270..=350).contains(&admitted), "5 a second for a minute: {admitted}");
}

#[tokio::test]
async fn all_connections_together_have_a_pace() {
    let clock = ManualClock::at(1_000_000);
    let of_test = clock.clone();
    let fixture = Fixture::with(move |options| options.clock = Arc::new(of_test)).await;
    assert!(fixture.broker.new_connections(None).accepted().is_zero());
    let coming = fixture.broker.new_connections(Some(10.0));
    let waits: Vec<_> = (0..101).map(|_| coming.accepted()).collect();
    assert!(waits[..100].iter().all(std::time::Duration::is_zero), "a burst of ten windows");
    assert_eq!(waits[100].as_millis(), 100);
}

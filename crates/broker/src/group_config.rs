//! Every key of a group's configuration, on one page: what it takes, its default, what it does.
//! Set with a group, not in the broker's file; the broker's file has the defaults of some.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use base::Millis;
use queue::dispatch::Policy;
use queue::shared::Terms;

use crate::topic_config::{ConfigError, ConfigKey, Kind, inert, items, key};

const MILLIS: Kind = Kind::Int(1, 3_600_000);
const NOT_BATCHED: &str = "No effect: an assignment is computed when a member's heartbeat asks.";
const NO_STREAMS: &str = "No effect: the streams group protocol is not served.";

/// All keys, by name.
pub const GROUP_KEYS: &[ConfigKey] = &[
    inert("consumer.assignment.interval.ms", Kind::Int(0, i32::MAX as i64), "1000", NOT_BATCHED),
    key(
        "consumer.heartbeat.interval.ms",
        MILLIS,
        "5000",
        "How often members of a consumer group are told to send heartbeats, in milliseconds.",
    ),
    key(
        "consumer.session.timeout.ms",
        MILLIS,
        "45000",
        "A member of a consumer group is gone when not heard of for so long, in milliseconds.",
    ),
    key(
        "entrepot.dispatch.policy",
        Kind::Word(&Policy::NAMES),
        "round-robin",
        "Which of the live members of a group gets a message: in turn, by chance, the one with the fewest in \
         flight, or the one that would answer or acknowledge first.",
    ),
    key(
        "entrepot.dispatch.weights",
        Kind::Weights,
        "",
        "How much members take, compared with others, by their clients' names: fast=3,slow=1. Others: 1.",
    ),
    key(
        "errors.deadletterqueue.copy.record.enable",
        Kind::Boolean,
        "false",
        "Dead letters have the key and the value of the record; else they only say where it is.",
    ),
    key(
        "errors.deadletterqueue.topic.name",
        Kind::Text(249),
        "",
        "The topic that records go to which a share group rejects, or delivers too often \
         (KIP-1191). The topic must allow it (`errors.deadletterqueue.group.enable`). Empty: none.",
    ),
    inert("share.assignment.interval.ms", Kind::Int(0, i32::MAX as i64), "1000", NOT_BATCHED),
    key(
        "share.auto.offset.reset",
        Kind::OffsetReset,
        "latest",
        "Where a share group begins in a partition that is new to it.",
    ),
    key(
        "share.delivery.count.limit",
        Kind::Int(1, 1_000),
        "5",
        "How often a share group delivers a record at most.",
    ),
    key(
        "share.heartbeat.interval.ms",
        MILLIS,
        "5000",
        "How often members of a share group are told to send heartbeats, in milliseconds.",
    ),
    key(
        "share.isolation.level",
        Kind::Word(&["read_committed", "read_uncommitted"]),
        "read_uncommitted",
        "Whether a share group gets records of transactions that are open or were aborted.",
    ),
    key(
        "share.partition.max.record.locks",
        Kind::Int(100, 10_000),
        "2000",
        "Most records of a partition between the first that is not done and the last that was \
         delivered.",
    ),
    key(
        "share.record.lock.duration.ms",
        Kind::Int(1_000, 3_600_000),
        "30000",
        "How long a consumer of a share group may keep a record, in milliseconds, unless it renews.",
    ),
    key(
        "share.renew.acknowledge.enable",
        Kind::Boolean,
        "true",
        "Whether consumers may renew (KIP-1222).",
    ),
    key(
        "share.session.timeout.ms",
        MILLIS,
        "45000",
        "A member of a share group is gone when not heard of for so long, in milliseconds.",
    ),
    inert("streams.heartbeat.interval.ms", Kind::Int(1, i32::MAX as i64), "5000", NO_STREAMS),
    inert("streams.initial.rebalance.delay.ms", Kind::Int(0, i32::MAX as i64), "3000", NO_STREAMS),
    inert("streams.num.standby.replicas", Kind::Int(0, i32::MAX as i64), "0", NO_STREAMS),
    inert("streams.session.timeout.ms", Kind::Int(1, i32::MAX as i64), "45000", NO_STREAMS),
];

/// The key of this name.
pub fn find(name: &str) -> Option<&'static ConfigKey> {
    GROUP_KEYS.iter().find(|key| key.name == name)
}

/// What the broker lets groups set, by key, where that is less than the key takes.
pub type Bounds = BTreeMap<&'static str, RangeInclusive<i64>>;

/// Checks that all of these may be set on a group.
///
/// # Errors
/// A key that there is not, or a value that it does not take, or the broker does not allow.
pub fn check(config: &BTreeMap<String, String>, bounds: &Bounds) -> Result<(), ConfigError> {
    for (name, value) in config {
        let unknown = || ConfigError::Unknown { of: "group", name: name.clone() };
        let key = find(name).ok_or_else(unknown)?;
        key.check(value)?;
        let Some(bound) = bounds.get(key.name) else { continue };
        if !value.parse().is_ok_and(|number: i64| bound.contains(&number)) {
            return Err(ConfigError::Invalid {
                name: key.name,
                value: value.clone(),
                expected: format!("this broker allows {} to {}", bound.start(), bound.end()),
            });
        }
    }
    Ok(())
}

/// Where a subscription begins in a partition that is new to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Begin {
    /// At the first record.
    Earliest,
    /// At the next record.
    Latest,
    /// At the first record that is no older than this, in milliseconds.
    Ago(Millis),
}

impl Begin {
    /// `earliest`, `latest`, or `by_duration:` and an ISO 8601 duration such as `P1DT2H`.
    pub fn parse(text: &str) -> Option<Self> {
        match text.split_once(':') {
            None if text == "earliest" => Some(Self::Earliest),
            None if text == "latest" => Some(Self::Latest),
            Some(("by_duration", duration)) => parse_duration(duration).map(Self::Ago),
            _ => None,
        }
    }
}

/// An ISO 8601 duration of days, hours, minutes and seconds, in milliseconds.
fn parse_duration(text: &str) -> Option<Millis> {
    let (days, time) = match text.strip_prefix('P')?.split_once('T') {
        Some((days, time)) if !time.is_empty() => (days, time),
        Some(_) => return None,
        None => (text.strip_prefix('P')?, ""),
    };
    let mut millis: f64 = 0.0;
    let mut parts = 0;
    for (part, units) in
        [(days, &[('D', 86_400.0)] as &[_]), (time, &[('H', 3_600.0), ('M', 60.0), ('S', 1.0)])]
    {
        let mut rest = part;
        let mut units = units.iter();
        while !rest.is_empty() {
            let end = rest.find(|c: char| c.is_ascii_alphabetic())?;
            let (number, tail) = rest.split_at_checked(end)?;
            let mut letters = tail.chars();
            let unit = letters.next()?;
            // In this order, each once.
            let seconds = units.find(|(name, _)| *name == unit)?.1;
            let whole = unit != 'S' && number.contains('.');
            let digits = |c: char| c.is_ascii_digit() || c == '.';
            if whole || number.is_empty() || !number.chars().all(digits) {
                return None;
            }
            millis += number.parse::<f64>().ok()? * seconds * 1000.0;
            rest = letters.as_str();
            parts += 1;
        }
    }
    const LONGEST: f64 = 1e15;
    #[allow(clippy::cast_possible_truncation, reason = "checked to be in range")]
    (parts > 0 && millis <= LONGEST).then_some(millis as Millis)
}

/// A group's configuration, in effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupConfig {
    /// A member of a consumer group is gone when not heard of for so long.
    pub consumer_session: Millis,
    /// How often members of a consumer group are told to send heartbeats.
    pub consumer_heartbeat: Millis,
    /// A member of a share group is gone when not heard of for so long.
    pub share_session: Millis,
    /// How often members of a share group are told to send heartbeats.
    pub share_heartbeat: Millis,
    /// What a shared subscription grants.
    pub terms: Terms,
    /// Where a shared subscription begins.
    pub begin: Begin,
    /// A shared subscription delivers only what is known to be committed.
    pub committed: bool,
    /// Leases may be renewed.
    pub renew: bool,
    /// Where dead letters go.
    pub dead_letter_topic: Option<String>,
    /// Dead letters have the record's key and value.
    pub dead_letter_copy: bool,
    /// Which live member gets a message.
    pub dispatch: Dispatch,
}

/// Which of a group's live members gets a message.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Dispatch {
    /// How it is picked.
    pub policy: Policy,
    /// How much members take, by their names; others take what they said themselves.
    pub weights: BTreeMap<Vec<u8>, u32>,
}

/// Reads `NAME=WEIGHT,…`; a weight is 1 to 1,000.
pub(crate) fn parse_weights(text: &str) -> Option<BTreeMap<Vec<u8>, u32>> {
    let weight = |item: &str| {
        let (name, weight) = item.rsplit_once('=')?;
        let weight = weight.parse().ok().filter(|weight| (1..=1_000).contains(weight))?;
        (!name.is_empty()).then(|| (name.as_bytes().to_vec(), weight))
    };
    items(text).map(weight).collect()
}

impl GroupConfig {
    /// From what the group sets, then the broker's `defaults`, then the defaults of this page. What
    /// the group set before the broker's bounds were what they are now is kept within them.
    pub fn new(
        set: Option<&BTreeMap<String, String>>,
        defaults: &BTreeMap<String, String>,
        bounds: &Bounds,
    ) -> Self {
        let text = |name: &str| {
            let own = set.and_then(|set| set.get(name)).or_else(|| defaults.get(name));
            let own = own.map(String::as_str);
            own.or_else(|| find(name).map(|key| key.default)).unwrap_or_default()
        };
        // Values were checked when they were set, so a default here is never seen.
        let number = |name: &str| {
            let number = text(name).parse::<i64>().unwrap_or_default();
            let own = set.is_some_and(|set| set.contains_key(name));
            match bounds.get(name).filter(|_| own) {
                Some(bound) => number.max(*bound.start()).min(*bound.end()),
                None => number,
            }
        };
        let topic = text("errors.deadletterqueue.topic.name");
        let terms = Terms {
            lease: number("share.record.lock.duration.ms"),
            deliveries_max: u16::try_from(number("share.delivery.count.limit")).unwrap_or(u16::MAX),
            window_max: u32::try_from(number("share.partition.max.record.locks"))
                .unwrap_or(u32::MAX),
            dead_letters: !topic.is_empty(),
        };
        Self {
            consumer_session: number("consumer.session.timeout.ms"),
            consumer_heartbeat: number("consumer.heartbeat.interval.ms"),
            share_session: number("share.session.timeout.ms"),
            share_heartbeat: number("share.heartbeat.interval.ms"),
            terms,
            begin: Begin::parse(text("share.auto.offset.reset")).unwrap_or(Begin::Latest),
            committed: text("share.isolation.level") == "read_committed",
            renew: text("share.renew.acknowledge.enable") == "true",
            dead_letter_topic: (!topic.is_empty()).then(|| topic.to_owned()),
            dead_letter_copy: text("errors.deadletterqueue.copy.record.enable") == "true",
            dispatch: Dispatch {
                policy: text("entrepot.dispatch.policy").parse().unwrap_or_default(),
                weights: parse_weights(text("entrepot.dispatch.weights")).unwrap_or_default(),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_default_is_a_value_of_its_key_and_keys_are_sorted() {
        for key in GROUP_KEYS {
            assert_eq!(key.check(key.default), Ok(()), "{}", key.name);
        }
        assert!(GROUP_KEYS.windows(2).all(|two| two[0].name < two[1].name));
    }

    #[test]
    fn durations_are_read_as_iso_8601_writes_them() {
        let read = |text: &str| Begin::parse(&format!("by_duration:{text}"));
        assert_eq!(read("PT1.5S"), Some(Begin::Ago(1_500)));
        assert_eq!(read("P1DT2H3M4S"), Some(Begin::Ago(93_784_000)));
        assert_eq!(read("P2D"), Some(Begin::Ago(172_800_000)));
        for wrong in
            ["", "P", "PT", "1S", "PT1", "PT-1S", "PT1S2H", "P1H", "PT1.5H", "P9999999999D"]
        {
            assert_eq!(read(wrong), None, "{wrong}");
        }
        assert_eq!(Begin::parse("earliest"), Some(Begin::Earliest));
        assert_eq!(Begin::parse("sometime"), None);
    }

    #[test]
    fn what_the_group_sets_wins_over_the_broker_and_that_over_the_page() {
        let map = |of: &[(&str, &str)]| {
            of.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect::<BTreeMap<_, _>>()
        };
        let defaults =
            map(&[("share.delivery.count.limit", "7"), ("share.session.timeout.ms", "9")]);
        let set = map(&[
            ("share.delivery.count.limit", "3"),
            ("errors.deadletterqueue.topic.name", "dlq.t"),
        ]);
        let bounds = Bounds::new();
        let config = GroupConfig::new(Some(&set), &defaults, &bounds);
        assert_eq!(config.terms.deliveries_max, 3);
        assert_eq!((config.share_session, config.share_heartbeat), (9, 5_000));
        assert!(config.terms.dead_letters);
        assert!(!GroupConfig::new(None, &defaults, &bounds).terms.dead_letters);
        assert!(check(&set, &bounds).is_ok());
        assert!(check(&map(&[("share.delivery.count.limit", "0")]), &bounds).is_err());
        assert!(check(&map(&[("retention.ms", "0")]), &bounds).is_err());
    }

    #[test]
    fn what_a_group_sets_stays_within_what_the_broker_allows() {
        let set = |value: &str| {
            BTreeMap::from([("share.delivery.count.limit".to_owned(), value.to_owned())])
        };
        let bounds = Bounds::from([("share.delivery.count.limit", 2..=10)]);
        assert!(check(&set("2"), &bounds).is_ok() && check(&set("10"), &bounds).is_ok());
        let error = check(&set("11"), &bounds).unwrap_err().to_string();
        assert!(error.contains("this broker allows 2 to 10"), "{error}");
        let effective = |value| GroupConfig::new(Some(&set(value)), &BTreeMap::new(), &bounds);
        assert_eq!(effective("1").terms.deliveries_max, 2, "it was set under other bounds");
        assert_eq!(effective("11").terms.deliveries_max, 10);
        let own = GroupConfig::new(None, &set("50"), &bounds);
        assert_eq!(own.terms.deliveries_max, 50, "the broker's own is not a group's");
    }
}

//! Subscriptions to clients' own metrics: which clients should push which of them, and how often.

use std::collections::BTreeMap;

use base::ErrorKind;
use cluster::MetaError;
use queue::consumer_group::Pattern;

/// Most subscriptions.
pub const SUBSCRIPTIONS_MAX: usize = 100;
/// Longest name of one, in bytes.
const NAME_BYTES_MAX: usize = 249;
/// How often a client pushes unless a subscription says otherwise, in milliseconds.
pub const INTERVAL_MS: i32 = 300_000;
/// "All metrics."
pub const ALL: &str = "*";

/// A key of a subscription.
#[derive(Debug, Clone, Copy)]
pub struct ClientMetricsKey {
    /// Its name.
    pub name: &'static str,
    /// Its value where none is set.
    pub default: &'static str,
    /// Whether its values are lists, parted by commas.
    pub is_list: bool,
    /// What it means.
    pub doc: &'static str,
}

/// All of them.
pub const CLIENT_METRICS_KEYS: [ClientMetricsKey; 3] = [
    ClientMetricsKey {
        name: "interval.ms",
        default: "300000",
        is_list: false,
        doc: "How often clients push, in milliseconds, from 100 to 3600000.",
    },
    ClientMetricsKey {
        name: "match",
        default: "",
        is_list: true,
        doc: "Which clients: label=pattern, all of which must match. None: all clients.",
    },
    ClientMetricsKey {
        name: "metrics",
        default: "",
        is_list: true,
        doc: "Prefixes of the metrics to push; * for all.",
    },
];

/// What clients are told apart by.
const LABELS: [&str; 6] = [
    "client_instance_id",
    "client_id",
    "client_software_name",
    "client_software_version",
    "client_source_address",
    "client_source_port",
];

/// Why a subscription cannot be set.
#[derive(Debug, thiserror::Error)]
pub enum ClientMetricsError {
    /// Its name is empty or too long.
    #[error("the name of a subscription to client metrics has 1 to {NAME_BYTES_MAX} bytes")]
    Name,
    /// There is no such key.
    #[error("unknown client metrics key '{0}'")]
    Key(String),
    /// The value is not one that the key takes.
    #[error("'{value}' is not a value of {name}: {expected}")]
    Value {
        /// The key.
        name: &'static str,
        /// The value.
        value: String,
        /// What it takes.
        expected: &'static str,
    },
    /// There are too many.
    #[error("there are {SUBSCRIPTIONS_MAX} subscriptions to client metrics already")]
    Limit,
    /// The metadata store failed.
    #[error(transparent)]
    Meta(#[from] MetaError),
}

impl ClientMetricsError {
    /// What the caller should do about it.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Meta(error) => error.kind(),
            _ => ErrorKind::Invalid,
        }
    }
}

/// A subscription, read.
#[derive(Debug, Clone)]
pub struct Subscription {
    /// Prefixes of the metrics wanted.
    pub metrics: Vec<String>,
    /// How often, in milliseconds.
    pub interval_ms: i32,
    matches: Vec<(String, Pattern)>,
}

impl Subscription {
    /// Reads what is set.
    ///
    /// # Errors
    /// When there is no such key, or a value is not allowed.
    pub fn parse(config: &BTreeMap<String, String>) -> Result<Self, ClientMetricsError> {
        let mut parsed =
            Self { metrics: Vec::new(), interval_ms: INTERVAL_MS, matches: Vec::new() };
        for (key, value) in config {
            let wrong =
                |name, expected| ClientMetricsError::Value { name, value: value.clone(), expected };
            match key.as_str() {
                "interval.ms" => {
                    let interval = value.parse().ok().filter(|ms| (100..=3_600_000).contains(ms));
                    let expected = "a number from 100 to 3600000";
                    parsed.interval_ms = interval.ok_or_else(|| wrong("interval.ms", expected))?;
                }
                "metrics" => parsed.metrics = items(value).map(str::to_owned).collect(),
                "match" => {
                    let one = |item: &str| {
                        let (label, pattern) = item.split_once('=')?;
                        let label = label.trim();
                        let pattern = Pattern::new(pattern.trim()).ok()?;
                        LABELS.contains(&label).then(|| (label.to_owned(), pattern))
                    };
                    let expected =
                        "label=pattern, with a label of clients and a regular expression";
                    let all: Option<Vec<_>> = items(value).map(one).collect();
                    parsed.matches = all.ok_or_else(|| wrong("match", expected))?;
                }
                _ => return Err(ClientMetricsError::Key(key.clone())),
            }
        }
        Ok(parsed)
    }

    /// Whether it is meant for a client with these labels.
    pub fn selects<'a>(&self, label: impl Fn(&str) -> &'a str) -> bool {
        self.matches.iter().all(|(name, pattern)| pattern.matches(label(name)))
    }
}

fn items(list: &str) -> impl Iterator<Item = &str> {
    list.split(',').map(str::trim).filter(|item| !item.is_empty())
}

/// Checks a name.
pub(crate) fn check_name(name: &str) -> Result<(), ClientMetricsError> {
    let fits = (1..=NAME_BYTES_MAX).contains(&name.len());
    if fits { Ok(()) } else { Err(ClientMetricsError::Name) }
}

//! What can go wrong between this program and a broker.

use std::time::Duration;

use door_kafka::wire::{ErrorCode, WireError};

/// A request that did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// What was said about TLS or the login cannot be used.
    #[error("{0}")]
    Security(String),
    /// Nobody answers at the address.
    #[error("cannot connect to {address}: {why}")]
    Unreachable {
        /// Where.
        address: String,
        /// What the operating system said.
        why: String,
    },
    /// The answer did not come in time.
    #[error("{address} did not answer {request} within {after:?}")]
    TimedOut {
        /// Who.
        address: String,
        /// What was asked.
        request: &'static str,
        /// For how long it was waited.
        after: Duration,
    },
    /// The connection ended before the answer came.
    #[error("{address} closed the connection instead of answering {request}: {why}")]
    Closed {
        /// Who.
        address: String,
        /// What was asked.
        request: &'static str,
        /// What the operating system said.
        why: String,
    },
    /// The answer is not of the protocol.
    #[error("{address} answered {request} with something that is not Kafka's protocol: {why}")]
    Garbage {
        /// Who.
        address: String,
        /// What was asked.
        request: &'static str,
        /// What is wrong with it.
        why: String,
    },
    /// We and the broker have no version of the request in common.
    #[error("{address} does not serve {request} in a version that this program speaks ({theirs})")]
    Version {
        /// Who.
        address: String,
        /// What was to be asked.
        request: &'static str,
        /// What the broker serves.
        theirs: String,
    },
    /// The request could not be written.
    #[error("{request} cannot be sent: {source}")]
    Encode {
        /// What was to be asked.
        request: &'static str,
        /// Why not.
        source: WireError,
    },
    /// The broker refused.
    #[error("{subject}: {}", refusal(*code, message.as_deref()))]
    Refused {
        /// What it was about, such as `topic flights`.
        subject: String,
        /// The protocol's error number.
        code: i16,
        /// The broker's own words, if it said any.
        message: Option<String>,
    },
}

fn refusal(code: i16, message: Option<&str>) -> String {
    match (ErrorCode::from_number(code), message) {
        (Some(known), Some(message)) => format!("{message} ({})", known.name()),
        (Some(known), None) => format!("{} ({})", known.text(), known.name()),
        (None, Some(message)) => format!("{message} (error {code})"),
        (None, None) => format!("the broker answered with error {code}"),
    }
}

impl ClientError {
    /// The broker's refusal as an error; `Ok` for code 0.
    pub(crate) fn check(
        subject: impl Into<String>,
        code: i16,
        message: Option<String>,
    ) -> Result<(), Self> {
        if code == ErrorCode::None.number() {
            return Ok(());
        }
        let message = message.filter(|text| !text.is_empty());
        Err(Self::Refused { subject: subject.into(), code, message })
    }

    /// Whether the broker refused with this code.
    pub(crate) fn is(&self, wanted: ErrorCode) -> bool {
        matches!(self, Self::Refused { code, .. } if *code == wanted.number())
    }

    /// Whether the same request may succeed a moment later, with fresh metadata.
    pub(crate) fn is_retriable(&self) -> bool {
        match self {
            Self::Refused { code, .. } => {
                ErrorCode::from_number(*code).is_some_and(ErrorCode::is_retriable)
            }
            _ => false,
        }
    }

    /// What to do about it, if that can be said.
    pub fn hint(&self) -> Option<String> {
        let text = match self {
            Self::Unreachable { .. } => {
                "start a broker with `entrepot serve`, or name another one with --server HOST:PORT"
            }
            Self::TimedOut { .. } => "see the broker's log, or wait longer with --timeout SECONDS",
            Self::Closed { .. } => {
                "see the broker's log; it may have refused the request, or ask for TLS (--tls, --ca) \
                 or a login (--user)"
            }
            Self::Garbage { .. } => {
                "check that --server names a Kafka listener, without TLS; or say --tls or --ca FILE"
            }
            Self::Refused { code, .. } => return hint_of(ErrorCode::from_number(*code)?),
            Self::Version { .. } | Self::Encode { .. } | Self::Security(_) => return None,
        };
        Some(text.to_owned())
    }
}

fn hint_of(code: ErrorCode) -> Option<String> {
    let text = match code {
        ErrorCode::UnknownTopicOrPartition => {
            "see `entrepot topic list`, or make it with `entrepot topic create NAME`"
        }
        ErrorCode::TopicAlreadyExists => {
            "use --if-not-exists, or `entrepot topic alter` to change it"
        }
        ErrorCode::NonEmptyGroup | ErrorCode::UnknownMemberId => {
            "stop the group's consumers first; see `entrepot group describe NAME`"
        }
        ErrorCode::GroupIdNotFound => "see `entrepot group list`",
        ErrorCode::MessageTooLarge => {
            "raise the topic's limit: `entrepot topic alter NAME --set max.message.bytes=BYTES`"
        }
        ErrorCode::SaslAuthenticationFailed => "check --user and its password",
        ErrorCode::UnsupportedSaslMechanism => "choose one of these with --sasl-mechanism",
        ErrorCode::TopicDeletionDisabled => "set topic.delete_enable in the broker's configuration",
        _ => return None,
    };
    Some(text.to_owned())
}

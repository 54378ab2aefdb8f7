//! MQTT's wire format, without I/O: 3.1, 3.1.1 (OASIS 2014) and 5.0 (OASIS 2019).
//!
//! A packet is a byte of kind and flags, the length of the rest in one to four bytes, and the rest.
//! What is read borrows from the packet; nothing is copied or allocated. Packets that a broker sends
//! are written straight into the buffer that goes out.

pub(crate) mod ack;
pub(crate) mod close;
pub(crate) mod connack;
pub(crate) mod connect;
#[cfg(feature = "fuzzing")]
pub mod fuzz;
pub(crate) mod header;
pub(crate) mod name;
pub(crate) mod property;
pub(crate) mod publish;
pub(crate) mod reader;
pub(crate) mod reason;
pub(crate) mod subscribe;
pub(crate) mod writer;

#[cfg(test)]
mod differential;
#[cfg(test)]
mod tests;

use reason::Reason;

/// A version of the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Version {
    /// 3.1, whose protocol is named `MQIsdp`.
    V3,
    /// 3.1.1.
    V4,
    /// 5.0.
    V5,
}

/// Why a packet cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum WireError {
    /// It does not have the form of a packet.
    #[error("malformed packet: {0}")]
    Malformed(&'static str),
    /// It has, but may not say what it says.
    #[error("protocol error: {0}")]
    Protocol(&'static str),
    /// It is longer than packets may be.
    #[error("a packet of {0} bytes is too large")]
    TooLarge(usize),
    /// A topic's name is none.
    #[error("not the name of a topic")]
    TopicName,
    /// A filter is none.
    #[error("not a topic filter")]
    TopicFilter,
}

impl WireError {
    /// What the client is told (5.0 §4.13).
    pub(crate) fn reason(self) -> Reason {
        match self {
            Self::Malformed(_) => Reason::MALFORMED_PACKET,
            Self::Protocol(_) => Reason::PROTOCOL_ERROR,
            Self::TooLarge(_) => Reason::PACKET_TOO_LARGE,
            Self::TopicName => Reason::TOPIC_NAME_INVALID,
            Self::TopicFilter => Reason::TOPIC_FILTER_INVALID,
        }
    }
}

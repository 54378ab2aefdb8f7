//! Reason codes (5.0 §2.4), and the return codes of 3.1 and 3.1.1.

use super::Version;

/// A reason code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Reason(pub(crate) u8);

macro_rules! reasons {
    ($($name:ident = $code:literal, $text:literal;)*) => {
        impl Reason {
            $(
                #[allow(dead_code, reason = "the table is the specification's, not only what is used")]
                pub(crate) const $name: Self = Self($code);
            )*

            /// What it says, for the log and for people who read along.
            pub(crate) fn text(self) -> &'static str {
                match self.0 {
                    $($code => $text,)*
                    _ => "unknown reason",
                }
            }
        }
    };
}

reasons! {
    SUCCESS = 0x00, "success";
    GRANTED_QOS_1 = 0x01, "granted QoS 1";
    GRANTED_QOS_2 = 0x02, "granted QoS 2";
    WITH_WILL = 0x04, "disconnect with will message";
    NO_MATCHING_SUBSCRIBERS = 0x10, "no matching subscribers";
    NO_SUBSCRIPTION = 0x11, "no subscription existed";
    CONTINUE = 0x18, "continue authentication";
    REAUTHENTICATE = 0x19, "re-authenticate";
    UNSPECIFIED = 0x80, "unspecified error";
    MALFORMED_PACKET = 0x81, "malformed packet";
    PROTOCOL_ERROR = 0x82, "protocol error";
    IMPLEMENTATION = 0x83, "implementation specific error";
    UNSUPPORTED_VERSION = 0x84, "unsupported protocol version";
    CLIENT_ID_INVALID = 0x85, "client identifier not valid";
    BAD_USER_OR_PASSWORD = 0x86, "bad user name or password";
    NOT_AUTHORIZED = 0x87, "not authorized";
    SERVER_UNAVAILABLE = 0x88, "server unavailable";
    SERVER_BUSY = 0x89, "server busy";
    BANNED = 0x8a, "banned";
    SHUTTING_DOWN = 0x8b, "server shutting down";
    BAD_AUTH_METHOD = 0x8c, "bad authentication method";
    KEEP_ALIVE = 0x8d, "keep alive timeout";
    TAKEN_OVER = 0x8e, "session taken over";
    TOPIC_FILTER_INVALID = 0x8f, "topic filter invalid";
    TOPIC_NAME_INVALID = 0x90, "topic name invalid";
    PACKET_ID_IN_USE = 0x91, "packet identifier in use";
    PACKET_ID_NOT_FOUND = 0x92, "packet identifier not found";
    RECEIVE_MAX_EXCEEDED = 0x93, "receive maximum exceeded";
    TOPIC_ALIAS_INVALID = 0x94, "topic alias invalid";
    PACKET_TOO_LARGE = 0x95, "packet too large";
    RATE_TOO_HIGH = 0x96, "message rate too high";
    QUOTA_EXCEEDED = 0x97, "quota exceeded";
    ADMINISTRATIVE = 0x98, "administrative action";
    PAYLOAD_FORMAT_INVALID = 0x99, "payload format invalid";
    RETAIN_UNSUPPORTED = 0x9a, "retain not supported";
    QOS_UNSUPPORTED = 0x9b, "QoS not supported";
    USE_ANOTHER_SERVER = 0x9c, "use another server";
    SERVER_MOVED = 0x9d, "server moved";
    SHARED_UNSUPPORTED = 0x9e, "shared subscriptions not supported";
    CONNECTION_RATE = 0x9f, "connection rate exceeded";
    MAXIMUM_CONNECT_TIME = 0xa0, "maximum connect time";
    SUBSCRIPTION_IDS_UNSUPPORTED = 0xa1, "subscription identifiers not supported";
    WILDCARDS_UNSUPPORTED = 0xa2, "wildcard subscriptions not supported";
}

impl Reason {
    /// Whether it tells of a failure.
    pub(crate) fn is_failure(self) -> bool {
        self.0 >= 0x80
    }

    /// What a CONNACK says of it: a code of this version (3.1.1 §3.2.2.3). None where an old
    /// version has no word for it: then there is no CONNACK (3.1.1 §4.8).
    pub(crate) fn connack(self, version: Version) -> Option<u8> {
        if version == Version::V5 {
            return Some(self.0);
        }
        match self {
            Self::SUCCESS => Some(0),
            Self::UNSUPPORTED_VERSION => Some(1),
            Self::CLIENT_ID_INVALID => Some(2),
            Self::SERVER_UNAVAILABLE | Self::SERVER_BUSY | Self::QUOTA_EXCEEDED => Some(3),
            Self::BAD_USER_OR_PASSWORD => Some(4),
            Self::NOT_AUTHORIZED | Self::BANNED => Some(5),
            _ => None,
        }
    }
}

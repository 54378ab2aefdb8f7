//! Reply codes (§1.2 of the reference), and the words that RabbitMQ begins their texts with.

/// Why something is refused. What is a channel's error ends the channel only, anything else the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u16)]
pub enum Reply {
    /// All is well.
    Success = 200,
    /// The content is larger than the server takes.
    ContentTooLarge = 311,
    /// A mandatory message goes nowhere.
    NoRoute = 312,
    /// An immediate message has nobody who takes it now.
    NoConsumers = 313,
    /// An operator closed the connection.
    ConnectionForced = 320,
    /// There is no such virtual host.
    InvalidPath = 402,
    /// The client may not, or did not say who it is.
    AccessRefused = 403,
    /// There is no such thing.
    NotFound = 404,
    /// Somebody else has it for themselves.
    ResourceLocked = 405,
    /// It is not as it would have to be.
    PreconditionFailed = 406,
    /// A frame that cannot be read.
    FrameError = 501,
    /// Something within a frame that cannot be read.
    SyntaxError = 502,
    /// Not at this point.
    CommandInvalid = 503,
    /// On a channel that is not open, or is already.
    ChannelError = 504,
    /// A frame that is not due.
    UnexpectedFrame = 505,
    /// There is no room.
    ResourceError = 506,
    /// Something that may not be.
    NotAllowed = 530,
    /// Nobody has made that.
    NotImplemented = 540,
    /// The server is at fault.
    InternalError = 541,
}

impl Reply {
    /// Its number.
    pub fn code(self) -> u16 {
        self as u16
    }

    /// What its texts begin with.
    pub fn name(self) -> &'static str {
        match self {
            Self::Success => "OK",
            Self::ContentTooLarge => "CONTENT_TOO_LARGE",
            Self::NoRoute => "NO_ROUTE",
            Self::NoConsumers => "NO_CONSUMERS",
            Self::ConnectionForced => "CONNECTION_FORCED",
            Self::InvalidPath => "INVALID_PATH",
            Self::AccessRefused => "ACCESS_REFUSED",
            Self::NotFound => "NOT_FOUND",
            Self::ResourceLocked => "RESOURCE_LOCKED",
            Self::PreconditionFailed => "PRECONDITION_FAILED",
            Self::FrameError => "FRAME_ERROR",
            Self::SyntaxError => "SYNTAX_ERROR",
            Self::CommandInvalid => "COMMAND_INVALID",
            Self::ChannelError => "CHANNEL_ERROR",
            Self::UnexpectedFrame => "UNEXPECTED_FRAME",
            Self::ResourceError => "RESOURCE_ERROR",
            Self::NotAllowed => "NOT_ALLOWED",
            Self::NotImplemented => "NOT_IMPLEMENTED",
            Self::InternalError => "INTERNAL_ERROR",
        }
    }

    /// Whether it ends the connection, and not only a channel.
    pub fn is_hard(self) -> bool {
        matches!(self, Self::ConnectionForced | Self::InvalidPath) || self.code() >= 500
    }

    /// A text as RabbitMQ words it: the name, and the particulars.
    pub fn text(self, particulars: &str) -> String {
        format!("{} - {particulars}", self.name())
    }
}

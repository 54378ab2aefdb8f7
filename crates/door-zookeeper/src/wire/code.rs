//! Error codes (`KeeperException.Code`).

/// What a reply says went wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i32)]
pub(crate) enum Code {
    /// Of a transaction's operations, those after the one that failed.
    RuntimeInconsistency = -2,
    MarshallingError = -5,
    Unimplemented = -6,
    BadArguments = -8,
    NoNode = -101,
    NoAuth = -102,
    BadVersion = -103,
    NodeExists = -110,
    InvalidAcl = -114,
    AuthFailed = -115,
    NoWatcher = -121,
    ReconfigDisabled = -123,
}

impl Code {
    /// The code on the wire.
    pub(crate) fn number(self) -> i32 {
        self as i32
    }
}

//! The first record of each direction.

use super::jute::{Malformed, Reader, Writer};

/// Bytes of a session's password.
pub(crate) const PASSWORD_BYTES: usize = 16;

/// What a client says first: `int protocolVersion`, `long lastZxidSeen`, `int timeOut`,
/// `long sessionId`, `buffer passwd` and, since 3.4, `bool readOnly`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ConnectRequest<'a> {
    /// The newest state that the client has seen; a server that is behind must not serve it.
    pub(crate) last_zxid_seen: i64,
    /// The session time-out that it wishes, in milliseconds.
    pub(crate) timeout: i32,
    /// The session to go on with; zero asks for a new one.
    pub(crate) session: i64,
    /// That session's password.
    pub(crate) password: &'a [u8],
    /// Whether the client sent `readOnly`, and so expects it in the reply.
    pub(crate) has_read_only: bool,
}

impl<'a> ConnectRequest<'a> {
    pub(crate) fn decode(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(bytes);
        let _protocol_version = reader.int()?;
        let last_zxid_seen = reader.long()?;
        let timeout = reader.int()?;
        let session = reader.long()?;
        let password = reader.buffer()?.unwrap_or_default();
        let has_read_only = reader.boolean().is_ok();
        Ok(Self { last_zxid_seen, timeout, session, password, has_read_only })
    }
}

/// The answer: `int protocolVersion`, `int timeOut`, `long sessionId`, `buffer passwd` and, for a
/// client that sent it, `bool readOnly`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ConnectResponse {
    /// The time-out that was agreed, in milliseconds; zero: the session is gone.
    pub(crate) timeout: i32,
    /// The session.
    pub(crate) session: i64,
    /// Its password.
    pub(crate) password: [u8; PASSWORD_BYTES],
}

impl ConnectResponse {
    /// The session that the client asked for has expired, or never was.
    pub(crate) const EXPIRED: Self = Self { timeout: 0, session: 0, password: [0; PASSWORD_BYTES] };

    /// Appends the whole frame.
    pub(crate) fn encode(&self, has_read_only: bool, out: &mut Writer) {
        out.count(4 + 4 + 8 + 4 + PASSWORD_BYTES + usize::from(has_read_only));
        out.int(0);
        out.int(self.timeout);
        out.long(self.session);
        out.buffer(Some(&self.password));
        if has_read_only {
            out.boolean(false);
        }
    }
}

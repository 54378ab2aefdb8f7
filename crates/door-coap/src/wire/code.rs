//! What a message is: a method, how a response turned out, or a signal (RFC 7252 §12.1, RFC 8132, RFC 8323 §5).

/// A class of three bits and a detail of five, written `c.dd`.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Code(pub(crate) u8);

impl Code {
    pub(crate) const EMPTY: Self = Self(0);

    pub(crate) const GET: Self = Self::new(0, 1);
    pub(crate) const POST: Self = Self::new(0, 2);
    pub(crate) const PUT: Self = Self::new(0, 3);
    pub(crate) const DELETE: Self = Self::new(0, 4);
    pub(crate) const FETCH: Self = Self::new(0, 5);
    pub(crate) const PATCH: Self = Self::new(0, 6);
    pub(crate) const IPATCH: Self = Self::new(0, 7);

    pub(crate) const CREATED: Self = Self::new(2, 1);
    pub(crate) const DELETED: Self = Self::new(2, 2);
    pub(crate) const VALID: Self = Self::new(2, 3);
    pub(crate) const CHANGED: Self = Self::new(2, 4);
    pub(crate) const CONTENT: Self = Self::new(2, 5);
    pub(crate) const CONTINUE: Self = Self::new(2, 31);

    pub(crate) const BAD_REQUEST: Self = Self::new(4, 0);
    pub(crate) const UNAUTHORIZED: Self = Self::new(4, 1);
    pub(crate) const BAD_OPTION: Self = Self::new(4, 2);
    pub(crate) const FORBIDDEN: Self = Self::new(4, 3);
    pub(crate) const NOT_FOUND: Self = Self::new(4, 4);
    pub(crate) const METHOD_NOT_ALLOWED: Self = Self::new(4, 5);
    pub(crate) const NOT_ACCEPTABLE: Self = Self::new(4, 6);
    pub(crate) const ENTITY_INCOMPLETE: Self = Self::new(4, 8);
    pub(crate) const CONFLICT: Self = Self::new(4, 9);
    pub(crate) const PRECONDITION_FAILED: Self = Self::new(4, 12);
    pub(crate) const ENTITY_TOO_LARGE: Self = Self::new(4, 13);
    pub(crate) const UNSUPPORTED_FORMAT: Self = Self::new(4, 15);
    pub(crate) const TOO_MANY_REQUESTS: Self = Self::new(4, 29);

    pub(crate) const INTERNAL_ERROR: Self = Self::new(5, 0);
    pub(crate) const UNAVAILABLE: Self = Self::new(5, 3);
    pub(crate) const GATEWAY_TIMEOUT: Self = Self::new(5, 4);
    pub(crate) const NO_PROXYING: Self = Self::new(5, 5);

    pub(crate) const CSM: Self = Self::new(7, 1);
    pub(crate) const PING: Self = Self::new(7, 2);
    pub(crate) const PONG: Self = Self::new(7, 3);
    pub(crate) const RELEASE: Self = Self::new(7, 4);
    pub(crate) const ABORT: Self = Self::new(7, 5);

    pub(crate) const fn new(class: u8, detail: u8) -> Self {
        Self(class << 5 | detail)
    }

    pub(crate) const fn class(self) -> u8 {
        self.0 >> 5
    }

    pub(crate) const fn detail(self) -> u8 {
        self.0 & 31
    }

    /// A method, one that is not known too.
    pub(crate) const fn is_request(self) -> bool {
        self.class() == 0 && self.detail() != 0
    }

    /// A response that says that all is well.
    pub(crate) const fn is_success(self) -> bool {
        self.class() == 2
    }

    /// A signal of a connection (RFC 8323 §5).
    pub(crate) const fn is_signal(self) -> bool {
        self.class() == 7
    }
}

impl std::fmt::Debug for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{:02}", self.class(), self.detail())
    }
}

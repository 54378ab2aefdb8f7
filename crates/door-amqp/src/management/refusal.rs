//! What a request is told when it is refused: `{"error": ..., "reason": ...}`, as RabbitMQ has it.

use broker::policies::PolicyError;
use broker::queues::QueueError;
use broker::{RuleError, UserError};
use door::http::{Answer, HeaderValue, LoginError, StatusCode, header};
use serde_json::json;

use crate::fault::Fault;
use crate::wire::reply::Reply;

/// A request is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    error: &'static str,
    pub(super) reason: String,
}

impl Refusal {
    fn new(status: StatusCode, error: &'static str, reason: impl Into<String>) -> Self {
        Self { status, error, reason: reason.into() }
    }

    /// It is not as it would have to be.
    pub(super) fn bad(reason: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad_request", reason)
    }

    /// The same, in other words.
    pub(super) fn page(error: &'static str, reason: String) -> Self {
        Self::new(StatusCode::BAD_REQUEST, error, reason)
    }

    /// There is no such thing.
    pub(super) fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "Object Not Found", "Not Found")
    }

    /// There is such a thing, and this cannot be done with it.
    pub(super) fn method() -> Self {
        let reason = "this is not done here";
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", reason)
    }

    /// Rules do not let them.
    pub(super) fn not_allowed(what: &str) -> Self {
        let reason = format!("Access refused: no rule lets this user {what}");
        Self::new(StatusCode::UNAUTHORIZED, "not_authorized", reason)
    }

    /// A page of another site asks.
    pub(super) fn cross_site() -> Self {
        let reason = "a page of another site may not change anything here";
        Self::new(StatusCode::FORBIDDEN, "forbidden", reason)
    }

    /// Not now.
    pub(super) fn unavailable(reason: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "service_unavailable", reason)
    }

    pub(super) fn into_answer(self) -> Answer {
        let body = json!({ "error": self.error, "reason": self.reason });
        let answer = Answer::json(self.status, body.to_string());
        if self.status != StatusCode::UNAUTHORIZED {
            return answer;
        }
        let asks = HeaderValue::from_static("Basic realm=\"RabbitMQ Management\"");
        answer.with(header::WWW_AUTHENTICATE, asks)
    }
}

impl From<Fault> for Refusal {
    fn from(fault: Fault) -> Self {
        match fault.reply {
            Reply::NotFound => Self::new(StatusCode::NOT_FOUND, "Object Not Found", fault.text),
            Reply::AccessRefused => {
                Self::new(StatusCode::UNAUTHORIZED, "not_authorized", fault.text)
            }
            Reply::InternalError => Self::unavailable(fault.text),
            _ => Self::bad(fault.text),
        }
    }
}

impl From<LoginError> for Refusal {
    fn from(error: LoginError) -> Self {
        if let LoginError::Refused(why) = &error {
            tracing::debug!(why, "a management request is not let in");
        }
        Self::new(StatusCode::UNAUTHORIZED, "not_authorized", "Login failed")
    }
}

impl From<UserError> for Refusal {
    fn from(error: UserError) -> Self {
        match error {
            UserError::NotFound => Self::not_found(),
            UserError::Meta(error) => Self::unavailable(error.to_string()),
            error => Self::bad(error.to_string()),
        }
    }
}

impl From<RuleError> for Refusal {
    fn from(error: RuleError) -> Self {
        match error {
            RuleError::Meta(error) => Self::unavailable(error.to_string()),
            error => Self::bad(error.to_string()),
        }
    }
}

impl From<PolicyError> for Refusal {
    fn from(error: PolicyError) -> Self {
        match error {
            PolicyError::NotFound => Self::not_found(),
            PolicyError::Unavailable(why) => Self::unavailable(why),
            error => Self::bad(error.to_string()),
        }
    }
}

/// Something of a queue is refused.
pub(super) fn of_queue(error: &QueueError, name: &[u8], virtual_host: &[u8]) -> Refusal {
    Fault::queue(error, name, virtual_host).into()
}

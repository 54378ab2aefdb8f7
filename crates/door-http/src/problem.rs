//! Why a request fails, as RFC 9457 has it told: `application/problem+json`.

use base::ErrorKind;
use broker::queue::GroupError;
use broker::queues::QueueError;
use broker::remedies::RemedyError;
use broker::store::ReadError;
use broker::{FetchError, ProduceError, TopicError};
use door::http::{Answer, HeaderValue, LoginError, StatusCode, header};
use serde_json::json;

/// A request that fails.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    status: StatusCode,
    /// What is wrong, for people.
    detail: String,
    /// Methods that are allowed, where another was used.
    allow: Option<String>,
}

impl Problem {
    fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self { status, detail: detail.into(), allow: None }
    }

    /// The request is not as it must be.
    pub(crate) fn invalid(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail)
    }

    /// What it names is not there, or not for who asks.
    pub(crate) fn not_found(what: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, what)
    }

    /// Who asks may not do this.
    pub(crate) fn forbidden(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, detail)
    }

    /// There is such a path, but not with this method.
    pub(crate) fn method(allowed: String) -> Self {
        let detail = format!("this path takes {allowed}");
        Self { allow: Some(allowed), ..Self::new(StatusCode::METHOD_NOT_ALLOWED, detail) }
    }

    /// The body is not of a kind that is read here.
    pub(crate) fn media(wanted: &str) -> Self {
        let detail = format!("the body must be {wanted}, and Content-Type must say so");
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail)
    }

    /// What is there already is against it.
    pub(crate) fn conflict(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, detail)
    }

    /// This path speaks another protocol (RFC 9110, section 15.5.22).
    pub(crate) fn upgrade(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UPGRADE_REQUIRED, detail)
    }

    /// Not now.
    pub(crate) fn unavailable(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, detail)
    }

    fn of(kind: ErrorKind, detail: String) -> Self {
        let status = match kind {
            ErrorKind::Invalid => StatusCode::BAD_REQUEST,
            ErrorKind::NotFound => StatusCode::NOT_FOUND,
            ErrorKind::Conflict => StatusCode::CONFLICT,
            ErrorKind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            ErrorKind::Corrupt | ErrorKind::Storage => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self::new(status, detail)
    }

    /// What it says.
    pub(crate) fn json(&self) -> serde_json::Value {
        json!({
            "type": "about:blank",
            "title": self.status.canonical_reason().unwrap_or("Error"),
            "status": self.status.as_u16(),
            "detail": self.detail,
        })
    }

    pub(crate) fn into_answer(self) -> Answer {
        let body = self.json();
        let kind = HeaderValue::from_static("application/problem+json");
        let answer = Answer::json(self.status, body.to_string()).with(header::CONTENT_TYPE, kind);
        let allow = self.allow.and_then(|allow| HeaderValue::from_str(&allow).ok());
        match (self.status, allow) {
            (StatusCode::UNAUTHORIZED, _) => {
                let asks = HeaderValue::from_static("Basic realm=\"Entrepot\", charset=\"UTF-8\"");
                answer.with(header::WWW_AUTHENTICATE, asks)
            }
            (StatusCode::UPGRADE_REQUIRED, _) => {
                let websocket = HeaderValue::from_static("websocket");
                let upgrade = HeaderValue::from_static("Upgrade");
                answer.with(header::UPGRADE, websocket).with(header::CONNECTION, upgrade)
            }
            (_, Some(allow)) => answer.with(header::ALLOW, allow),
            _ => answer,
        }
    }
}

impl From<LoginError> for Problem {
    fn from(error: LoginError) -> Self {
        // Why a login is refused is for the log; whoever guesses learns nothing from it.
        if let LoginError::Refused(why) = &error {
            tracing::debug!(%why, "a login was refused");
        }
        let detail = match error {
            LoginError::Missing => "a name and a password are asked for",
            LoginError::Refused(_) => "the name or the password is wrong",
        };
        Self::new(StatusCode::UNAUTHORIZED, detail)
    }
}

impl From<RemedyError> for Problem {
    fn from(error: RemedyError) -> Self {
        Self::of(error.kind(), error.to_string())
    }
}

impl From<TopicError> for Problem {
    fn from(error: TopicError) -> Self {
        Self::of(error.kind(), error.to_string())
    }
}

impl From<ProduceError> for Problem {
    fn from(error: ProduceError) -> Self {
        match &error {
            ProduceError::TooLarge { .. } => {
                Self::new(StatusCode::PAYLOAD_TOO_LARGE, error.to_string())
            }
            _ => Self::of(error.kind(), error.to_string()),
        }
    }
}

impl From<FetchError> for Problem {
    fn from(error: FetchError) -> Self {
        match &error {
            // As with anything else that is not there (any more, or yet).
            FetchError::Read(ReadError::OutOfRange { .. }) => Self::not_found(error.to_string()),
            _ => Self::of(error.kind(), error.to_string()),
        }
    }
}

impl From<GroupError> for Problem {
    fn from(error: GroupError) -> Self {
        Self::of(error.kind(), error.to_string())
    }
}

impl From<QueueError> for Problem {
    fn from(error: QueueError) -> Self {
        Self::of(error.kind(), error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_says_what_the_standard_has_names_for() {
        let answer = Problem::invalid("no").into_answer();
        assert_eq!(answer.status, StatusCode::BAD_REQUEST);
        assert_eq!(answer.headers["content-type"], "application/problem+json");
        let body: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
        let expected = json!({
            "type": "about:blank", "title": "Bad Request", "status": 400, "detail": "no",
        });
        assert_eq!(body, expected);
    }

    #[test]
    fn who_is_asked_for_a_password_is_told_how_and_who_uses_the_wrong_method_which() {
        let answer = Problem::from(LoginError::Missing).into_answer();
        assert_eq!(
            answer.headers["www-authenticate"],
            "Basic realm=\"Entrepot\", charset=\"UTF-8\""
        );
        let answer = Problem::method("GET, HEAD".to_owned()).into_answer();
        assert_eq!(
            (answer.status.as_u16(), &answer.headers["allow"]),
            (405, &"GET, HEAD".parse().unwrap())
        );
        let wrong = Problem::from(LoginError::Refused("no such user".into())).into_answer();
        assert!(!String::from_utf8_lossy(&wrong.body).contains("no such user"));
    }
}

//! Calls from web pages: gRPC-Web, and what browsers want to know before they let a page call (the Fetch standard, section
//! 3.3).

use hyper::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS,
    ACCESS_CONTROL_REQUEST_METHOD, HeaderMap, HeaderValue, ORIGIN, VARY,
};
use hyper::{Method, Request, Response, StatusCode};
use tonic::body::Body;

/// What a page may read of an answer.
const EXPOSED: &str = "grpc-status, grpc-message, grpc-status-details-bin, grpc-encoding";

/// How long a browser remembers what it was told, in seconds.
const REMEMBERED: &str = "86400";

/// A page that calls, and may.
#[derive(Debug)]
pub(crate) struct Page(HeaderValue);

/// The page that a request is from, if it is from one. A page of another origin than those allowed gets the answer.
pub(crate) fn page(headers: &HeaderMap, allowed: &[String]) -> Result<Option<Page>, Answer> {
    let Some(origin) = headers.get(ORIGIN) else { return Ok(None) };
    let is_it = |allowed: &String| allowed.as_bytes().eq_ignore_ascii_case(origin.as_bytes());
    match allowed.is_empty() || allowed.iter().any(is_it) {
        true => Ok(Some(Page(origin.clone()))),
        false => Err(Box::new(empty(StatusCode::FORBIDDEN))),
    }
}

/// What is answered at once.
pub(crate) type Answer = Box<Response<Body>>;

impl Page {
    /// The answer to a browser that asks whether its page may call, if that is what a request is.
    pub(crate) fn preflight<B>(&self, request: &Request<B>) -> Option<Response<Body>> {
        let headers = request.headers();
        let asks = headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD);
        if request.method() != Method::OPTIONS || !asks {
            return None;
        }
        let mut answer = empty(StatusCode::NO_CONTENT);
        let told = answer.headers_mut();
        told.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("POST"));
        told.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static(REMEMBERED));
        if let Some(fields) = headers.get(ACCESS_CONTROL_REQUEST_HEADERS) {
            told.insert(ACCESS_CONTROL_ALLOW_HEADERS, fields.clone());
        }
        self.allow(&mut answer);
        Some(answer)
    }

    /// Lets the page read an answer.
    pub(crate) fn allow(&self, answer: &mut Response<Body>) {
        let told = answer.headers_mut();
        told.insert(ACCESS_CONTROL_ALLOW_ORIGIN, self.0.clone());
        told.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(EXPOSED));
        told.append(VARY, HeaderValue::from_static("origin"));
    }
}

fn empty(status: StatusCode) -> Response<Body> {
    let mut answer = Response::new(Body::empty());
    *answer.status_mut() = status;
    answer
}

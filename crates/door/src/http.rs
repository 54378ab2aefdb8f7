//! HTTP/1.1 (RFC 9112), for doors that speak it: requests that are all there before they are handled, and bounded in
//! everything.
//!
//! hyper reads and writes. What is added here is what it leaves to others: a deadline for whoever does not read, room
//! for bodies among the requests of all doors, and logins.

mod body;
mod io;
mod login;
mod query;
#[cfg(test)]
mod tests;
mod trace;
mod upgrade;

use std::convert::Infallible;
use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::{TokioIo, TokioTimer};
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::timeout;

pub use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
pub use hyper::{Method, StatusCode};

pub use body::{PIECES_MAX, Pieces, pieces};
pub use io::Impatient;
pub use login::{LoginError, basic_token, log_in, name_said};
pub use query::{Query, escape};
pub use trace::trace_headers;
pub use upgrade::{Socket, Takeover, accept_websocket, asks_for_websocket};

use crate::{Claim, CloseReason, ConnectionRoom, RequestRoom, Stream};

/// Largest head of a request in bytes, with the target and all fields.
const HEAD_BYTES_MAX: usize = 32 * 1024;

/// Fields of a request.
const FIELDS_MAX: usize = 100;

/// How long a head, or a body, may take to arrive, how long a connection may be idle, and how long a client may read
/// nothing of its answer.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// What of a body is not counted, in bytes; what a larger one takes is claimed from what all connections may have
/// together.
const UNCLAIMED_BYTES: usize = 16 * 1024;

/// A request.
#[derive(Debug, Clone)]
pub struct Request {
    /// What is to be done.
    pub method: Method,
    /// The parts of the path, with what was escaped in them (RFC 3986, section 2.1) as it is meant. A slash at the end
    /// adds none.
    pub path: Vec<Bytes>,
    /// What stands behind the question mark.
    pub query: Query,
    /// The fields of the head.
    pub headers: HeaderMap,
    /// The body; most have none.
    pub body: Bytes,
}

impl Request {
    /// Whether a page of another site had a browser send it (the Fetch standard, section 3.2). What changes something is
    /// not done for such a page, which knows no password but may reach what asks for none.
    pub fn is_cross_site(&self) -> bool {
        let Some(origin) = self.headers.get(header::ORIGIN) else { return false };
        let host = self.headers.get(header::HOST).map(HeaderValue::as_bytes).unwrap_or_default();
        let origin = origin.as_bytes();
        let from = origin.windows(3).position(|three| three == b"://").map(|at| at + 3);
        let origin_host = from.and_then(|from| origin.get(from..)).unwrap_or_default();
        origin_host.is_empty() || !origin_host.eq_ignore_ascii_case(host)
    }
}

/// What a request is answered.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status code.
    pub status: StatusCode,
    /// The fields of the head, but for those that HTTP itself needs.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

impl Answer {
    /// Nothing but a status code.
    pub fn empty(status: StatusCode) -> Self {
        Self { status, headers: HeaderMap::new(), body: Bytes::new() }
    }

    /// JSON.
    pub fn json(status: StatusCode, body: impl Into<Bytes>) -> Self {
        let kind = HeaderValue::from_static("application/json");
        let answer = Self { body: body.into(), ..Self::empty(status) };
        answer.with(header::CONTENT_TYPE, kind)
    }

    /// With a field more.
    #[must_use]
    pub fn with(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }
}

/// What a request is answered, of which more may come.
#[derive(Debug)]
pub enum Reply {
    /// All of it is there.
    Whole(Answer),
    /// The rest comes piece by piece, until whoever sends it is done. It should be soon when the broker stops.
    Stream(Answer, Pieces),
    /// After it the connection speaks something else: [`accept_websocket`].
    Upgrade(Answer, Takeover),
}

impl From<Answer> for Reply {
    fn from(answer: Answer) -> Self {
        Self::Whole(answer)
    }
}

impl Reply {
    fn into_response(self) -> (hyper::Response<body::Outgoing>, Option<Takeover>) {
        let (answer, more, takeover) = match self {
            Self::Whole(answer) => (answer, None, None),
            Self::Stream(answer, more) => (answer, Some(more), None),
            Self::Upgrade(answer, takeover) => (answer, None, Some(takeover)),
        };
        let mut response = hyper::Response::new(body::Outgoing::new(answer.body, more));
        *response.status_mut() = answer.status;
        *response.headers_mut() = answer.headers;
        (response, takeover)
    }
}

/// What HTTP is spoken over: parts of a [`Connection`](crate::Connection).
#[derive(Debug)]
pub struct Transport {
    /// The bytes.
    pub stream: Stream,
    /// Room for bodies.
    pub room: RequestRoom,
    /// Turns true when the broker is stopping.
    pub stopping: watch::Receiver<bool>,
}

/// Answers the requests of one connection, one after the other, until either side ends it. `admit` says of a request
/// without its body whose it is; nothing is read of the body of who is refused. A body of more than `body_bytes_max` bytes is
/// refused, too.
///
/// # Errors
/// The client broke the protocol, was too slow, or its memory was needed by others.
pub async fn serve<A, G, L, H, F>(
    transport: Transport,
    body_bytes_max: usize,
    admit: A,
    handle: H,
) -> Result<(), CloseReason>
where
    A: Fn(Request) -> G,
    G: Future<Output = Result<L, Answer>>,
    H: Fn(L, Request) -> F,
    F: Future<Output: Into<Reply>>,
{
    let Transport { stream, room, mut stopping } = transport;
    let room = room.of_connection();
    let eviction = room.eviction();
    let taken: Mutex<Option<(OnUpgrade, Takeover)>> = Mutex::new(None);
    let (room, admit, handle, taking) = (&room, &admit, &handle, &taken);
    let service = service_fn(move |mut request: hyper::Request<Incoming>| async move {
        let upgrade = hyper::upgrade::on(&mut request);
        let (head, body) = taken_apart(request);
        let reply = match admit(head.clone()).await {
            Ok(login) => {
                let handle = |request| handle(login, request);
                answer((head, body), (room, body_bytes_max), handle).await
            }
            Err(refused) => refused.into(),
        };
        let (response, takeover) = reply.into_response();
        if let Some(takeover) = takeover {
            *taking.lock() = Some((upgrade, takeover));
        }
        Ok::<_, Infallible>(response)
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(PATIENCE)
        .max_buf_size(HEAD_BYTES_MAX)
        .max_headers(FIELDS_MAX);
    let stream = TokioIo::new(Impatient::new(stream, PATIENCE));
    let mut serving = pin!(http.serve_connection(stream, service).with_upgrades());
    let mut is_stopping = false;
    loop {
        tokio::select! {
            served = serving.as_mut() => {
                served.map_err(reason)?;
                break;
            }
            // An error is the listener's end, which is the same.
            _ = stopping.wait_for(|stop| *stop), if !is_stopping => {
                is_stopping = true;
                serving.as_mut().graceful_shutdown();
            }
            () = eviction.happens() => {
                let why = "others wait for the memory of a request that does not end";
                return Err(CloseReason::Limit(why.into()));
            }
        }
    }
    let Some((upgrade, takeover)) = taken.lock().take() else { return Ok(()) };
    let upgraded = upgrade.await.map_err(reason)?;
    let socket = takeover.socket(upgraded);
    (takeover.run)(socket).await;
    Ok(())
}

/// Why a connection ended badly.
fn reason(error: hyper::Error) -> CloseReason {
    if error.is_timeout() {
        return CloseReason::Idle(PATIENCE);
    }
    if error.is_parse() || error.is_parse_too_large() {
        return CloseReason::Protocol(error.to_string());
    }
    CloseReason::Io(std::io::Error::other(error))
}

/// A request whose body is not there yet.
fn taken_apart(request: hyper::Request<Incoming>) -> (Request, Incoming) {
    let (head, body) = request.into_parts();
    let request = Request {
        method: head.method,
        path: query::path(head.uri.path()),
        query: Query::parse(head.uri.query().unwrap_or_default()),
        headers: head.headers,
        body: Bytes::new(),
    };
    (request, body)
}

async fn answer<H, F>(
    (head, body): (Request, Incoming),
    (room, body_bytes_max): (&ConnectionRoom, usize),
    handle: H,
) -> Reply
where
    H: FnOnce(Request) -> F,
    F: Future<Output: Into<Reply>>,
{
    let mut claim = Claim::default();
    let collecting = collect(body, room, &mut claim, body_bytes_max);
    let body = match timeout(PATIENCE, collecting).await {
        Ok(Ok(body)) => body,
        Ok(Err(status)) => return last(status).into(),
        Err(_elapsed) => return last(StatusCode::REQUEST_TIMEOUT).into(),
    };
    // From here on it is not the client that takes its time.
    let _claim = claim.at_work();
    handle(Request { body, ..head }).await.into()
}

/// Nothing comes after it: where the next request begins is not known.
fn last(status: StatusCode) -> Answer {
    Answer::empty(status).with(header::CONNECTION, HeaderValue::from_static("close"))
}

/// All of a body.
///
/// # Errors
/// It is too large, or not what HTTP says it should be.
async fn collect(
    mut body: Incoming,
    room: &ConnectionRoom,
    claim: &mut Claim,
    bytes_max: usize,
) -> Result<Bytes, StatusCode> {
    let too_large = |bytes: u64| bytes > u64::try_from(bytes_max).unwrap_or(u64::MAX);
    // What was announced is not begun with, if it cannot be taken.
    if too_large(body.size_hint().lower()) {
        return Err(StatusCode::PAYLOAD_TOO_LARGE);
    }
    let mut all = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| StatusCode::BAD_REQUEST)?;
        // Fields behind the body say nothing here.
        let Ok(data) = frame.into_data() else { continue };
        let bytes = all.len() + data.len();
        if bytes > bytes_max {
            return Err(StatusCode::PAYLOAD_TOO_LARGE);
        }
        if bytes > UNCLAIMED_BYTES {
            room.grow(claim, bytes).await;
        }
        all.extend_from_slice(&data);
    }
    Ok(all.freeze())
}

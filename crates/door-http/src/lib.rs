//! HTTP: what there is and how it is doing, for people and for Prometheus; administration; publishing and consuming for
//! programs that speak nothing else.
//!
//! Every route is on one page (`routes.rs`), from which the OpenAPI document is made. What works and what does not:
//! `docs/doors/http.md`.

mod ask;
mod console;
mod fields;
mod handle;
mod map;
mod openapi;
mod problem;
mod routes;
mod schema;
mod sse;

use std::fmt::{self, Debug, Formatter};
use std::sync::Arc;

use base::Principal;
use broker::Broker;
use door::http::{self, Answer, Method, Reply, Request, StatusCode, Transport, header};
use door::{BoxFuture, CloseReason, Connection, Door, DoorFigures, Logins, RequestFigures};
use tokio::sync::{Mutex, watch};
use tokio::time::Instant;

use ask::Ask;
use problem::Problem;
use routes::{Found, Login};

/// The door's name, and its connections', to those who look.
const NAME: &str = "http";

/// How the door treats requests.
#[derive(Debug, Clone, Copy)]
pub struct HttpDoorOptions {
    /// Largest body, in bytes.
    pub body_bytes_max: usize,
    /// Metrics without details are shown to everybody, where others log in.
    pub open_metrics: bool,
}

impl Default for HttpDoorOptions {
    fn default() -> Self {
        Self { body_bytes_max: 16 * 1024 * 1024, open_metrics: false }
    }
}

/// The HTTP door.
pub struct HttpDoor {
    shared: Arc<Shared>,
}

impl HttpDoor {
    /// For clients of `broker`.
    pub fn new(broker: Broker, options: HttpDoorOptions) -> Self {
        let figures = DoorFigures::new(broker.observe(), NAME);
        let requests = RequestFigures::new(broker.observe(), NAME, routes::ROUTES.len());
        let bundling = Mutex::default();
        Self { shared: Arc::new(Shared { broker, options, figures, requests, bundling }) }
    }
}

impl Debug for HttpDoor {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpDoor").finish_non_exhaustive()
    }
}

impl Door for HttpDoor {
    fn name(&self) -> &'static str {
        NAME
    }

    fn serve(self: Arc<Self>, connection: Connection) -> BoxFuture<Result<(), CloseReason>> {
        Box::pin(serve(Arc::clone(&self.shared), connection))
    }
}

/// What the door's connections share.
#[derive(Debug)]
struct Shared {
    broker: Broker,
    options: HttpDoorOptions,
    figures: DoorFigures,
    requests: RequestFigures,
    /// Who makes an archive of what is known.
    bundling: Mutex<()>,
}

/// What comes of a request.
type Outcome = Result<Reply, Problem>;

/// Whose requests these are, as far as the connection says it.
struct Guest {
    shared: Arc<Shared>,
    logins: Option<Arc<Logins>>,
    transport: Principal,
    host: Arc<str>,
    stopping: watch::Receiver<bool>,
}

async fn serve(shared: Arc<Shared>, connection: Connection) -> Result<(), CloseReason> {
    let Connection { stream, peer, principal, logins, room, stopping, .. } = connection;
    let host = peer.ip().to_canonical().to_string().into();
    let bytes_max = shared.options.body_bytes_max;
    let transport = Transport { stream, room, stopping: stopping.clone() };
    let guest = Guest { shared, logins, transport: principal, host, stopping };
    let guest = &guest;
    let admit = move |head| admit(guest, head);
    let answer = move |admitted, request| answer(guest, admitted, request);
    http::serve(transport, bytes_max, admit, answer).await
}

/// A request that may be looked at, and whose it is.
struct Admitted {
    since: Instant,
    found: Found,
    login: door::sasl::Login,
    /// Nobody was asked who they are.
    is_open: bool,
}

/// Looks at a request without its body.
async fn admit(guest: &Guest, head: Request) -> Result<Admitted, Answer> {
    let since = Instant::now();
    let found = routes::find(&head).map_err(Problem::into_answer)?;
    let (number, route) = (found.number, found.route);
    // Boxed: what a login needs does not stay with an idle connection.
    let admitted = Box::pin(check(guest, &head, found, since)).await;
    admitted.map_err(|problem| {
        let requests = &guest.shared.requests;
        requests.answered(number, route.operation, Some(since.elapsed()));
        requests.failed(number, route.operation);
        problem.into_answer()
    })
}

async fn check(
    guest: &Guest,
    head: &Request,
    found: Found,
    since: Instant,
) -> Result<Admitted, Problem> {
    let is_open = match found.route.login {
        Login::Never => true,
        Login::UnlessOpen => guest.shared.options.open_metrics,
        Login::Always => false,
    };
    let logins = guest.logins.as_ref().filter(|_| !is_open);
    let login = http::log_in(logins, &guest.transport, &head.headers).await?;
    let is_reading = matches!(head.method, Method::GET | Method::HEAD);
    if !is_reading && head.is_cross_site() {
        return Err(Problem::forbidden("a page of another site sent this"));
    }
    // Names can be made to lead to us: then a page of another site is one of ours to its browser.
    if guest.logins.is_none() && is_of_page(head) && !is_own_name(head) {
        let why = "where no logins are asked for, pages reach this door by its address, by localhost, or by a \
                   name without dots";
        return Err(Problem::forbidden(why));
    }
    Ok(Admitted { since, found, login, is_open })
}

/// Whether a browser sent it for a page (the Fetch standard; Fetch Metadata).
fn is_of_page(head: &Request) -> bool {
    head.headers.contains_key(header::ORIGIN) || head.headers.contains_key("sec-fetch-site")
}

/// Whether it was sent to a name that nobody else can have.
fn is_own_name(head: &Request) -> bool {
    let host = head.headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let Some(host) = host else { return false };
    if host.starts_with('[') {
        return true;
    }
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    let is_plain = !name.is_empty() && !name.contains('.');
    is_plain || name.parse::<std::net::Ipv4Addr>().is_ok()
}

async fn answer(guest: &Guest, admitted: Admitted, request: Request) -> Reply {
    let Admitted { since, found: Found { number, route, parts }, login, is_open } = admitted;
    let is_head = request.method == Method::HEAD;
    let ask = Ask {
        shared: Arc::clone(&guest.shared),
        actor: guest.shared.broker.actor(login.principal, Arc::clone(&guest.host)),
        request,
        parts,
        stopping: guest.stopping.clone(),
        is_open,
    };
    // What a request needs is in a box already: that does not stay with an idle connection.
    let outcome = match route.check(&ask.request.query) {
        Ok(()) => (route.handle)(&ask).await,
        Err(problem) => Err(problem),
    };
    // Of one that waits for messages, most of the time is what it waited for.
    let took = (!route.waits).then(|| since.elapsed());
    guest.shared.requests.answered(number, route.operation, took);
    if outcome.is_err() {
        guest.shared.requests.failed(number, route.operation);
    }
    let reply = outcome.unwrap_or_else(|problem| problem.into_answer().into());
    match reply {
        // Nothing is streamed to who only asks for the head.
        Reply::Stream(answer, _) if is_head => answer.into(),
        Reply::Upgrade(..) if is_head => {
            Problem::invalid("nothing is upgraded for the head").into_answer().into()
        }
        reply => reply,
    }
}

/// JSON, and that it went well.
fn told(json: &serde_json::Value) -> Reply {
    Answer::json(StatusCode::OK, json.to_string()).into()
}

/// It is done, and there is nothing to say.
fn done() -> Reply {
    Answer::empty(StatusCode::NO_CONTENT).into()
}

/// Text of some kind.
fn text(kind: &'static str, body: impl Into<bytes::Bytes>) -> Reply {
    let answer = Answer { body: body.into(), ..Answer::empty(StatusCode::OK) };
    answer.with(header::CONTENT_TYPE, http::HeaderValue::from_static(kind)).into()
}

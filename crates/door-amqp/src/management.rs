//! RabbitMQ's management API over HTTP, as far as tools and tests call it: what there is, declaring and deleting it,
//! looking at messages. Names, types and status codes are RabbitMQ 4's; what there is no figure for is left out.
//!
//! What works and what does not: `docs/doors/amqp.md`.

mod bindings;
mod body;
mod connections;
mod definitions;
mod exchanges;
mod json;
mod messages;
mod overview;
mod page;
mod permissions;
mod policies;
mod queues;
mod rates;
mod refusal;
mod routes;
mod stats;
#[cfg(test)]
mod tests;
mod users;
mod virtual_hosts;

use std::collections::BTreeMap;
use std::fmt::{self, Debug, Formatter};
use std::sync::Arc;

use base::Principal;
use broker::PublisherId;
use broker::access::{Actor, Operation};
use bytes::Bytes;
use door::http::{self, Answer, Method, Reply, Request, StatusCode, Transport, header};
use door::sasl::Login;
use door::{BoxFuture, CloseReason, Connection, Door, Logins};
use serde_json::Value as Json;

use self::body::Body;
pub(crate) use self::rates::Rates;
use self::refusal::Refusal;
use crate::Shared;
use crate::handle::Caller;
use crate::limits::{MANAGEMENT_BODY_BYTES_MAX, MANAGEMENT_VALUES_MAX};

/// The management API of an [`AmqpDoor`](crate::AmqpDoor), as a door of its own.
pub struct AmqpManagement {
    shared: Arc<Shared>,
}

impl AmqpManagement {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }
}

impl Debug for AmqpManagement {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_struct("AmqpManagement").finish_non_exhaustive()
    }
}

impl Door for AmqpManagement {
    fn name(&self) -> &'static str {
        "amqp-management"
    }

    fn serve(self: Arc<Self>, connection: Connection) -> BoxFuture<Result<(), CloseReason>> {
        Box::pin(serve(Arc::clone(&self.shared), connection))
    }
}

/// What comes of a request.
type Outcome = Result<Reply, Refusal>;

/// Whose requests these are, as far as the connection says it.
struct Guest {
    shared: Arc<Shared>,
    logins: Option<Arc<Logins>>,
    transport: Principal,
    host: Arc<str>,
}

async fn serve(shared: Arc<Shared>, connection: Connection) -> Result<(), CloseReason> {
    let Connection { stream, peer, principal, logins, room, stopping, .. } = connection;
    let host = peer.ip().to_string().into();
    let guest = Guest { shared, logins, transport: principal, host };
    let (guest, transport) = (&guest, Transport { stream, room, stopping });
    let admit = move |head| admit(guest, head);
    let answer = move |login, request| answer(guest, login, request);
    http::serve(transport, MANAGEMENT_BODY_BYTES_MAX, admit, answer).await
}

async fn admit(guest: &Guest, head: Request) -> Result<Login, Answer> {
    let login = http::log_in(guest.logins.as_ref(), &guest.transport, &head.headers);
    let login = Box::pin(login).await;
    login.map_err(|error| Refusal::from(error).into_answer())
}

async fn answer(guest: &Guest, login: Login, request: Request) -> Reply {
    // Boxed: what a request needs does not stay with an idle connection.
    match Box::pin(handle(guest, login, request)).await {
        Ok(answer) => answer,
        Err(refusal) => refusal.into_answer().into(),
    }
}

async fn handle(guest: &Guest, login: Login, request: Request) -> Outcome {
    let Guest { shared, logins, host, .. } = guest;
    let is_reading = matches!(request.method, Method::GET | Method::HEAD);
    // Where nobody asks for a password, no page of any site has a business here: names can be made to lead to us.
    let is_page = logins.is_none() && request.headers.contains_key(header::ORIGIN);
    if !is_reading && (is_page || request.is_cross_site()) {
        return Err(Refusal::cross_site());
    }
    shared.spaces.prepare().await.map_err(|error| Refusal::unavailable(error.to_string()))?;
    let is_open = logins.is_none();
    let configured = logins.as_ref().map(|logins| &logins.options().plain_users.0);
    let said = http::name_said(&request.headers).filter(|_| is_open);
    let user = said.unwrap_or_else(|| login.principal.name.to_string());
    let ask = Ask {
        shared,
        actor: shared.broker.actor(login.principal, Arc::clone(host)),
        user,
        is_open,
        configured,
        owner: shared.broker.new_publisher(),
        request,
    };
    routes::route(&ask).await
}

/// A request, and who asks.
struct Ask<'a> {
    shared: &'a Shared,
    actor: Actor,
    /// The name of the user; where nobody asks who it is, the one that the client says.
    user: String,
    is_open: bool,
    /// Users with their passwords, from the configuration.
    configured: Option<&'a BTreeMap<String, String>>,
    /// Of nothing: what others have for themselves is not theirs.
    owner: PublisherId,
    request: Request,
}

/// A virtual host.
struct Host {
    name: Bytes,
    /// Its namespace.
    space: Bytes,
}

impl Ask<'_> {
    /// The method; what asks for the head alone asks for the same.
    fn verb(&self) -> &str {
        match &self.request.method {
            &Method::HEAD => "GET",
            method => method.as_str(),
        }
    }

    /// A virtual host.
    fn host(&self, name: &[u8]) -> Result<Host, Refusal> {
        let space = self.shared.spaces.find(name).ok_or_else(Refusal::not_found)?;
        Ok(Host { name: Bytes::copy_from_slice(name), space })
    }

    /// Who asks, and in which virtual host.
    fn caller<'a>(&'a self, host: &'a Host) -> Caller<'a> {
        Caller {
            broker: &self.shared.broker,
            actor: &self.actor,
            virtual_host: &host.name,
            space: &host.space,
            owner: self.owner,
        }
    }

    /// The body, which is a JSON object, or nothing.
    fn body(&self) -> Result<Body, Refusal> {
        Body::parse(&self.request.body, MANAGEMENT_VALUES_MAX)
    }

    /// Whether they may know of a queue or an exchange.
    fn sees(&self, name: &[u8]) -> bool {
        self.actor.is_free()
            || self.actor.may_topic(Operation::Describe, &String::from_utf8_lossy(name))
    }

    /// Whether they may know of what is not theirs.
    fn is_monitor(&self) -> bool {
        self.actor.may_cluster(Operation::Describe)
    }

    /// Whether they may change what is everybody's.
    fn is_administrator(&self) -> bool {
        self.actor.may_cluster(Operation::Alter)
    }

    /// Only who may know of what is not theirs goes on.
    fn check_monitor(&self) -> Result<(), Refusal> {
        self.is_monitor().then_some(()).ok_or_else(|| Refusal::not_allowed("describe the cluster"))
    }

    /// Only who may change what is everybody's goes on.
    fn check_administrator(&self) -> Result<(), Refusal> {
        self.is_administrator()
            .then_some(())
            .ok_or_else(|| Refusal::not_allowed("alter the cluster"))
    }
}

/// The name of the virtual host of a namespace.
fn host_name(space: &[u8]) -> &[u8] {
    if space.is_empty() { b"/" } else { space }
}

/// Bytes as JSON has them.
fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// JSON, and that it went well.
fn told(json: &Json) -> Reply {
    Answer::json(StatusCode::OK, json.to_string()).into()
}

/// Whether it was made, or there already.
fn made(is_new: bool) -> Reply {
    Answer::empty(if is_new { StatusCode::CREATED } else { StatusCode::NO_CONTENT }).into()
}

/// It is done, and there is nothing to say.
fn done() -> Reply {
    Answer::empty(StatusCode::NO_CONTENT).into()
}

//! A connection, as its calls see it, and who is calling.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use broker::access::{Actor, Operation};
use broker::live::RouteCache;
use broker::{Broker, PublisherId};
use bytes::Bytes;
use door::sasl::{Login, Mechanism, Step};
use door::{About, Connection, ConnectionRoom, Logins, Stream};
use hyper::header::{AUTHORIZATION, HeaderMap, HeaderValue, USER_AGENT};
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};
use tonic::Status;

use crate::inbox::Inbox;
use crate::{Shared, map};

/// A connection.
pub(crate) struct Client {
    pub(crate) shared: Arc<Shared>,
    pub(crate) publisher: PublisherId,
    pub(crate) host: Arc<str>,
    pub(crate) room: ConnectionRoom,
    /// Turns true when the broker is stopping.
    pub(crate) stopping: watch::Receiver<bool>,
    /// Who the transport says it is.
    nobody: Actor,
    logins: Option<Arc<Logins>>,
    /// For those who look.
    about: About,
    is_known: AtomicBool,
    /// Who called last: the same one calls again and again, and a password takes long to check.
    known: Mutex<Option<Known>>,
    /// Of messages that calls publish one by one.
    pub(crate) routes: Mutex<RouteCache>,
    /// Where answers come, once something was asked.
    pub(crate) inbox: Mutex<Option<Arc<Inbox>>>,
}

/// Somebody who logged in.
#[derive(Debug)]
struct Known {
    said: HeaderValue,
    actor: Actor,
    until: Option<Instant>,
}

impl Client {
    pub(crate) fn new(shared: Arc<Shared>, connection: Connection) -> (Arc<Self>, Stream) {
        let Connection { stream, peer, principal, logins, room, stopping, about, .. } = connection;
        let host: Arc<str> = peer.ip().to_string().into();
        let broker = &shared.broker;
        let client = Self {
            publisher: broker.new_publisher(),
            nobody: broker.actor(principal, Arc::clone(&host)),
            routes: Mutex::new(broker.new_route_cache(&map::NAMES)),
            host,
            room: room.of_connection(),
            stopping,
            logins,
            about,
            is_known: AtomicBool::new(false),
            known: Mutex::default(),
            inbox: Mutex::default(),
            shared,
        };
        (Arc::new(client), stream)
    }

    /// Who makes a call with these fields.
    ///
    /// # Errors
    /// UNAUTHENTICATED, held back to slow guessing down.
    pub(crate) async fn actor(&self, headers: &HeaderMap) -> Result<Actor, Status> {
        let Some(logins) = &self.logins else {
            self.says(headers, &self.nobody);
            return Ok(self.nobody.clone());
        };
        let Some(said) = headers.get(AUTHORIZATION) else {
            return Err(Status::unauthenticated("the metadata has no 'authorization'"));
        };
        if let Some(known) = self.known(said) {
            return Ok(known);
        }
        match log_in(logins, said).await {
            Ok(Login { principal, lifetime }) => {
                let actor = self.shared.broker.actor(principal, Arc::clone(&self.host));
                self.says(headers, &actor);
                let until = lifetime.map(|lifetime| Instant::now() + lifetime);
                let known = Known { said: said.clone(), actor: actor.clone(), until };
                *self.known.lock() = Some(known);
                Ok(actor)
            }
            Err(why) => {
                tracing::debug!(host = %self.host, why, "login refused");
                sleep(logins.options().failure_delay).await;
                Err(Status::unauthenticated("the login was refused"))
            }
        }
    }

    /// Tells those who look whose connection it is: by the first call, or the last who logged in.
    fn says(&self, headers: &HeaderMap, actor: &Actor) {
        if self.logins.is_none() && self.is_known.swap(true, Ordering::Relaxed) {
            return;
        }
        self.about.user(actor.principal());
        let client = headers.get(USER_AGENT).and_then(|client| client.to_str().ok());
        self.about.say("client", client.unwrap_or_default());
    }

    fn known(&self, said: &HeaderValue) -> Option<Actor> {
        let known = self.known.lock();
        let is_it = |known: &&Known| {
            known.said == *said && known.until.is_none_or(|until| Instant::now() < until)
        };
        known.as_ref().filter(is_it).map(|known| known.actor.clone())
    }
}

/// Names and passwords (RFC 7617), and tokens (RFC 6750).
async fn log_in(logins: &Arc<Logins>, said: &HeaderValue) -> Result<Login, String> {
    let text = said.to_str().map_err(|_| "'authorization' is no text")?;
    let (scheme, rest) = text.split_once(' ').ok_or("'authorization' has no scheme")?;
    let (mechanism, token) = if scheme.eq_ignore_ascii_case("basic") {
        (Mechanism::Plain, door::http::basic_token(rest).ok_or("no name and password")?)
    } else if scheme.eq_ignore_ascii_case("bearer") {
        let message = format!("n,,\x01auth=Bearer {}\x01\x01", rest.trim());
        (Mechanism::OauthBearer, message.into_bytes())
    } else {
        return Err("neither Basic nor Bearer".to_owned());
    };
    let exchange = logins.begin(mechanism);
    let mut exchange = exchange.ok_or_else(|| format!("{} is not offered", mechanism.name()))?;
    match exchange.step(&token).await {
        Ok(Step::Done(_, login)) => Ok(login),
        Ok(Step::Continue(_)) => Err(format!("{} was refused", mechanism.name())),
        Err(refusal) => Err(refusal.why),
    }
}

/// Who is calling, until when. Goes with each call.
#[derive(Clone)]
pub(crate) struct Caller {
    pub(crate) client: Arc<Client>,
    pub(crate) actor: Actor,
    /// When the client does not wait any longer.
    pub(crate) deadline: Option<Instant>,
    /// The trace that the call is part of, as headers of what it publishes; most often none.
    pub(crate) trace: Vec<(Bytes, Option<Bytes>)>,
}

impl Caller {
    /// Who makes a call.
    pub(crate) fn of<T>(request: &tonic::Request<T>) -> Result<Self, Status> {
        let found = request.extensions().get::<Self>().cloned();
        found.ok_or_else(|| Status::internal("nobody is calling"))
    }

    pub(crate) fn broker(&self) -> &Broker {
        &self.client.shared.broker
    }

    /// Refuses what the rules do not let somebody do with a topic, a queue or a subject.
    pub(crate) fn check_topic(&self, operation: Operation, name: &str) -> Result<(), Status> {
        match self.actor.may_topic(operation, name) {
            true => Ok(()),
            false => Err(map::denied(operation, name)),
        }
    }

    /// The same for a subscription, which is a group.
    pub(crate) fn check_group(&self, operation: Operation, name: &str) -> Result<(), Status> {
        match self.actor.may_group(operation, name) {
            true => Ok(()),
            false => Err(map::denied(operation, name)),
        }
    }

    /// Waits until the broker stops.
    pub(crate) async fn stopped(&self) -> Status {
        let mut stopping = self.client.stopping.clone();
        // An error is the listener's end, which is the same.
        let _ended = stopping.wait_for(|stop| *stop).await.is_err();
        Status::unavailable("the broker is stopping")
    }
}

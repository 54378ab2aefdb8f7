//! The beginning of a connection: CONNECT, a login, and the answer.

use std::net::IpAddr;
use std::sync::Arc;

use base::Principal;
use broker::access::{Actor, Operation};
use broker::sessions::{Session as Kept, SessionError};
use door::sasl::{Login, Logins, Refusal};
use door::{CloseReason, Stream};
use tokio::time::Instant;

use crate::limits::{CONNECT_BYTES_MAX, INFLIGHT_MAX, OLD_INFLIGHT_MAX};
use crate::login::{Progress, Steps, by_password};
use crate::session::outbound::Allowance;
use crate::session::{Expiry, Session, Terms};
use crate::socket::Socket;
use crate::will::Will;
use crate::wire::close::Auth;
use crate::wire::connack::{Connack, ConnackProperties};
use crate::wire::connect::{Connect, Protocol, ProtocolError};
use crate::wire::header::{Kind, REMAINING_MAX};
use crate::wire::reader::Reader;
use crate::wire::reason::Reason;
use crate::wire::{Version, WireError};
use crate::{Shared, map};

/// Whoever has connected.
#[derive(Debug)]
pub(crate) struct Visitor {
    pub(crate) principal: Principal,
    pub(crate) host: IpAddr,
    pub(crate) logins: Option<Arc<Logins>>,
}

/// A client that was let in, and attached to its session.
#[derive(Debug)]
pub(crate) struct Greeting {
    pub(crate) session: Arc<Session>,
    /// Where the session's queue is taken from, if it has one.
    pub(crate) kept: Option<Kept>,
    pub(crate) number: u64,
    pub(crate) version: Version,
    pub(crate) is_bridge: bool,
    pub(crate) keep_alive: u16,
    pub(crate) actor: Actor,
    pub(crate) logins: Option<Arc<Logins>>,
    /// Largest packet that the client takes, in bytes.
    pub(crate) packet_bytes_max: usize,
    pub(crate) method: Option<Box<str>>,
    pub(crate) login_ends: Option<Instant>,
}

/// Why a client is not let in, and what it is told.
struct Refused {
    reason: Reason,
    close: CloseReason,
}

impl From<WireError> for Refused {
    fn from(error: WireError) -> Self {
        Self { reason: error.reason(), close: CloseReason::Protocol(error.to_string()) }
    }
}

impl From<std::io::Error> for Refused {
    fn from(error: std::io::Error) -> Self {
        Self { reason: Reason::UNSPECIFIED, close: error.into() }
    }
}

impl From<SessionError> for Refused {
    fn from(error: SessionError) -> Self {
        let reason = map::session_refusal(&error);
        Self { reason, close: CloseReason::Limit(error.to_string()) }
    }
}

impl Refused {
    fn new(reason: Reason, why: &str) -> Self {
        Self { reason, close: CloseReason::Protocol(why.into()) }
    }

    fn login(reason: Reason, why: &str) -> Self {
        Self { reason, close: CloseReason::Login(why.into()) }
    }
}

/// Lets a client in, or answers why not. None if it is gone.
pub(crate) async fn hello(
    shared: &Arc<Shared>,
    socket: &mut Socket<Stream>,
    visitor: Visitor,
) -> Result<Option<Greeting>, CloseReason> {
    let max = CONNECT_BYTES_MAX.min(shared.options.packet_bytes_max);
    let packets = socket.receive(max).await?;
    let Some(mut packets) = packets.map_err(protocol)? else { return Ok(None) };
    let Some(packet) = packets.next(max).map_err(protocol)? else { return Ok(None) };
    if packet.header.kind != Kind::Connect {
        return Err(CloseReason::Protocol("the first packet is no CONNECT".into()));
    }
    packet.header.check(Version::V4).map_err(protocol)?;
    let mut reader = Reader::new(packets.body(&packet));
    let protocol = match Protocol::decode(&mut reader) {
        Ok(protocol) => protocol,
        Err(ProtocolError::Wire(error)) => return Err(CloseReason::Protocol(error.to_string())),
        Err(ProtocolError::Version) => {
            // In a form that every client can read.
            let _closed = socket.close(&refusal(Version::V4, Reason::UNSUPPORTED_VERSION)).await;
            return Err(CloseReason::Protocol("a version that is not spoken".into()));
        }
    };
    socket.put_back(&packets);
    let entering = Entering { shared, socket, visitor, protocol };
    match entering.enter(reader).await {
        Ok(greeting) => Ok(Some(greeting)),
        Err(Refused { reason, close }) => {
            let _closed = socket.close(&refusal(protocol.version, reason)).await;
            Err(close)
        }
    }
}

#[allow(clippy::needless_pass_by_value, reason = "for map_err")]
fn protocol(error: WireError) -> CloseReason {
    CloseReason::Protocol(error.to_string())
}

/// A CONNACK that refuses; nothing where an old version has no word for it, or the client would not be able to
/// read it anyway.
fn refusal(version: Version, reason: Reason) -> Vec<u8> {
    let mut out = Vec::new();
    if matches!(reason, Reason::MALFORMED_PACKET | Reason::PACKET_TOO_LARGE) {
        return out;
    }
    if let Some(code) = reason.connack(version) {
        let properties = (version == Version::V5).then(ConnackProperties::default);
        Connack { session_present: false, code, properties }.encode(&mut out);
    }
    out
}

/// A connection whose client has said which version it speaks.
struct Entering<'a> {
    shared: &'a Arc<Shared>,
    socket: &'a mut Socket<Stream>,
    visitor: Visitor,
    protocol: Protocol,
}

impl Entering<'_> {
    async fn enter(mut self, mut reader: Reader<'_>) -> Result<Greeting, Refused> {
        let version = self.protocol.version;
        let connect = Connect::decode(version, &mut reader)?;
        let needs_id = match version {
            Version::V3 => true,
            Version::V4 => !connect.clean_start,
            Version::V5 => false,
        };
        if connect.client_id.is_empty() && needs_id {
            return Err(Refused::new(Reason::CLIENT_ID_INVALID, "no client identifier"));
        }
        let (last, login) = self.login(&connect).await?;
        let host = self.visitor.host.to_string();
        let actor = self.shared.broker.actor(login.principal, host.into());
        self.check_will(&connect, &actor)?;
        let entered = Entered { last, actor, lifetime: login.lifetime };
        self.attach(&connect, entered).await
    }

    fn check_will(&self, connect: &Connect<'_>, actor: &Actor) -> Result<(), Refused> {
        let Some(will) = &connect.will else { return Ok(()) };
        let subject = map::NAMES.subject(will.topic.as_bytes());
        let subject = subject.map_err(|_| Refused::from(WireError::TopicName))?;
        if map::is_reserved(will.topic) || !actor.may_subject(Operation::Write, &subject) {
            return Err(Refused::login(Reason::NOT_AUTHORIZED, "a will that may not be published"));
        }
        if will.properties.is_text && std::str::from_utf8(will.payload).is_err() {
            let why = "a will that is not the text that it is said to be";
            return Err(Refused::new(Reason::PAYLOAD_FORMAT_INVALID, why));
        }
        Ok(())
    }

    /// Finds out who it is. What the client is told at last, if it logged in by steps.
    async fn login(&mut self, connect: &Connect<'_>) -> Result<(Vec<u8>, Login), Refused> {
        let progress = match connect.properties.auth_method {
            Some(method) => {
                let data = connect.properties.auth_data.unwrap_or_default();
                self.login_by_steps(method, data).await?
            }
            None => {
                let known = self.visitor.principal.clone();
                by_password(self.visitor.logins.as_ref(), known, connect).await
            }
        };
        match progress {
            Progress::In(last, login) => Ok((last, login)),
            Progress::Challenge(_) => Err(Refused::new(Reason::PROTOCOL_ERROR, "no answer")),
            Progress::Out(reason, Refusal { why, .. }) => {
                if let Some(logins) = &self.visitor.logins {
                    // Slows down who guesses.
                    tokio::time::sleep(logins.options().failure_delay).await;
                }
                Err(Refused::login(reason, &why))
            }
        }
    }

    async fn login_by_steps(&mut self, method: &str, data: &[u8]) -> Result<Progress, Refused> {
        let Some(mut steps) = Steps::begin(self.visitor.logins.as_ref(), method) else {
            let why = "an authentication method that is not offered";
            return Err(Refused::login(Reason::BAD_AUTH_METHOD, why));
        };
        let mut progress = steps.step(data).await;
        while let Progress::Challenge(challenge) = &progress {
            let mut out = Vec::new();
            let data = Some(&challenge[..]);
            Auth { reason: Reason::CONTINUE, method: Some(method), data }.encode(&mut out);
            self.socket.send(&out).await?;
            progress = self.next_step(&mut steps, method).await?;
        }
        Ok(progress)
    }

    async fn next_step(&mut self, steps: &mut Steps, method: &str) -> Result<Progress, Refused> {
        let gone = || Refused::from(std::io::Error::from(std::io::ErrorKind::UnexpectedEof));
        let Some(mut packets) = self.socket.receive(CONNECT_BYTES_MAX).await?? else {
            return Err(gone());
        };
        let Some(packet) = packets.next(CONNECT_BYTES_MAX)? else { return Err(gone()) };
        if packet.header.kind != Kind::Auth {
            return Err(Refused::new(Reason::PROTOCOL_ERROR, "a packet in the middle of a login"));
        }
        let auth = Auth::decode(packets.body(&packet))?;
        if auth.reason != Reason::CONTINUE || auth.method != Some(method) {
            return Err(Refused::new(Reason::PROTOCOL_ERROR, "not the step of a login"));
        }
        let progress = steps.step(auth.data.unwrap_or_default()).await;
        self.socket.put_back(&packets);
        Ok(progress)
    }

    /// Attaches the client to its session and answers.
    async fn attach(self, connect: &Connect<'_>, entered: Entered) -> Result<Greeting, Refused> {
        let Self { shared, visitor, protocol, .. } = self;
        let assigned = connect.client_id.is_empty().then(|| assign(shared));
        let client_id: Arc<str> = assigned.as_deref().unwrap_or(connect.client_id).into();
        let method = connect.properties.auth_method;
        let answer = Answer { shared, connect, assigned: assigned.as_deref(), last: &entered.last };
        let mut connack = Vec::new();
        answer.encode(protocol.version, false, &mut connack);
        let allowance = allowance(protocol.version, connect);
        if connack.len() > allowance.packet_bytes_max {
            let why = "a maximum packet size that no answer fits into";
            return Err(Refused::new(Reason::PACKET_TOO_LARGE, why));
        }
        let sessions = &shared.sessions;
        let _turn = sessions.turn(&client_id).await;
        let expiry = expiry(protocol.version, connect);
        let opened = sessions.open(&client_id, connect.clean_start, expiry).await?;
        if let Some(replaced) = &opened.replaced {
            shared.publish_will(sessions.replace(replaced));
        }
        connack.clear();
        answer.encode(protocol.version, opened.is_present, &mut connack);
        let will = connect.will.as_ref().map(|will| Box::new(Will::of(will, opened.session.id)));
        let terms = Terms { allowance, expiry, will, actor: entered.actor.clone() };
        let number = sessions.new_connection();
        let kept = opened.session.attach(number, terms, &connack);
        Ok(Greeting {
            session: Arc::clone(&opened.session),
            kept,
            number,
            version: protocol.version,
            is_bridge: protocol.is_bridge,
            keep_alive: connect.keep_alive,
            actor: entered.actor,
            logins: visitor.logins,
            packet_bytes_max: allowance.packet_bytes_max,
            method: method.map(Into::into),
            login_ends: entered.lifetime.map(|lifetime| Instant::now() + lifetime),
        })
    }
}

/// What a login came to.
struct Entered {
    last: Vec<u8>,
    actor: Actor,
    lifetime: Option<std::time::Duration>,
}

/// What a client is told that is let in.
struct Answer<'a> {
    shared: &'a Shared,
    connect: &'a Connect<'a>,
    assigned: Option<&'a str>,
    /// The end of a login in steps.
    last: &'a [u8],
}

impl Answer<'_> {
    fn encode(&self, version: Version, session_present: bool, out: &mut Vec<u8>) {
        // 3.1 has no such flag.
        let session_present = session_present && version > Version::V3;
        let response_info = self.response_info();
        let options = &self.shared.options;
        let is_limited = options.packet_bytes_max < REMAINING_MAX;
        let packet_bytes_max = u32::try_from(options.packet_bytes_max).ok();
        let properties = ConnackProperties {
            topic_alias_max: Some(options.topic_alias_max).filter(|max| *max > 0),
            assigned_client_id: self.assigned,
            auth_method: self.connect.properties.auth_method,
            auth_data: Some(self.last).filter(|last| !last.is_empty()),
            response_info: response_info.as_deref(),
            packet_bytes_max: packet_bytes_max.filter(|_| is_limited),
            receive_max: Some(options.receive_max),
            ..ConnackProperties::default()
        };
        let properties = (version == Version::V5).then_some(properties);
        Connack { session_present, code: 0, properties }.encode(out);
    }

    /// Where the client may have its answers, if it asks (5.0 §4.10.1).
    fn response_info(&self) -> Option<String> {
        let client_id = self.assigned.unwrap_or(self.connect.client_id);
        let is_name = !client_id.contains(['/', '+', '#']);
        let is_wanted = self.connect.properties.wants_response_info && is_name;
        is_wanted.then(|| format!("responses/{client_id}/"))
    }
}

/// A name for a client that has none.
fn assign(shared: &Shared) -> String {
    let mut name = format!("auto-{:032X}", shared.broker.options().random.next_u128());
    // As others write it.
    [13, 18, 23, 28].into_iter().for_each(|at| name.insert(at, '-'));
    name
}

fn allowance(version: Version, connect: &Connect<'_>) -> Allowance {
    let properties = &connect.properties;
    let window = match version {
        Version::V5 => properties.receive_max.unwrap_or(INFLIGHT_MAX).min(INFLIGHT_MAX),
        _ => OLD_INFLIGHT_MAX,
    };
    let max = properties.packet_bytes_max.and_then(|max| usize::try_from(max).ok());
    Allowance {
        version,
        window,
        packet_bytes_max: max.unwrap_or(usize::MAX),
        alias_max: properties.topic_alias_max,
    }
}

fn expiry(version: Version, connect: &Connect<'_>) -> Expiry {
    match version {
        Version::V5 => Expiry(connect.properties.session_expiry.unwrap_or(0)),
        _ if connect.clean_start => Expiry::AT_ONCE,
        _ => Expiry::NEVER,
    }
}

//! From the first byte to `connection.open-ok` (§2.2.4).

use std::sync::Arc;

use base::Principal;
use broker::access::Actor;
use bytes::Bytes;
use door::{CloseReason, Outgoing, ReadHalf};
use tokio::time::sleep;

use crate::Shared;
use crate::fault::{Fault, quoted};
use crate::input::Frames;
use crate::limits::FRAME_BYTES_MIN;
use crate::login::Gate;
use crate::session::End;
use crate::wire::frame::put_method;
use crate::wire::method::{
    ConnectionOpenOk, ConnectionStart, ConnectionStartOk, ConnectionTune, ConnectionTuneOk, Method,
};
use crate::wire::reader::Long;
use crate::wire::reply::Reply;
use crate::wire::table::{Table, TableBuf, Value};
use crate::wire::{PROTOCOL_HEADER, method::ConnectionOpen};

/// What RabbitMQ's clients look for before they use something.
const CAPABILITIES: [&str; 9] = [
    "publisher_confirms",
    "exchange_exchange_bindings",
    "basic.nack",
    "consumer_cancel_notify",
    "connection.blocked",
    "consumer_priorities",
    "authentication_failure_close",
    "per_consumer_qos",
    "direct_reply_to",
];

/// The version of RabbitMQ whose protocol is spoken: clients ask it what they may use.
pub(crate) const RABBITMQ_VERSION: &str = "4.2.0";

/// What was agreed.
#[derive(Debug)]
pub(crate) struct Agreed {
    pub(crate) actor: Actor,
    /// Nobody asked who it is.
    pub(crate) is_open: bool,
    pub(crate) virtual_host: Bytes,
    pub(crate) frame_max: u32,
    pub(crate) channel_max: u16,
    /// In seconds; 0: none.
    pub(crate) heartbeat: u16,
    pub(crate) can: Capabilities,
    /// How the client logged in.
    pub(crate) mechanism: &'static str,
    /// What it says of itself: a table.
    pub(crate) properties: Bytes,
}

/// What the client can take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Capabilities {
    /// Being told that a consumer is no more.
    pub(crate) cancel: bool,
    /// Being told that it may not publish for now.
    pub(crate) blocked: bool,
    /// Being told why it was not let in.
    pub(crate) failure_close: bool,
}

impl Capabilities {
    fn of(properties: &Table<'_>) -> Self {
        let Some(Value::Table(table)) = properties.get(b"capabilities") else {
            return Self::default();
        };
        let has = |name: &str| table.get(name.as_bytes()) == Some(Value::Bool(true));
        Self {
            cancel: has("consumer_cancel_notify"),
            blocked: has("connection.blocked"),
            failure_close: has("authentication_failure_close"),
        }
    }
}

/// Who a client is and what it can.
struct Known {
    principal: Principal,
    can: Capabilities,
    mechanism: &'static str,
    properties: Bytes,
}

/// Speaks with a client until its virtual host is open.
///
/// # Errors
/// It ends before that.
pub(crate) async fn run(
    shared: &Shared,
    frames: &mut Frames<ReadHalf>,
    outgoing: &Arc<Outgoing>,
    gate: &Gate,
    peer: &str,
) -> Result<Agreed, End> {
    header(frames, outgoing).await?;
    let known = start(shared, frames, outgoing, gate).await?;
    let tuned = tune(shared, frames, outgoing).await?;
    frames.frame_max = tuned.frame_max;
    let payload = next(frames).await?;
    let Method::ConnectionOpen(open) = decode(&payload)? else { return Err(not_due(&payload)) };
    let virtual_host = virtual_host(shared, &open)?;
    shared.spaces.prepare().await.map_err(|error| {
        End::fault(Fault::new(Reply::InternalError, format!("exchanges cannot be made: {error}")))
    })?;
    outgoing.push(|out| put_method(0, &ConnectionOpenOk::default(), out));
    outgoing.flush();
    Ok(Agreed {
        actor: shared.broker.actor(known.principal, peer.into()),
        is_open: gate.is_open(),
        virtual_host,
        frame_max: tuned.frame_max,
        channel_max: tuned.channel_max,
        heartbeat: tuned.heartbeat,
        can: known.can,
        mechanism: known.mechanism,
        properties: known.properties,
    })
}

/// The protocol header. Whoever begins otherwise is told what is spoken here (§4.2.2).
async fn header(frames: &mut Frames<ReadHalf>, outgoing: &Outgoing) -> Result<(), End> {
    let bytes = frames.bytes(PROTOCOL_HEADER.len()).await?.ok_or(End::Quiet)?;
    if bytes == PROTOCOL_HEADER[..] {
        return Ok(());
    }
    outgoing.push(|out| out.extend_from_slice(&PROTOCOL_HEADER));
    let begun = quoted(&bytes);
    Err(End::Reason(CloseReason::Protocol(format!(
        "it begins with {begun:?}, which is not AMQP 0-9-1"
    ))))
}

async fn start(
    shared: &Shared,
    frames: &mut Frames<ReadHalf>,
    outgoing: &Outgoing,
    gate: &Gate,
) -> Result<Known, End> {
    let mechanisms = gate.mechanisms();
    let properties = server_properties(shared);
    let offered = mechanisms.join(" ");
    let start = ConnectionStart {
        version_major: 0,
        version_minor: 9,
        server_properties: properties.table(),
        mechanisms: Long(offered.as_bytes()),
        locales: Long(b"en_US"),
    };
    outgoing.push(|out| put_method(0, &start, out));
    outgoing.flush();
    let payload = next(frames).await?;
    let Method::ConnectionStartOk(said) = decode(&payload)? else { return Err(not_due(&payload)) };
    let can = Capabilities::of(&said.client_properties);
    let name = String::from_utf8_lossy(&said.mechanism);
    let Some(mechanism) = mechanisms.into_iter().find(|offered| *offered == name) else {
        let text = format!("unknown authentication mechanism '{}'", quoted(&said.mechanism));
        return Err(refused(can, text.clone(), text));
    };
    login(gate, mechanism, &said, can).await
}

async fn login(
    gate: &Gate,
    mechanism: &'static str,
    said: &ConnectionStartOk<'_>,
    can: Capabilities,
) -> Result<Known, End> {
    match gate.login(mechanism, &said.response).await {
        Ok(login) => {
            let properties = Bytes::copy_from_slice(said.client_properties.bytes());
            Ok(Known { principal: login.principal, can, mechanism, properties })
        }
        Err(why) => {
            sleep(gate.failure_delay()).await;
            let text = format!(
                "Login was refused using authentication mechanism {mechanism}. For details see the broker logfile."
            );
            Err(refused(can, text, why))
        }
    }
}

/// Who is not let in is told so only if they said that they want to know: others take the end of the connection for it.
fn refused(can: Capabilities, text: String, why: String) -> End {
    match can.failure_close {
        true => End::Refused(Fault::new(Reply::AccessRefused, text), why),
        false => End::Reason(CloseReason::Login(why)),
    }
}

async fn tune(
    shared: &Shared,
    frames: &mut Frames<ReadHalf>,
    outgoing: &Outgoing,
) -> Result<ConnectionTuneOk, End> {
    let options = &shared.options;
    let tune = ConnectionTune {
        channel_max: options.channels_max,
        frame_max: options.frame_bytes_max,
        heartbeat: options.heartbeat_seconds,
    };
    outgoing.push(|out| put_method(0, &tune, out));
    outgoing.flush();
    let payload = next(frames).await?;
    let Method::ConnectionTuneOk(said) = decode(&payload)? else { return Err(not_due(&payload)) };
    let bounds = |name: &str, said: u32, min: u32, max: u32| {
        let wrong = match said {
            0 => format!(
                "negotiated {name} = 0 (no limit) is higher than the maximum allowed value ({max})"
            ),
            said if said < min => {
                format!(
                    "negotiated {name} = {said} is lower than the minimum allowed value ({min})"
                )
            }
            said if said > max => {
                format!(
                    "negotiated {name} = {said} is higher than the maximum allowed value ({max})"
                )
            }
            _ => return Ok(()),
        };
        Err(End::fault(Fault::new(Reply::NotAllowed, wrong)))
    };
    bounds("frame_max", said.frame_max, FRAME_BYTES_MIN, options.frame_bytes_max)?;
    bounds("channel_max", said.channel_max.into(), 1, options.channels_max.into())?;
    Ok(said)
}

fn virtual_host(shared: &Shared, open: &ConnectionOpen<'_>) -> Result<Bytes, End> {
    let name = open.virtual_host.0;
    if shared.spaces.find(name).is_some() {
        return Ok(Bytes::copy_from_slice(name));
    }
    let text = format!("vhost {} not found", quoted(name));
    Err(End::fault(Fault::new(Reply::NotAllowed, text)))
}

/// The next method of the connection itself.
async fn next(frames: &mut Frames<ReadHalf>) -> Result<Bytes, End> {
    frames.method().await?.ok_or(End::Quiet)
}

fn decode(payload: &Bytes) -> Result<Method<'_>, End> {
    Method::decode(payload).map_err(|error| End::fault(Fault::syntax(error, payload)))
}

fn not_due(payload: &Bytes) -> End {
    let name = Method::decode(payload).map_or("?", |method| method.name());
    End::fault(Fault::command_invalid(format!("{name} is not due")))
}

fn server_properties(shared: &Shared) -> TableBuf {
    let mut capabilities = TableBuf::default();
    for name in CAPABILITIES {
        capabilities.push(name.as_bytes(), Value::Bool(true));
    }
    let text = |text: &'static str| Value::String(text.as_bytes());
    TableBuf::default()
        .with(b"capabilities", Value::Table(capabilities.table()))
        .with(b"cluster_name", Value::String(shared.options.cluster_name.as_bytes()))
        .with(b"product", text("RabbitMQ"))
        .with(b"version", text(RABBITMQ_VERSION))
        .with(b"platform", text(concat!("Entrepot ", env!("CARGO_PKG_VERSION"))))
        .with(b"information", text("Speaks AMQP 0-9-1 as RabbitMQ does"))
}

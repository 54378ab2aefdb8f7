//! Messages: `/exchanges/.../publish` and `/queues/.../get`.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use broker::ProduceError;
use broker::live::Batch;
use broker::queues::{Delivered, DeliveryId, Settlement};
use bytes::Bytes;
use serde_json::{Map, Value as Json, json};

use super::body::Body;
use super::refusal::{Refusal, of_queue};
use super::{Ask, Host, Outcome, json, queues, text, told};
use crate::arguments;
use crate::channel::origin;
use crate::fault::{Fault, named, quoted};
use crate::handle::{Access, check, check_key};
use crate::limits::{EXTRA_KEYS_MAX, MANAGEMENT_GET_BYTES_MAX, MANAGEMENT_GET_MESSAGES_MAX};
use crate::map;
use crate::wire::properties::Properties;
use crate::wire::reader::Short;
use crate::wire::reply::Reply;

/// Messages that are looked at, if nobody says how many.
const PEEKED: usize = 10;

/// A message to be published.
pub(super) struct Sent<'a> {
    pub(super) exchange: &'a [u8],
    pub(super) key: &'a [u8],
    /// Flags and values.
    pub(super) properties: Bytes,
    pub(super) payload: Bytes,
}

/// Publishes the message of a request.
pub(super) async fn publish(ask: &Ask<'_>, host: &Host, exchange: &[u8]) -> Outcome {
    let body = ask.body()?;
    let key = body.needed("routing_key")?.as_bytes();
    let payload = payload(&body)?;
    let mut properties = Vec::new();
    put_properties(&body.object("properties")?, &mut properties)?;
    let sent = Sent { exchange, key, properties: properties.into(), payload };
    let routed = send(ask, host, &sent).await?;
    Ok(told(&json!({ "routed": routed })))
}

fn payload(body: &Body) -> Result<Bytes, Refusal> {
    let payload = body.needed("payload")?;
    match body.text("payload_encoding")?.unwrap_or("string") {
        "string" => Ok(Bytes::copy_from_slice(payload.as_bytes())),
        "base64" => {
            let decoded = BASE64_STANDARD.decode(payload);
            decoded.map(Bytes::from).map_err(|error| Refusal::bad(format!("payload: {error}")))
        }
        other => Err(Refusal::bad(format!("unsupported payload_encoding '{other}'"))),
    }
}

/// Appends flags and values of the properties that a JSON object has.
fn put_properties(of: &Body, out: &mut Vec<u8>) -> Result<(), Refusal> {
    let short = |name: &str| -> Result<Option<Short<'_>>, Refusal> {
        match of.text(name)? {
            Some(text) if text.len() > usize::from(u8::MAX) => {
                Err(Refusal::bad(format!("{name} has 255 bytes at most")))
            }
            text => Ok(text.map(|text| Short(text.as_bytes()))),
        }
    };
    let octet = |name: &str| -> Result<Option<u8>, Refusal> {
        let number = of.number(name)?.map(u8::try_from).transpose();
        number.map_err(|_| Refusal::bad(format!("{name} is 255 at most")))
    };
    let headers = of.table("headers")?;
    let properties = Properties {
        content_type: short("content_type")?,
        content_encoding: short("content_encoding")?,
        headers: of.has("headers").then(|| headers.table()),
        delivery_mode: octet("delivery_mode")?,
        priority: octet("priority")?,
        correlation_id: short("correlation_id")?,
        reply_to: short("reply_to")?,
        expiration: short("expiration")?,
        message_id: short("message_id")?,
        timestamp: of.number("timestamp")?,
        kind: short("type")?,
        user_id: short("user_id")?,
        app_id: short("app_id")?,
        cluster_id: short("cluster_id")?,
    };
    properties.encode(out);
    Ok(())
}

/// Publishes a message, and waits until it is stored; whether anybody takes it.
pub(super) async fn send(ask: &Ask<'_>, host: &Host, sent: &Sent<'_>) -> Result<bool, Refusal> {
    let (caller, broker) = (ask.caller(host), &ask.shared.broker);
    let raw = sent.properties.clone();
    let properties = Properties::decode(&raw).map_err(|error| Fault::syntax(error, &raw))?;
    check_user(ask, &properties)?;
    let extra = map::extra_keys(&properties, EXTRA_KEYS_MAX)?;
    for key in std::iter::once(sent.key).chain(extra.iter().map(|key| &key[..])) {
        check_key(caller, Access::Write, sent.exchange, key)?;
    }
    check_internal(ask, host, sent.exchange)?;
    // Who is named there is not shown to others.
    let raw = map::without_bcc(&properties).map_or_else(|| raw.clone(), Bytes::from);
    let properties = Properties::decode(&raw).map_err(|error| Fault::syntax(error, &raw))?;
    let body = (raw.clone(), sent.payload.clone());
    let mut message = map::message(&properties, body, ask.owner, || broker.now())?;
    message.further_keys = map::extra_keys(&properties, EXTRA_KEYS_MAX)?;
    let mut routes = broker.new_exchange_routes(host.space.clone());
    let headers = || map::compared_headers(&properties);
    let route = routes.find(broker, sent.exchange, sent.key, &extra, headers);
    let route = route.map_err(|error| Fault::exchange(&error, sent.exchange, &host.name))?;
    let mut batch = Batch::default();
    let routed = broker.route_to_queues(&route, &message, &mut batch);
    // Also where one of several queues refused it: others have it.
    let _slow = batch.flush();
    let outcomes = broker.store(batch).await.done().await;
    match routed {
        Ok(routed) if routed.is_lost() => Ok(false),
        Ok(routed) => match routed.stored.and_then(|number| outcomes.get(number)) {
            Some(Err(error)) => Err(Refusal::unavailable(error.to_string())),
            Some(Ok(())) | None => Ok(true),
        },
        Err(ProduceError::Refused) => Ok(false),
        Err(error) => Err(Refusal::bad(error.to_string())),
    }
}

/// Who says who published it must be who did.
fn check_user(ask: &Ask<'_>, properties: &Properties<'_>) -> Result<(), Refusal> {
    let Some(said) = properties.user_id.filter(|_| !ask.is_open) else { return Ok(()) };
    if said.0 == ask.user.as_bytes() {
        return Ok(());
    }
    let (said, user) = (quoted(&said), &ask.user);
    Err(Refusal::bad(format!(
        "user_id property set to '{said}' but authenticated user was '{user}'"
    )))
}

fn check_internal(ask: &Ask<'_>, host: &Host, exchange: &[u8]) -> Result<(), Fault> {
    let found = ask.shared.broker.exchange(&ask.caller(host).exchange_name(exchange));
    if found.is_none_or(|exchange| !exchange.spec().internal) {
        return Ok(());
    }
    let of = named("internal exchange", exchange, &host.name);
    Err(Fault::new(Reply::AccessRefused, format!("cannot publish to {of}")))
}

/// How messages are looked at.
#[derive(Debug)]
struct Look {
    count: u64,
    settlement: Settlement,
    /// Payloads are shown in Base64, whatever they are.
    is_base64: bool,
    /// More of a payload is not shown, in bytes.
    truncate: usize,
}

impl Look {
    fn of(body: &Body) -> Result<Self, Refusal> {
        let again = Settlement::Return { counted: true, failed: false, after: 0 };
        let settlement = match body.text("ackmode")? {
            Some("ack_requeue_true" | "reject_requeue_true") => again,
            Some("ack_requeue_false") => Settlement::Accept,
            Some("reject_requeue_false") => Settlement::Reject,
            Some(other) => return Err(Refusal::bad(format!("unsupported ackmode '{other}'"))),
            // As it was before there were four.
            None if !body.has("requeue") => return Err(Refusal::bad("key_missing: ackmode")),
            None if body.flag("requeue")? => again,
            None => Settlement::Accept,
        };
        let is_base64 = match body.text("encoding")?.unwrap_or("auto") {
            "auto" => false,
            "base64" => true,
            other => return Err(Refusal::bad(format!("unsupported encoding '{other}'"))),
        };
        let count = body.number("count")?;
        let count = count.ok_or_else(|| Refusal::bad("key_missing: count"))?;
        let truncate = body
            .number("truncate")?
            .map_or(usize::MAX, |bytes| usize::try_from(bytes).unwrap_or(usize::MAX));
        let count = count.min(MANAGEMENT_GET_MESSAGES_MAX);
        Ok(Self { count, settlement, is_base64, truncate })
    }
}

/// Takes messages out of a queue, shows them, and puts them back, unless that is not wanted.
pub(super) async fn get(ask: &Ask<'_>, host: &Host, name: &[u8]) -> Outcome {
    let look = Look::of(&ask.body()?)?;
    let queue = queues::find_free(ask, host, name)?;
    check(ask.caller(host), Access::Read, "queue", name)?;
    let refused = |error| of_queue(&error, name, &host.name);
    let counts = arguments::counts_deliveries(&queue);
    let name = queue.name().name.clone();
    // Dropped before they are settled, it gives back what it has.
    let holder = ask.shared.broker.new_holder(0);
    let (mut taken, mut shown): (Vec<DeliveryId>, Vec<Json>) = (Vec::new(), Vec::new());
    let mut bytes = 0;
    while (taken.len() as u64) < look.count && bytes <= MANAGEMENT_GET_BYTES_MAX {
        let Some((delivered, left)) = queue.get(&holder, false).await.map_err(refused)? else {
            break;
        };
        bytes += delivered.message.value.as_ref().map_or(0, Bytes::len);
        taken.push(delivered.id);
        shown.push(view(&look, &delivered, (&name, counts, left)));
    }
    let settled: Vec<_> = taken.into_iter().map(|id| (id, look.settlement)).collect();
    holder.settle(&settled);
    holder.settled().await.map_err(refused)?;
    Ok(told(&Json::Array(shown)))
}

/// Shows the first messages of a queue, of which nothing becomes.
pub(super) async fn peek(ask: &Ask<'_>, host: &Host, name: &[u8]) -> Outcome {
    let query = &ask.request.query;
    let number = |name: &str, otherwise: usize| match query.get(name).map(str::parse) {
        None => Ok(otherwise),
        Some(Ok(number)) => Ok(number),
        Some(Err(_)) => Err(Refusal::bad(format!("{name} is no whole number from 0 up"))),
    };
    let (count, truncate) = (number("count", PEEKED)?, number("truncate", usize::MAX)?);
    let look = Look { count: 0, settlement: Settlement::Accept, is_base64: false, truncate };
    let queue = queues::find_free(ask, host, name)?;
    check(ask.caller(host), Access::Read, "queue", name)?;
    let counts = arguments::counts_deliveries(&queue);
    let found = queue.peek(count).await.map_err(|error| of_queue(&error, name, &host.name))?;
    let (name, ready) = (&queue.name().name, queue.counts().ready);
    let shown = found.iter().zip(1..).map(|(delivered, number)| {
        view(&look, delivered, (name, counts, ready.saturating_sub(number)))
    });
    Ok(told(&Json::Array(shown.collect())))
}

/// A message as it is shown; of a queue, whether that counts deliveries, and how many there are after it.
fn view(look: &Look, delivered: &Delivered, (queue, counts, left): (&Bytes, bool, u64)) -> Json {
    let (exchange, key) = origin(delivered, queue);
    let raw = map::properties(delivered, counts);
    let properties = Properties::decode(&raw).unwrap_or_default();
    let whole = delivered.message.value.as_deref().unwrap_or_default();
    let payload = whole.get(..look.truncate).unwrap_or(whole);
    let as_text = std::str::from_utf8(payload).ok().filter(|_| !look.is_base64);
    let (encoding, payload) = match as_text {
        Some(text) => ("string", text.to_owned()),
        None => ("base64", BASE64_STANDARD.encode(payload)),
    };
    json!({
        "payload_bytes": whole.len(),
        "redelivered": delivered.deliveries > 0,
        "exchange": text(&exchange),
        "routing_key": text(&key),
        "message_count": left,
        "properties": of_properties(&properties),
        "payload": payload,
        "payload_encoding": encoding,
    })
}

/// The properties that there are.
fn of_properties(of: &Properties<'_>) -> Json {
    let mut map = Map::new();
    let mut put = |name: &str, value: Option<Json>| {
        if let Some(value) = value {
            map.insert(name.to_owned(), value);
        }
    };
    let short = |value: Option<Short<'_>>| value.map(|value| Json::String(text(&value)));
    put("content_type", short(of.content_type));
    put("content_encoding", short(of.content_encoding));
    put("headers", of.headers.map(json::of_table));
    put("delivery_mode", of.delivery_mode.map(Json::from));
    put("priority", of.priority.map(Json::from));
    put("correlation_id", short(of.correlation_id));
    put("reply_to", short(of.reply_to));
    put("expiration", short(of.expiration));
    put("message_id", short(of.message_id));
    put("timestamp", of.timestamp.map(Json::from));
    put("type", short(of.kind));
    put("user_id", short(of.user_id));
    put("app_id", short(of.app_id));
    put("cluster_id", short(of.cluster_id));
    Json::Object(map)
}

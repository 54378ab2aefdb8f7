//! Who is connected: `/connections`, `/channels`, `/consumers`.

use std::sync::Arc;

use door::http::HeaderValue;
use serde_json::{Value as Json, json};

use super::refusal::Refusal;
use super::routes::unknown;
use super::stats::Looks;
use super::{Ask, Host, Outcome, done, json, page, text};
use crate::channel::{ChannelOut, ConsumerFacts, ConsumerOut};
use crate::clients::{Client, Facts};
use crate::wire::table::{Table, Value};

/// What a client hears whose connection was closed, if nobody says why.
const CLOSED: &str = "Closed via management plugin";

pub(super) async fn route_connections(ask: &Ask<'_>, verb: &str, rest: &[&[u8]]) -> Outcome {
    match (verb, rest) {
        ("GET", []) => of_host(ask, None).await,
        ("GET", [b"username", user]) => {
            let of = |client: &Client| client.facts.user.as_bytes() == *user;
            list(ask, visible(ask, of)).await
        }
        ("DELETE", [b"username", user]) => {
            close(ask, &visible(ask, |client| client.facts.user.as_bytes() == *user))
        }
        ("GET", [name]) => {
            let client = find(ask, name)?;
            page::one(&ask.request.query, view(&Looks::of(ask), &client))
        }
        ("DELETE", [name]) => close(ask, &[find(ask, name)?]),
        ("GET", [name, b"channels"]) => list_channels(ask, &[find(ask, name)?]).await,
        _ => unknown(verb),
    }
}

pub(super) async fn route_channels(ask: &Ask<'_>, verb: &str, rest: &[&[u8]]) -> Outcome {
    match (verb, rest) {
        ("GET", []) => list_channels(ask, &visible(ask, |_| true)).await,
        ("GET", [name]) => {
            let wanted = text(name);
            let all = channels(&visible(ask, |_| true));
            let is_it = |(client, channel): &(Arc<Client>, Arc<ChannelOut>)| {
                client.channel_name(channel.number) == wanted
            };
            let found = all.into_iter().find(is_it).ok_or_else(Refusal::not_found)?;
            let looks = Looks::of(ask);
            let consumers = consumers(std::slice::from_ref(&found));
            let mut shown = channel(&looks, &found);
            if let Some(fields) = shown.as_object_mut() {
                let consumers = consumers.iter().map(|one| one.view(&looks)).collect();
                fields.insert("consumer_details".to_owned(), Json::Array(consumers));
            }
            page::one(&ask.request.query, shown)
        }
        _ => unknown(verb),
    }
}

pub(super) async fn route_consumers(ask: &Ask<'_>, verb: &str, rest: &[&[u8]]) -> Outcome {
    let clients = match (verb, rest) {
        ("GET", []) => visible(ask, |_| true),
        ("GET", [host]) => {
            let host = ask.host(host)?;
            visible(ask, |client| client.facts.virtual_host == host.name)
        }
        _ => return unknown(verb),
    };
    let (looks, all) = (Looks::of(ask), consumers(&channels(&clients)));
    let show = move |one: &Consuming| one.view(&looks);
    page::reply(&ask.request.query, all, |one| text(&one.consumer.tag), show).await
}

/// The connections of a virtual host, or of all.
pub(super) async fn of_host(ask: &Ask<'_>, host: Option<&Host>) -> Outcome {
    let is_of = |client: &Client| host.is_none_or(|host| client.facts.virtual_host == host.name);
    list(ask, visible(ask, is_of)).await
}

/// The channels of a virtual host.
pub(super) async fn channels_of_host(ask: &Ask<'_>, host: &Host) -> Outcome {
    list_channels(ask, &visible(ask, |client| client.facts.virtual_host == host.name)).await
}

/// Closes all connections of a virtual host.
pub(super) fn close_host(ask: &Ask<'_>, host: &Host, why: &str) {
    let all = ask.shared.clients.all().into_iter();
    let of = all.filter(|client| client.facts.virtual_host == host.name);
    of.for_each(|client| client.close(why));
}

/// Their own connections; all, for who may know of others.
fn visible(ask: &Ask<'_>, is_wanted: impl Fn(&Client) -> bool) -> Vec<Arc<Client>> {
    let mut all = ask.shared.clients.all();
    let (sees_all, own) = (ask.is_monitor(), &ask.actor.principal().name);
    all.retain(|client| (sees_all || client.facts.user == *own) && is_wanted(client));
    all
}

fn find(ask: &Ask<'_>, name: &[u8]) -> Result<Arc<Client>, Refusal> {
    let name = text(name);
    let found = visible(ask, |client| client.name() == name).pop();
    found.ok_or_else(Refusal::not_found)
}

async fn list(ask: &Ask<'_>, clients: Vec<Arc<Client>>) -> Outcome {
    let (looks, name) = (Looks::of(ask), |client: &Arc<Client>| client.name());
    let show = move |client: &Arc<Client>| view(&looks, client);
    page::reply(&ask.request.query, clients, name, show).await
}

/// Closes connections: their own, or with permission those of others.
fn close(ask: &Ask<'_>, clients: &[Arc<Client>]) -> Outcome {
    let own = &ask.actor.principal().name;
    if clients.iter().any(|client| client.facts.user != *own) {
        ask.check_administrator()?;
    }
    let said = ask.request.headers.get("x-reason").map(HeaderValue::as_bytes).map(text);
    let why = said.as_deref().unwrap_or(CLOSED);
    clients.iter().for_each(|client| client.close(why));
    Ok(done())
}

fn view(looks: &Looks, client: &Client) -> Json {
    let Facts {
        ends, since, user, mechanism, virtual_host, frame_max, channel_max, heartbeat, ..
    } = &client.facts;
    let properties = Table::new(&client.facts.properties).unwrap_or_default();
    let mut shown = json!({
        "name": client.name(),
        "node": looks.node,
        "vhost": text(virtual_host),
        "user": &**user,
        "user_who_performed_action": &**user,
        "type": "network",
        "protocol": "AMQP 0-9-1",
        "state": "running",
        "peer_host": ends.peer.ip().to_string(),
        "peer_port": ends.peer.port(),
        "host": ends.local.ip().to_string(),
        "port": ends.local.port(),
        "ssl": ends.is_encrypted,
        "auth_mechanism": mechanism,
        "connected_at": since,
        "channels": client.channels().len(),
        "channel_max": channel_max,
        "frame_max": frame_max,
        "timeout": heartbeat,
        "client_properties": json::of_table(properties),
    });
    let called = properties.get(b"connection_name");
    if let (Some(fields), Some(Value::String(name))) = (shown.as_object_mut(), called) {
        fields.insert("user_provided_name".to_owned(), Json::String(text(name)));
    }
    shown
}

/// The channels of connections, each with its own.
fn channels(clients: &[Arc<Client>]) -> Vec<(Arc<Client>, Arc<ChannelOut>)> {
    let of = |client: &Arc<Client>| {
        let client = Arc::clone(client);
        client.channels().into_iter().map(move |channel| (Arc::clone(&client), channel))
    };
    clients.iter().flat_map(of).collect()
}

async fn list_channels(ask: &Ask<'_>, clients: &[Arc<Client>]) -> Outcome {
    let name =
        |(client, channel): &(Arc<Client>, Arc<ChannelOut>)| client.channel_name(channel.number);
    let looks = Looks::of(ask);
    let show = move |one: &(Arc<Client>, Arc<ChannelOut>)| channel(&looks, one);
    page::reply(&ask.request.query, channels(clients), name, show).await
}

fn channel(looks: &Looks, (client, channel): &(Arc<Client>, Arc<ChannelOut>)) -> Json {
    let view = channel.view();
    let facts = &client.facts;
    let mut shown = json!({
        "name": client.channel_name(channel.number),
        "number": channel.number,
        "node": looks.node,
        "vhost": text(&facts.virtual_host),
        "user": &*facts.user,
        "user_who_performed_action": &*facts.user,
        "state": "running",
        "confirm": view.facts.confirms,
        "transactional": view.facts.is_transactional,
        "prefetch_count": view.facts.prefetch,
        "global_prefetch_count": view.facts.prefetch_together,
        "messages_unacknowledged": view.unacked,
        "consumer_count": view.consumers.len(),
        "connection_details": {
            "name": client.name(),
            "peer_host": facts.ends.peer.ip().to_string(),
            "peer_port": facts.ends.peer.port(),
        },
    });
    looks.channel(channel, &mut shown);
    shown
}

/// A consumer, and whose it is.
struct Consuming {
    client: Arc<Client>,
    channel: Arc<ChannelOut>,
    consumer: ConsumerOut,
    facts: ConsumerFacts,
}

/// The consumers of channels.
fn consumers(of: &[(Arc<Client>, Arc<ChannelOut>)]) -> Vec<Consuming> {
    let mut all = Vec::new();
    for (client, channel) in of {
        all.extend(channel.view().consumers.into_iter().map(|(consumer, facts)| {
            let (client, channel) = (Arc::clone(client), Arc::clone(channel));
            Consuming { client, channel, consumer, facts }
        }));
    }
    all
}

/// Those of a queue, whoever they are.
pub(super) fn consumers_of(ask: &Ask<'_>, virtual_host: &[u8], queue: &[u8]) -> Vec<Json> {
    let mut clients = ask.shared.clients.all();
    clients.retain(|client| client.facts.virtual_host == virtual_host);
    let (looks, mut all) = (Looks::of(ask), consumers(&channels(&clients)));
    all.retain(|one| one.consumer.queue == queue);
    all.iter().map(|one| one.view(&looks)).collect()
}

impl Consuming {
    fn view(&self, looks: &Looks) -> Json {
        let Self { client, channel, consumer, facts } = self;
        let peer = client.facts.ends.peer;
        json!({
            "consumer_tag": text(&consumer.tag),
            "queue": { "name": text(&consumer.queue), "vhost": text(&client.facts.virtual_host) },
            "ack_required": !consumer.no_ack,
            "exclusive": facts.exclusive,
            "prefetch_count": facts.prefetch,
            "arguments": json::of_arguments(&facts.arguments),
            "active": true,
            "activity_status": "up",
            "channel_details": {
                "name": client.channel_name(channel.number),
                "number": channel.number,
                "node": looks.node,
                "user": &*client.facts.user,
                "connection_name": client.name(),
                "peer_host": peer.ip().to_string(),
                "peer_port": peer.port(),
            },
        })
    }
}
